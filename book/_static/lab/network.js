// @ts-check
// The pretrained network in plain JavaScript: weights out of a script, pixels to the network's size, the forward pass.
//
// The page turns this function into the text of a worker, so it may use nothing from outside itself.
(/** @type {any} */ (globalThis)).hsLab ??= {};
(/** @type {any} */ (globalThis)).hsLab.network = () => {
  /** @typedef {{kind: "full" | "depthwise" | "pointwise", side: number, stride: number, from: number, to: number,
   *   relu: boolean, keep: boolean, add: boolean}} Step one convolution of the plan */
  /** @typedef {Float64Array} Numbers */

  /** IEEE half precision to numbers. @param {ArrayBuffer} buffer */
  function halves(buffer) {
    const words = new Uint16Array(buffer);
    const out = new Float64Array(words.length);
    for (let i = 0; i < words.length; i += 1) {
      const [sign, power, rest] = [words[i] >> 15 ? -1 : 1, (words[i] >> 10) & 31, words[i] & 1023];
      out[i] = sign * (power ? 2 ** (power - 15) * (1 + rest / 1024) : rest * 2 ** -24);
    }
    return out;
  }

  /** Which pixels make one pixel of the smaller line, and how much of each: the triangle filter of torch's antialiased
   * bilinear interpolation. @param {number} from @param {number} to */
  function taps(from, to) {
    const scale = from / to;
    const reach = Math.max(1, scale);
    return Array.from({ length: to }, (_, i) => {
      const centre = scale * (i + 0.5);
      const first = Math.max(0, Math.trunc(centre - reach + 0.5));
      const last = Math.min(from, Math.trunc(centre + reach + 0.5));
      const weights = Array.from({ length: last - first },
        (_j, j) => Math.max(0, 1 - Math.abs((j + first - centre + 0.5) / reach)));
      const sum = weights.reduce((a, b) => a + b, 0);
      return { first, weights: weights.map((w) => w / sum) };
    });
  }

  /** Rows of RGBA pixels to `side` × `side` × 3 numbers from 0 to 255; rows may come in several parts.
   * @param {number} width @param {number} height @param {number} side */
  function resizer(width, height, side) {
    const across = taps(width, side);
    const down = taps(height, side);
    const out = new Float64Array(side * side * 3);
    const row = new Float64Array(side * 3);
    return {
      out,
      /** @param {Uint8ClampedArray | Uint8Array} data @param {number} top */
      rows(data, top) {
        for (let y = 0; y < data.length / 4 / width; y += 1) {
          row.fill(0);
          across.forEach(({ first, weights }, x) => {
            let at = 4 * (y * width + first);
            for (const w of weights) {
              row[3 * x] += w * data[at];
              row[3 * x + 1] += w * data[at + 1];
              row[3 * x + 2] += w * data[at + 2];
              at += 4;
            }
          });
          down.forEach(({ first, weights }, i) => {
            const w = weights[top + y - first];
            if (w) for (let j = 0; j < row.length; j += 1) out[i * side * 3 + j] += w * row[j];
          });
        }
      },
    };
  }

  /** @param {Uint8ClampedArray | Uint8Array} data @param {number} width @param {number} height @param {number} side */
  function resize(data, width, height, side) {
    const made = resizer(width, height, side);
    made.rows(data, 0);
    return made.out;
  }

  /** A convolution over single pixels, four pixels and four channels at once. @param {Numbers} x @param {Numbers} w
   * @param {Numbers} b @param {number} pixels @param {number} from @param {number} to */
  function pointwise(x, w, b, pixels, from, to) {
    const out = new Float64Array(pixels * to);
    for (let o = 0; o < to; o += 4) {
      const [w0, w1, w2, w3] = [o * from, (o + 1) * from, (o + 2) * from, (o + 3) * from];
      let p = 0;
      for (; p + 1 < pixels; p += 2) {
        const [xa, xb] = [p * from, (p + 1) * from];
        let [a0, a1, a2, a3] = [b[o], b[o + 1], b[o + 2], b[o + 3]];
        let [b0, b1, b2, b3] = [a0, a1, a2, a3];
        for (let i = 0; i < from; i += 1) {
          const left = x[xa + i];
          const right = x[xb + i];
          const k0 = w[w0 + i];
          const k1 = w[w1 + i];
          const k2 = w[w2 + i];
          const k3 = w[w3 + i];
          a0 += left * k0; a1 += left * k1; a2 += left * k2; a3 += left * k3;
          b0 += right * k0; b1 += right * k1; b2 += right * k2; b3 += right * k3;
        }
        const [at, next] = [p * to + o, (p + 1) * to + o];
        out[at] = a0; out[at + 1] = a1; out[at + 2] = a2; out[at + 3] = a3;
        out[next] = b0; out[next + 1] = b1; out[next + 2] = b2; out[next + 3] = b3;
      }
      for (; p < pixels; p += 1) {
        for (let j = o; j < o + 4; j += 1) {
          let sum = b[j];
          for (let i = 0; i < from; i += 1) sum += x[p * from + i] * w[j * from + i];
          out[p * to + j] = sum;
        }
      }
    }
    return out;
  }

  /** The stem (every input channel) or a depthwise convolution (each channel alone), padded as TensorFlow pads.
   * @param {Numbers} x @param {Numbers} w @param {Numbers} b @param {number} size @param {Step} step */
  function spatial(x, w, b, size, { kind, side, stride, from, to }) {
    const small = Math.ceil(size / stride);
    const before = Math.floor(Math.max(0, (small - 1) * stride + side - size) / 2);
    const out = new Float64Array(small * small * to);
    for (let p = 0; p < small * small; p += 1) {
      const base = p * to;
      for (let c = 0; c < to; c += 1) out[base + c] = b[c];
      for (let tap = 0; tap < side * side; tap += 1) {
        const row = Math.floor(p / small) * stride - before + Math.floor(tap / side);
        const column = (p % small) * stride - before + (tap % side);
        if (row < 0 || row >= size || column < 0 || column >= size) continue;
        const at = (row * size + column) * from;
        if (kind === "depthwise") {
          const first = tap * to;
          for (let c = 0; c < to; c += 1) out[base + c] += x[at + c] * w[first + c];
        } else {
          for (let c = 0; c < to; c += 1) {
            for (let i = 0; i < from; i += 1) out[base + c] += x[at + i] * w[(tap * from + i) * to + c];
          }
        }
      }
    }
    return out;
  }

  /** A function from pixels (side × side × 3, 0 to 255) to features. @param {ArrayBuffer} buffer @param {Step[]} plan */
  function network(buffer, plan) {
    const numbers = halves(buffer);
    let at = 0;
    const take = (/** @type {number} */ count) => numbers.subarray(at, (at += count));
    const layers = plan.map((step) => {
      const w = take(step.side * step.side * step.to * (step.kind === "depthwise" ? 1 : step.from));
      return { step, w, b: take(step.to) };
    });
    if (at !== numbers.length) throw new Error("The weights do not fit the plan of the network.");
    return (/** @type {Numbers} */ pixels) => {
      let size = Math.sqrt(pixels.length / 3);
      let x = pixels.map((v) => v / 127.5 - 1);
      let kept = x;
      for (const { step, w, b } of layers) {
        if (step.keep) kept = x;
        x = step.kind === "pointwise" ? pointwise(x, w, b, size * size, step.from, step.to) : spatial(x, w, b, size, step);
        size = Math.ceil(size / step.stride);
        if (step.relu) for (let i = 0; i < x.length; i += 1) x[i] = x[i] < 0 ? 0 : x[i] > 6 ? 6 : x[i];
        if (step.add) for (let i = 0; i < x.length; i += 1) x[i] += kept[i];
      }
      const width = plan[plan.length - 1].to;
      const mean = new Float64Array(width);
      for (let i = 0; i < x.length; i += 1) mean[i % width] += x[i] / (size * size);
      return mean;
    };
  }

  return { halves, network, resize, resizer };
};
