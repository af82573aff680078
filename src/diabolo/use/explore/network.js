// The forward pass of a network, layer by layer, for one image. A layer is {kind, ...} as layers.py describes it; maps
// are flat arrays in the order of PyTorch: channels, rows, columns.

export class Network {
  // layers: descriptions; shape: of what goes in, [numbers] or [channels, height, width]; weights: Float32Array.
  constructor(layers, shape, weights) {
    Object.assign(this, { layers, shape, weights });
  }

  run(values) {
    return through(this.layers, { values, shape: this.shape }, this.weights).values;
  }
}

function through(layers, maps, weights) {
  for (const layer of layers) {
    if (!LAYERS[layer.kind]) throw new Error(`unknown layer ${layer.kind}`);
    maps = LAYERS[layer.kind](maps, layer, place => place && weights.subarray(place[0], place[0] + place[1]), weights);
  }
  return maps;
}

const LAYERS = {
  reshape: ({ values, shape }, layer) => ({ values, shape: layer.shape[0] < 0 ? [values.length] : layer.shape }),

  permute({ values, shape }, { order }) {  // of three axes
    const out = new Float32Array(values.length), to = order.map(axis => shape[axis]), at = [0, 0, 0];
    let place = 0;
    for (at[order[0]] = 0; at[order[0]] < to[0]; at[order[0]]++) {
      for (at[order[1]] = 0; at[order[1]] < to[1]; at[order[1]]++) {
        for (at[order[2]] = 0; at[order[2]] < to[2]; at[order[2]]++) {
          out[place++] = values[(at[0] * shape[1] + at[1]) * shape[2] + at[2]];
        }
      }
    }
    return { values: out, shape: to };
  },

  linear({ values }, { outputs, transposed, ...layer }, numbers) {
    const weight = numbers(layer.weight), bias = numbers(layer.bias), inputs = values.length;
    const out = new Float32Array(outputs);
    const [step, next] = transposed ? [1, outputs] : [inputs, 1];
    for (let o = 0; o < outputs; o++) {
      let sum = bias ? bias[o] : 0;
      for (let i = 0, w = o * step; i < inputs; i++, w += next) sum += weight[w] * values[i];
      out[o] = sum;
    }
    return { values: out, shape: [outputs] };
  },

  convolution({ values, shape }, layer, numbers) {
    const { kernel, stride, padding, outputs, transposed, more } = layer;
    const weight = numbers(layer.weight), bias = numbers(layer.bias);
    const [inputs, ...size] = shape, [kh, kw] = kernel;
    const side = axis => transposed
      ? (size[axis] - 1) * stride[axis] - 2 * padding[axis] + kernel[axis] + more[axis]
      : Math.floor((size[axis] + 2 * padding[axis] - kernel[axis]) / stride[axis]) + 1;
    const target = [side(0), side(1)], from = size[0] * size[1], to = target[0] * target[1];
    const out = new Float32Array(outputs * to);
    if (bias) for (let o = 0; o < outputs; o++) out.fill(bias[o], o * to, (o + 1) * to);
    // Both ways a weight joins the places (y, x) of the smaller grid with (y * stride - padding + k) of the larger one.
    const [few, many] = transposed ? [size, target] : [target, size];
    for (let ky = 0; ky < kh; ky++) {
      const [top, bottom] = range(few[0], many[0], stride[0], ky - padding[0]);
      for (let kx = 0; kx < kw; kx++) {
        const [left, right] = range(few[1], many[1], stride[1], kx - padding[1]);
        for (let o = 0; o < outputs; o++) {
          for (let i = 0; i < inputs; i++) {
            const w = weight[((transposed ? i * outputs + o : o * inputs + i) * kh + ky) * kw + kx];
            if (w === 0) continue;
            for (let y = top; y < bottom; y++) {
              const small = y * few[1], large = (y * stride[0] + ky - padding[0]) * many[1] + kx - padding[1];
              if (transposed) {
                const a = i * from + small, b = o * to + large;
                for (let x = left; x < right; x++) out[b + x * stride[1]] += w * values[a + x];
              } else {
                const a = i * from + large, b = o * to + small;
                for (let x = left; x < right; x++) out[b + x] += w * values[a + x * stride[1]];
              }
            }
          }
        }
      }
    }
    return { values: out, shape: [outputs, ...target] };
  },

  scaling({ values, shape }, layer, numbers) {
    const scale = numbers(layer.scale), shift = numbers(layer.shift), each = values.length / scale.length;
    return { values: values.map((value, i) => value * scale[(i / each) | 0] + shift[(i / each) | 0]), shape };
  },

  group_norm({ values, shape }, { groups, epsilon }) {
    const out = new Float32Array(values.length), each = values.length / groups;
    for (let start = 0; start < values.length; start += each) {
      let mean = 0, variance = 0;
      for (let i = start; i < start + each; i++) mean += values[i] / each;
      for (let i = start; i < start + each; i++) variance += (values[i] - mean) ** 2 / each;
      const scale = 1 / Math.sqrt(variance + epsilon);
      for (let i = start; i < start + each; i++) out[i] = (values[i] - mean) * scale;
    }
    return { values: out, shape };
  },

  activation: ({ values, shape }, { name }) => ({ values: values.map(ACTIVATIONS[name]), shape }),

  pooling({ values, shape: [channels, height, width] }, { mode }) {
    const size = [Math.ceil(height / 2), Math.ceil(width / 2)];
    return eachPlace(channels, size, (channel, y, x) => {
      let most = -Infinity, sum = 0, count = 0;
      for (let v = 2 * y; v < Math.min(2 * y + 2, height); v++) {
        for (let u = 2 * x; u < Math.min(2 * x + 2, width); u++, count++) {
          const value = values[(channel * height + v) * width + u];
          sum += value;
          if (value > most) most = value;
        }
      }
      return mode === "max" ? most : sum / count;
    });
  },

  nearest({ values, shape: [channels, height, width] }, { size }) {
    return eachPlace(channels, size, (channel, y, x) =>
      values[(channel * height + Math.floor((y * height) / size[0])) * width + Math.floor((x * width) / size[1])]);
  },

  bilinear({ values, shape: [channels, height, width] }, { size }) {
    const rows = between(height, size[0]), columns = between(width, size[1]);
    return eachPlace(channels, size, (channel, y, x) => {
      const [top, bottom, down] = rows[y], [left, right, across] = columns[x], start = channel * height;
      const line = row => (1 - across) * values[(start + row) * width + left] + across * values[(start + row) * width + right];
      return (1 - down) * line(top) + down * line(bottom);
    });
  },

  nails({ values, shape: [channels, height, width] }, { size }) {
    return eachPlace(channels, size, (channel, y, x) =>
      y % 2 || x % 2 ? 0 : values[(channel * height + y / 2) * width + x / 2]);
  },

  shuffle({ values, shape: [channels, height, width] }, { size }) {
    return eachPlace(channels / 4, size, (channel, y, x) =>
      values[((4 * channel + 2 * (y % 2) + (x % 2)) * height + (y >> 1)) * width + (x >> 1)]);
  },

  residual(maps, { layers }, _, weights) {
    const { values } = through(layers, maps, weights);
    return { values: values.map((value, i) => value + maps.values[i]), shape: maps.shape };
  },

  // ---- bottlenecks ----

  first: ({ values }, { count }) => ({ values: values.slice(0, count), shape: [count] }),

  top_k({ values, shape }, { k }) {
    const kept = new Set([...values.keys()].sort((a, b) => values[b] - values[a]).slice(0, k));
    return { values: values.map((value, i) => (kept.has(i) ? value : 0)), shape };
  },

  codebook({ values, shape }, layer, numbers) {
    const entries = numbers(layer.entries), { dim } = layer, out = new Float32Array(values.length);
    for (let start = 0; start < values.length; start += dim) {
      let best = 0, least = Infinity;
      for (let entry = 0; entry < entries.length; entry += dim) {
        let distance = 0;
        for (let i = 0; i < dim; i++) distance += (values[start + i] - entries[entry + i]) ** 2;
        if (distance < least) [best, least] = [entry, distance];
      }
      out.set(entries.subarray(best, best + dim), start);
    }
    return { values: out, shape };
  },

  bounded({ values, shape }, { half, offset, shift }) {
    const at = i => i % half.length;
    return { values: values.map((v, i) => Math.tanh(v + shift[at(i)]) * half[at(i)] - offset[at(i)]), shape };
  },

  levels({ values, shape }, { levels, width }) {  // rounded to steps of 1 / half; of width 1 where they are steps already
    return {
      values: values.map((value, i) => {
        const level = levels[i % levels.length], half = Math.floor(level / 2);
        return Math.min(Math.max(roundEven(value * (width || half)), -half), level - 1 - half) / half;
      }),
      shape,
    };
  },
};

const ACTIVATIONS = {
  relu: x => (x > 0 ? x : 0),
  leaky_relu: x => (x > 0 ? x : 0.01 * x),
  elu: x => (x > 0 ? x : Math.expm1(x)),
  gelu: x => (x * erfc(-x / Math.SQRT2)) / 2,
  silu: x => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  sigmoid: x => 1 / (1 + Math.exp(-x)),
};

// The places of the smaller grid whose partner at place * stride + offset lies within the larger one.
function range(few, many, stride, offset) {
  return [Math.max(0, Math.ceil(-offset / stride)), Math.min(few, Math.floor((many - 1 - offset) / stride) + 1)];
}

function eachPlace(channels, [height, width], value) {
  const values = new Float32Array(channels * height * width);
  for (let channel = 0, at = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) values[at++] = value(channel, y, x);
  }
  return { values, shape: [channels, height, width] };
}

// For each place of a resized axis its two neighbours and how far it lies from the first to the second, pixels being
// areas (align_corners=False).
function between(from, to) {
  return Array.from({ length: to }, (_, place) => {
    const source = Math.max(0, ((place + 0.5) * from) / to - 0.5), low = Math.floor(source);
    return [low, Math.min(low + 1, from - 1), source - low];
  });
}

function roundEven(x) {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

// The complementary error function to 1.2e-7 (Press et al., "Numerical Recipes", section 6.2, erfcc).
function erfc(x) {
  const t = 1 / (1 + Math.abs(x) / 2);
  const powers = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277];
  const tail = t * Math.exp(-x * x + powers.reduceRight((sum, power) => power + t * sum, 0));
  return x >= 0 ? tail : 2 - tail;
}
