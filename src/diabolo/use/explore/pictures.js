// Images on canvases, a pixel of the image for a pixel of the canvas, and elements around them.

// An element: its properties, then what is in it; texts stay text.
export function element(tag, { dataset = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}

// image: {shape: [channels, height, width], shown: the channels that are drawn, one or three}.
export function drawImage(canvas, values, { shape: [, height, width], shown }) {
  const each = height * width;
  paint(canvas, height, width, i => shown.map(channel => 255 * values[channel * each + i]));
}

// What is too bright is red, what is too dark blue, as far as the shown channels go on average.
export function drawError(canvas, values, wanted, { shape: [, height, width], shown }) {
  const each = height * width;
  paint(canvas, height, width, i => {
    const error = shown.reduce((sum, channel) => sum + values[channel * each + i] - wanted[channel * each + i], 0);
    const strength = 255 * (1 - Math.min(1, (2 * Math.abs(error)) / shown.length));
    return error > 0 ? [255, strength, strength] : [strength, strength, 255];
  });
}

function paint(canvas, height, width, colours) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const [red, green = red, blue = red] = colours(i);
    pixels.data.set([red, green, blue, 255].map(Math.round), 4 * i);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

export function clear(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

// The pixels of an image file in [0, 1], brought to the shape of the network as the run's own images were.
export async function readImage(file, { shape: [channels, height, width], fit }) {
  const bitmap = await createImageBitmap(file);
  const canvas = element("canvas", { width, height }), context = canvas.getContext("2d", { willReadFrequently: true });
  const across = width / bitmap.width, down = height / bitmap.height;
  const [x, y] = fit === "stretch" ? [across, down] : Array(2).fill((fit === "crop" ? Math.max : Math.min)(across, down));
  const size = [bitmap.width * x, bitmap.height * y];
  context.imageSmoothingQuality = "high";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, (width - size[0]) / 2, (height - size[1]) / 2, ...size);
  const { data } = context.getImageData(0, 0, width, height), each = width * height;
  const values = new Float32Array(channels * each);
  for (let i = 0; i < each; i++) {
    const [red, green, blue] = data.subarray(4 * i, 4 * i + 3);
    if (channels === 1) values[i] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    else for (const [channel, value] of [red, green, blue].entries()) values[channel * each + i] = value / 255;
  }
  return values;
}

// A colour for each of `count` classes, on light or dark paper.
export function colours(count) {
  const style = getComputedStyle(document.documentElement);
  const light = matchMedia("(prefers-color-scheme: dark)").matches ? 66 : 45;
  const named = Array.from({ length: 8 }, (_, i) => style.getPropertyValue(`--series-${i}`).trim());
  return count <= named.length ? named : Array.from({ length: count }, (_, i) => `hsl(${(360 * i) / count} 70% ${light}%)`);
}
