// A model of the page: a run's networks, or PCA's, with the codes that it gives the images.

import { Network } from "./network.js";

export class Model {
  // about: an entry of `models` as content.py writes it; image: its shape; weights, numbers: the page's arrays;
  // asked(what, count): a network that is not in the page, whose `run` promises what `Network` gives at once.
  constructor(about, image, weights, numbers, asked) {
    const part = place => numbers.subarray(place[0], place[0] + place[1]);
    const network = (layers, shape) => layers && new Network(layers, shape, weights);
    const { size } = about;
    Object.assign(this, { name: about.name, about: about.about, said: about.said, size, reach: about.reach });
    const elsewhere = (...what) => (about.asked === null ? null : asked(...what));
    this.encoder = network(about.encoder, image) ?? elsewhere("encode", size);
    this.decoder = network(about.decoder, [size]) ?? elsewhere("decode", image.reduce((a, b) => a * b));
    this.nearest = network(about.nearest, [size]);
    for (const name of ["mean", "low", "high", "response", "scale", "decoded"]) this[name] = part(about[name]);
    this.codes = rows(part(about.codes), size);
    this.train = rows(part(about.train), size);
    this.axes = rows(part(about.axes), size);
    this.means = new Map(Object.entries(about.means).map(([label, place]) => [label, part(place)]));
    this.order = about.order;  // of the units, first those that change the output most
  }

  // The code of an image; promised to `asker` where the encoder is not in the page, see `AskedNetwork`.
  encode(values, asker) {
    return this.encoder.run(values, asker);
  }

  // The image of any code: where the bottleneck cannot give it, of the nearest that it can. Promised likewise.
  decode(code, asker) {
    return this.decoder.run(this.nearest ? this.nearest.run(code) : code, asker);
  }

  // How far a code lies from the nearest training code, in the distance within which nearly all of these have one:
  // above 1 it lies outside of their density.
  strangeness(code) {
    let least = Infinity;
    for (const known of this.train) {
      let distance = 0;
      for (let i = 0; i < this.size && distance < least; i++) distance += ((code[i] - known[i]) * this.scale[i]) ** 2;
      if (distance < least) least = distance;
    }
    return Math.sqrt(least) / this.reach;
  }

  // Largest difference from what PyTorch itself gave: [of decoded images, of codes]; NaN where no answer came.
  async differences(images) {
    const count = Math.min(this.decoded.length / images[0].length, images.length);
    let decoding = 0, encoding = 0;
    for (let i = 0; i < count; i++) {
      const wanted = this.decoded.subarray(i * images[i].length, (i + 1) * images[i].length);
      decoding = Math.max(decoding, largest(await this.decoder.run(this.codes[i], this), wanted));
      if (this.encoder) encoding = Math.max(encoding, largest(await this.encode(images[i], this), this.codes[i]));
    }
    return [decoding, encoding];
  }
}

export function rows(values, size) {
  return Array.from({ length: values.length / size }, (_, i) => values.subarray(i * size, (i + 1) * size));
}

export function meanSquare(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
}

// The sum of vectors, each times its weight.
export function combined(vectors, weights) {
  return vectors[0].map((_, i) => vectors.reduce((sum, vector, k) => sum + weights[k] * vector[i], 0));
}

function largest(a, b) {
  return a === null ? NaN : a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}
