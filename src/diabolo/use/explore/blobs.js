// Numbers and pixels that stand in the page as base64.

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
}

export function numbersOf(base64, half = false) {
  const bytes = bytesOf(base64);
  return half ? Float32Array.from(new Uint16Array(bytes.buffer), fromHalf) : new Float32Array(bytes.buffer);
}

// A number of 16 bits (IEEE 754 binary16) as a number.
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

// Pixels that were stored in 1 or 2 bytes each and compressed, in the order of PyTorch.
export async function pixelsOf(base64, bytesEach) {
  const packed = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(packed).arrayBuffer();
  return bytesEach === 1 ? new Uint8Array(buffer) : new Uint16Array(buffer);
}
