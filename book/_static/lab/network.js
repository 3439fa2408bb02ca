// @ts-check
// The pretrained network in plain JavaScript: weights out of a script, pixels to the network's size, the forward pass.
//
// The page turns this function into the text of a worker, so it may use nothing from outside itself.
(/** @type {any} */ (globalThis)).hsLab ??= {};
(/** @type {any} */ (globalThis)).hsLab.network = () => {
  /** @typedef {{kind: "full" | "depthwise" | "pointwise", side: number, stride: number, from: number, to: number,
   *   relu: boolean, keep: boolean, add: boolean}} Step one convolution of the plan */
  /** @typedef {Float32Array} Numbers */
  /** @typedef {{x: Numbers, xp: number, xi: number, w: Numbers, wi: number, wo: number, b: Numbers, out: Numbers,
   *   op: number, pixels: number, from: number, to: number, low?: number, high?: number}} Product steps in numbers */
  /** @typedef {{x: Numbers, w: Numbers, b: Numbers, out: Numbers, size: number, small: number, stride: number,
   *   before: number, side: number, channels: number, low?: number, high?: number}} Depthwise */
  /** @typedef {{floats: (count: number) => Numbers, mark: () => number, release: (mark: number) => void,
   *   gemm: (product: Product) => void, depthwise: (step: Depthwise) => void}} Kernel */

  // ---------------------------------------------------------------- two kernels for the same arithmetic

  /** The plain one. @returns {Kernel} */
  function plainKernel() {
    return {
      floats: (count) => new Float32Array(count),
      mark: () => 0,
      release: () => {},
      // out[p, o] = clamp(b[o] + Σᵢ x[p, i] w[i, o]); eight outputs o lie side by side, `wo` apart from the next eight.
      gemm({ x, xp, xi, w, wi, wo, b, out, op, pixels, from, to, low = -Infinity, high = Infinity }) {
        for (let p = 0; p < pixels; p += 1) for (let o = 0; o < to; o += 1) {
          const first = Math.floor(o / 8) * wo + (o % 8);
          let sum = b[o];
          for (let i = 0; i < from; i += 1) sum += x[p * xp + i * xi] * w[first + i * wi];
          out[p * op + o] = Math.min(high, Math.max(low, sum));
        }
      },
      // out[p, c] = clamp(b[c] + Σ over the taps of x[p + tap, c] w[tap, c]); outside the picture is zero.
      depthwise({ x, w, b, out, size, small, stride, before, side, channels, low = -Infinity, high = Infinity }) {
        for (let p = 0; p < small * small; p += 1) for (let c = 0; c < channels; c += 1) {
          let sum = b[c];
          for (let tap = 0; tap < side * side; tap += 1) {
            const row = Math.floor(p / small) * stride - before + Math.floor(tap / side);
            const column = (p % small) * stride - before + (tap % side);
            if (row < 0 || row >= size || column < 0 || column >= size) continue;
            sum += x[(row * size + column) * channels + c] * w[tap * channels + c];
          }
          out[p * channels + c] = Math.min(high, Math.max(low, sum));
        }
      },
    };
  }

  /** The fast one, WebAssembly with SIMD (book/_ext/hs_lab_kernel.py): the same sums, four numbers at a time.
   * @param {BufferSource} bytes @param {number} [megabytes] of memory, taken as it is used @returns {Kernel} */
  function fastKernel(bytes, megabytes = 64) {
    const memory = new WebAssembly.Memory({ initial: 16 * megabytes });
    const { gemm, depthwise } = /** @type {any} */ (new WebAssembly.Instance(new WebAssembly.Module(bytes), { lab: { memory } }).exports);
    let at = 0;
    return {
      floats(count) {
        const made = new Float32Array(memory.buffer, at, count);
        at += 16 * Math.ceil(count / 4);
        return made.fill(0);
      },
      mark: () => at,
      release(mark) { at = mark; },
      gemm({ x, xp, xi, w, wi, wo, b, out, op, pixels, from, to, low = -Infinity, high = Infinity }) {
        gemm(x.byteOffset, 4 * xp, 4 * xi, w.byteOffset, 4 * wi, 4 * wo, b.byteOffset, out.byteOffset, 4 * op, pixels, from, to / 8, low, high);
      },
      depthwise({ x, w, b, out, size, small, stride, before, side, channels, low = -Infinity, high = Infinity }) {
        depthwise(x.byteOffset, w.byteOffset, b.byteOffset, out.byteOffset, size, small, stride, before, side, channels, low, high);
      },
    };
  }

  /** The fast kernel where the browser has SIMD, else the plain one. @param {BufferSource} bytes */
  const kernel = (bytes) => (WebAssembly.validate(bytes) ? fastKernel(bytes) : plainKernel());

  /** The 3 × 3 (or other) surroundings of every pixel, side by side: a convolution becomes one product.
   * @param {Numbers} x one picture, size × size × from @param {Numbers} out where its rows begin
   * @param {{size: number, small: number, stride: number, before: number, side: number, from: number}} step */
  function surroundings(x, out, { size, small, stride, before, side, from }) {
    let at = 0;
    for (let r = 0; r < small; r += 1) for (let k = 0; k < small; k += 1) for (let y = 0; y < side; y += 1) {
      const row = r * stride - before + y;
      for (let t = 0; t < side; t += 1) {
        const column = k * stride - before + t;
        const inside = row >= 0 && row < size && column >= 0 && column < size;
        const first = (row * size + column) * from;
        for (let i = 0; i < from; i += 1, at += 1) out[at] = inside ? x[first + i] : 0;
      }
    }
  }

  // ---------------------------------------------------------------- pixels and weights

  /** IEEE half precision to numbers. @param {ArrayBuffer} buffer @param {Numbers} out */
  function halves(buffer, out) {
    const words = new Uint16Array(buffer);
    const powers = Array.from({ length: 32 }, (_, i) => 2 ** (i - 25));
    for (let i = 0; i < words.length; i += 1) {
      const [word, rest] = [words[i], words[i] & 1023];
      const power = (word >> 10) & 31;
      const value = power ? powers[power] * (1024 + rest) : rest * powers[1];
      out[i] = word >> 15 ? -value : value;
    }
    return out;
  }

  /** Which pixels make one pixel of the smaller line, and how much of each: the triangle filter of torch's antialiased
   * bilinear interpolation, and of Pillow's. The line begins at `start` and is `length` long.
   * @param {number} from @param {number} to @param {number} start @param {number} length */
  function taps(from, to, start, length) {
    const scale = length / to;
    const reach = Math.max(1, scale);
    return Array.from({ length: to }, (_, i) => {
      const centre = start + scale * (i + 0.5);
      const first = Math.max(0, Math.trunc(centre - reach + 0.5));
      const last = Math.min(from, Math.trunc(centre + reach + 0.5));
      const weights = Array.from({ length: last - first },
        (_j, j) => Math.max(0, 1 - Math.abs((j + first - centre + 0.5) / reach)));
      const sum = weights.reduce((a, b) => a + b, 0);
      return { first, weights: weights.map((w) => w / sum) };
    });
  }

  /** Rows of RGBA pixels to the middle square, `side` × `side` × 3 numbers from 0 to 255; rows may come in several
   * parts. @param {number} width @param {number} height @param {number} side @param {boolean} [whole] the whole
   * picture, squeezed, instead of its middle square */
  function resizer(width, height, side, whole = false) {
    const short = Math.min(width, height);
    const line = (/** @type {number} */ length) => (whole ? taps(length, side, 0, length) : taps(length, side, (length - short) / 2, short));
    const across = line(width);
    const down = line(height);
    const out = new Float32Array(side * side * 3);
    const row = new Float64Array(side * 3);
    return {
      out,
      /** @param {Uint8ClampedArray | Uint8Array} data @param {number} top */
      rows(data, top) {
        for (let y = 0; y < data.length / 4 / width; y += 1) {
          const users = down.flatMap(({ first, weights }, i) => (weights[top + y - first] ? [[i, weights[top + y - first]]] : []));
          if (!users.length) continue;
          row.fill(0);
          for (let x = 0; x < side; x += 1) {
            const { first, weights } = across[x];
            let at = 4 * (y * width + first);
            let [red, green, blue] = [0, 0, 0];
            for (let j = 0; j < weights.length; j += 1, at += 4) {
              const w = weights[j];
              red += w * data[at];
              green += w * data[at + 1];
              blue += w * data[at + 2];
            }
            row[3 * x] = red;
            row[3 * x + 1] = green;
            row[3 * x + 2] = blue;
          }
          for (const [i, w] of users) for (let j = 0; j < row.length; j += 1) out[i * side * 3 + j] += w * row[j];
        }
      },
    };
  }

  /** @param {Uint8ClampedArray | Uint8Array} data @param {number} width @param {number} height @param {number} side
   * @param {boolean} [whole] */
  function resize(data, width, height, side, whole) {
    const made = resizer(width, height, side, whole);
    made.rows(data, 0);
    return made.out;
  }

  // ---------------------------------------------------------------- the network

  /** A function from pixels (side × side × 3, 0 to 255) to features.
   * @param {ArrayBuffer} buffer @param {Step[]} plan @param {Kernel} tools */
  function network(buffer, plan, tools) {
    const numbers = halves(buffer, tools.floats(buffer.byteLength / 2));
    let at = 0;
    const take = (/** @type {number} */ count) => numbers.subarray(at, (at += count));
    const layers = plan.map((step) => {
      const w = take(step.side * step.side * step.to * (step.kind === "depthwise" ? 1 : step.from));
      return { step, w, b: take(step.to) };
    });
    if (at !== numbers.length) throw new Error("The weights do not fit the plan of the network.");
    return (/** @type {ArrayLike<number>} */ pixels) => {
      const mark = tools.mark();
      let size = Math.sqrt(pixels.length / 3);
      let x = tools.floats(pixels.length);
      for (let i = 0; i < x.length; i += 1) x[i] = pixels[i] / 127.5 - 1;
      let kept = x;
      for (const { step, w, b } of layers) {
        const { kind, side, stride, from, to } = step;
        if (step.keep) kept = x;
        const small = Math.ceil(size / stride);
        // Padded as TensorFlow pads: what is left over stands behind.
        const before = Math.floor(Math.max(0, (small - 1) * stride + side - size) / 2);
        const out = tools.floats(small * small * to);
        const limits = step.relu ? { low: 0, high: 6 } : {};
        if (kind === "depthwise") tools.depthwise({ x, w, b, out, size, small, stride, before, side, channels: to, ...limits });
        else {
          const wide = side * side * from;
          let input = x;
          if (kind === "full") surroundings(x, input = tools.floats(small * small * wide), { size, small, stride, before, side, from });
          tools.gemm({ x: input, xp: wide, xi: 1, w, wi: to, wo: 8, b, out, op: to, pixels: small * small, from: wide, to, ...limits });
        }
        if (step.add) for (let i = 0; i < out.length; i += 1) out[i] += kept[i];
        x = out;
        size = small;
      }
      const width = plan[plan.length - 1].to;
      const mean = new Float64Array(width);
      for (let i = 0; i < x.length; i += 1) mean[i % width] += x[i] / (size * size);
      tools.release(mark);
      return mean;
    };
  }

  return { fastKernel, kernel, network, plainKernel, resize, resizer, surroundings };
};
