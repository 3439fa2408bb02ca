// @ts-check
// What is learned from few photographs: NumPy's draws, the linear probe, the nearest mean, a small network from scratch.
//
// The page turns this function into the text of a worker, so it may use nothing from outside itself.
(/** @type {any} */ (globalThis)).hsLab ??= {};
(/** @type {any} */ (globalThis)).hsLab.probe = () => {
  /** @typedef {Float64Array} Numbers */

  /** NumPy's default_rng(seed): SeedSequence and PCG64, for a seed below 2³². @param {number} seed */
  function generator(seed) {
    let hash = 0x43b0d7e5;
    const mixed = (/** @type {number} */ value) => {
      value ^= hash;
      hash = Math.imul(hash, 0x931e8875);
      value = Math.imul(value, hash);
      return (value ^ (value >>> 16)) >>> 0;
    };
    const mix = (/** @type {number} */ x, /** @type {number} */ y) => {
      const value = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
      return (value ^ (value >>> 16)) >>> 0;
    };
    const pool = [seed, 0, 0, 0].map(mixed);
    for (let i = 0; i < 4; i += 1) for (let j = 0; j < 4; j += 1) if (i !== j) pool[j] = mix(pool[j], mixed(pool[i]));
    let state = 0x8b51f9dd;
    const words = Array.from({ length: 8 }, (_, i) => {
      let value = pool[i % 4] ^ state;
      state = Math.imul(state, 0x58f38ded);
      value = Math.imul(value, state);
      return BigInt((value ^ (value >>> 16)) >>> 0);
    });
    const long = (/** @type {number} */ i) => words[i] | (words[i + 1] << 32n);
    const mask = (1n << 128n) - 1n;
    const step = ((long(4) << 65n) | (long(6) << 1n) | 1n) & mask;
    let now = step;
    const move = () => { now = (now * 0x2360ed051fc65da44385df649fccf645n + step) & mask; };
    now = (now + ((long(0) << 64n) | long(2))) & mask;
    move();
    /** @type {number | null} */
    let spare = null;
    /** 32 random bits. */
    function next() {
      if (spare != null) {
        const value = spare;
        spare = null;
        return value;
      }
      move();
      const folded = BigInt.asUintN(64, (now >> 64n) ^ now);
      const turn = now >> 122n;
      const value = BigInt.asUintN(64, (folded >> turn) | (folded << ((64n - turn) & 63n)));
      spare = Number(value >> 32n);
      return Number(value & 0xffffffffn);
    }
    /** A whole number from 0 to `last`: NumPy draws bits until they fit. @param {number} last */
    function below(last) {
      const bits = 2 ** (32 - Math.clz32(last)) - 1;
      let value = (next() & bits) >>> 0;
      while (value > last) value = (next() & bits) >>> 0;
      return value;
    }
    return {
      /** From 0 to 1. */
      uniform: () => next() / 2 ** 32,
      /** @param {number[]} list */
      permutation(list) {
        const out = [...list];
        for (let i = out.length - 1; i > 0; i -= 1) {
          const j = below(i);
          [out[i], out[j]] = [out[j], out[i]];
        }
        return out;
      },
    };
  }

  /** transferlib's nested_subset: n of every class, ordered so that the first k · classes are the subset for k.
   * @param {number[]} y @param {number} n @param {number} seed */
  function nested(y, n, seed) {
    const rng = generator(seed);
    const classes = [...new Set(y)].sort((a, b) => a - b);
    const picks = classes.map((c) => rng.permutation(y.flatMap((label, i) => (label === c ? [i] : []))));
    return Array.from({ length: n }, (_, i) => picks.map((pick) => pick[i])).flat();
  }

  /** All products of rows. @param {ArrayLike<number>[]} x @returns {Numbers[]} */
  function gram(x) {
    const out = x.map(() => new Float64Array(x.length));
    for (let i = 0; i < x.length; i += 1) {
      for (let j = 0; j <= i; j += 1) {
        let sum = 0;
        for (let d = 0; d < x[i].length; d += 1) sum += x[i][d] * x[j][d];
        out[i][j] = sum;
        out[j][i] = sum;
      }
    }
    return out;
  }

  /** The lower triangle L of A + shift · I = L Lᵀ, turned round: L⁻¹. @param {Numbers[]} a @param {number} shift */
  function inverseRoot(a, shift) {
    const n = a.length;
    const low = a.map(() => new Float64Array(n));
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j <= i; j += 1) {
        let sum = a[i][j] + (i === j ? shift : 0);
        for (let k = 0; k < j; k += 1) sum -= low[i][k] * low[j][k];
        low[i][j] = i === j ? Math.sqrt(Math.max(sum, 1e-300)) : sum / low[j][j];
      }
    }
    const inverse = a.map(() => new Float64Array(n));
    for (let j = 0; j < n; j += 1) {
      inverse[j][j] = 1 / low[j][j];
      for (let i = j + 1; i < n; i += 1) {
        let sum = 0;
        for (let k = j; k < i; k += 1) sum -= low[i][k] * inverse[k][j];
        inverse[i][j] = sum / low[i][i];
      }
    }
    return inverse;
  }

  const LAMBDAS = Array.from({ length: 12 }, (_, i) => 10 ** (-3 + (5 * i) / 11));

  /** Ridge on one-hot targets for the photographs `rows`; λ by the closed-form leave-one-out error.
   * @param {Numbers[]} products of all photographs @param {number[]} y @param {number[]} rows @param {number} classes
   * @param {number[]} [lambdas] */
  function fit(products, y, rows, classes, lambdas = LAMBDAS) {
    const n = rows.length;
    const own = rows.map((i) => Float64Array.from(rows, (j) => products[i][j]));
    const mean = own.map((row) => row.reduce((a, b) => a + b, 0) / n);
    const all = mean.reduce((a, b) => a + b, 0) / n;
    const centred = own.map((row, i) => row.map((v, j) => v - mean[i] - mean[j] + all));
    const share = Array.from({ length: classes }, (_, c) => rows.filter((i) => y[i] === c).length / n);
    const length = centred.reduce((sum, row, i) => sum + row[i], 0) / n;
    let best = { error: Infinity, lambda: lambdas[lambdas.length - 1], alpha: rows.map(() => new Float64Array(classes)), left: rows.map(() => new Float64Array(classes)) };
    for (const lambda of length > 0 ? lambdas : []) {
      const shift = lambda * length;
      const root = inverseRoot(centred, shift);
      const diagonal = rows.map((_, i) => root.reduce((sum, row) => sum + row[i] ** 2, 0));
      const alpha = rows.map(() => new Float64Array(classes));
      const left = rows.map(() => new Float64Array(classes));
      let error = 0;
      for (let c = 0; c < classes; c += 1) {
        const goal = rows.map((i) => Number(y[i] === c) - share[c]);
        const half = root.map((row) => goal.reduce((sum, g, j) => sum + row[j] * g, 0));
        for (let i = 0; i < n; i += 1) {
          let sum = 0;
          for (let j = i; j < n; j += 1) sum += root[j][i] * half[j];
          alpha[i][c] = sum;
          const residual = (shift * sum) / (shift * diagonal[i] - 1 / n);
          left[i][c] = goal[i] + share[c] - residual;
          error += residual ** 2 / (n * classes);
        }
      }
      if (error < best.error) best = { error, lambda, alpha, left };
    }
    return { ...best, mean, share, rows };
  }

  /** Scores of a photograph from its products with all photographs. @param {ReturnType<typeof fit>} probe
   * @param {ArrayLike<number>} products */
  const scores = ({ alpha, mean, share, rows }, products) => share.map((base, c) =>
    rows.reduce((sum, row, i) => sum + alpha[i][c] * (products[row] - mean[i]), base));

  /** The probe as a linear layer: scores = weight · features + bias. @param {ReturnType<typeof fit>} probe
   * @param {ArrayLike<number>[]} x features of all photographs */
  function linear({ alpha, mean, share, rows }, x) {
    const weight = share.map((_, c) => {
      const out = new Array(x[0].length).fill(0);
      rows.forEach((row, i) => { for (let d = 0; d < out.length; d += 1) out[d] += alpha[i][c] * x[row][d]; });
      return out;
    });
    return { weight, bias: share.map((base, c) => rows.reduce((sum, _, i) => sum - alpha[i][c] * mean[i], base)) };
  }

  /** @param {number[]} list */
  const largest = (list) => list.indexOf(Math.max(...list));

  /** The class whose mean is nearest, for every photograph. @param {Numbers[]} products @param {number[]} y
   * @param {number[]} rows @param {number[]} test @param {number} classes */
  function nearestMean(products, y, rows, test, classes) {
    const groups = Array.from({ length: classes }, (_, c) => rows.filter((i) => y[i] === c));
    const mean = (/** @type {number} */ i, /** @type {number[]} */ group) => group.reduce((sum, j) => sum + products[i][j], 0) / group.length;
    const norms = groups.map((group) => group.reduce((sum, i) => sum + mean(i, group), 0) / group.length);
    return test.map((t) => largest(groups.map((group, c) => 2 * mean(t, group) - norms[c])));
  }

  /** Accuracy where every class counts the same. @param {number[]} answers @param {number[]} y @param {number[]} test
   * @param {number} classes */
  function accuracy(answers, y, test, classes) {
    let sum = 0;
    for (let c = 0; c < classes; c += 1) {
      const mine = test.flatMap((t, i) => (y[t] === c ? [answers[i] === c ? 1 : 0] : []));
      sum += mine.reduce((/** @type {number} */ a, b) => a + b, 0) / mine.length / classes;
    }
    return sum;
  }

  /** transferlib's small convolutional network and its training: AdamW, cosine schedule, BatchNorm refreshed at the end.
   * Pictures are side × side × 3 numbers from −1 to 1; every convolution is a product of the pixels' surroundings.
   * @param {{classes: number, width?: number, side?: number, seed?: number, start?: number[][], tools: any}} shape
   * `tools`: what network.js gives, with a kernel */
  function smallCNN({ classes, width = 8, side = 32, seed = 0, start, tools: { kernel, surroundings } }) {
    const rng = generator(seed);
    const channels = [3, width, 2 * width, 4 * width];
    const sides = [side, side / 2, side / 4];
    const uniform = (/** @type {number} */ count, /** @type {number} */ fan) => Float64Array.from({ length: count }, () => (2 * rng.uniform() - 1) / Math.sqrt(fan));
    /** @type {Float64Array[]} as PyTorch orders them: (o, i, row, column), scale, shift, three times; head, bias */
    const params = [];
    for (let l = 0; l < 3; l += 1) params.push(uniform(9 * channels[l] * channels[l + 1], 9 * channels[l]), new Float64Array(channels[l + 1]).fill(1), new Float64Array(channels[l + 1]));
    params.push(uniform(16 * width * classes, 16 * width), new Float64Array(classes));
    start?.forEach((values, i) => params[i].set(values));
    const running = channels.slice(1).map((c) => ({ mean: new Float64Array(c), variance: new Float64Array(c) }));
    const last = side / 8; // side of the last map, pooled to 2 × 2 means of cell × cell
    const cell = last / 2;
    const deep = 4 * width;
    /** Where a number of the last map (row, column, channel) goes among the pooled ones (channel, row, column).
     * @param {number} at */
    const pooledAt = (at) => {
      const [c, p] = [at % deep, Math.floor(at / deep)];
      return 4 * c + 2 * Math.floor(Math.floor(p / last) / cell) + Math.floor((p % last) / cell);
    };
    const home = Int32Array.from({ length: deep * last * last }, (_, at) => pooledAt(at));

    /** Convolution, 3 × 3, of n pictures: their surroundings, and out (n · area, to).
     * @param {Float32Array} x @param {Float32Array} w (9 · from, to) @param {number} n @param {number} size
     * @param {number} from @param {number} to */
    function conv(x, w, n, size, from, to) {
      const [area, wide] = [size * size, 9 * from];
      const around = kernel.floats(n * area * wide);
      for (let i = 0; i < n; i += 1) {
        surroundings(x.subarray(i * area * from, (i + 1) * area * from), around.subarray(i * area * wide, (i + 1) * area * wide),
          { size, small: size, stride: 1, before: 1, side: 3, from });
      }
      const out = kernel.floats(n * area * to);
      kernel.gemm({ x: around, xp: wide, xi: 1, w, wi: to, wo: 8, b: kernel.floats(to), out, op: to, pixels: n * area, from: wide, to });
      return { around, out };
    }

    /** @param {Float32Array} x n pictures @param {number} n @param {boolean} train */
    function forward(x, n, train) {
      /** @type {any[]} */
      const tape = [];
      for (let l = 0; l < 3; l += 1) {
        const [from, to, s] = [channels[l], channels[l + 1], sides[l]];
        const [half, count] = [s / 2, n * s * s];
        const w = kernel.floats(9 * from * to);
        for (let o = 0; o < to; o += 1) for (let i = 0; i < from; i += 1) for (let q = 0; q < 9; q += 1) w[(q * from + i) * to + o] = params[3 * l][(o * from + i) * 9 + q];
        const { around, out: normal } = conv(x, w, n, s, from, to);
        const { mean, variance } = running[l];
        if (train) {
          mean.fill(0);
          variance.fill(0);
          for (let p = 0; p < count * to; p += to) for (let c = 0; c < to; c += 1) mean[c] += normal[p + c] / count;
          for (let p = 0; p < count * to; p += to) for (let c = 0; c < to; c += 1) variance[c] += (normal[p + c] - mean[c]) ** 2 / count;
        }
        const scale = variance.map((v) => 1 / Math.sqrt(v + 1e-5));
        for (let p = 0; p < count * to; p += to) for (let c = 0; c < to; c += 1) normal[p + c] = (normal[p + c] - mean[c]) * scale[c];
        if (train) for (let c = 0; c < to; c += 1) variance[c] *= count / (count - 1);
        const [gamma, beta] = [params[3 * l + 1], params[3 * l + 2]];
        x = kernel.floats((count * to) / 4);
        const winner = new Int32Array(x.length).fill(-1); // which of four pixels was the largest; none above zero: −1
        for (let r = 0, at = 0; r < n * half; r += 1) for (let k = 0; k < half; k += 1) for (let c = 0; c < to; c += 1, at += 1) {
          for (let q = 0; q < 4; q += 1) {
            const p = ((2 * r + (q >> 1)) * s + 2 * k + (q & 1)) * to + c;
            const v = normal[p] * gamma[c] + beta[c];
            if (v > x[at]) { x[at] = v; winner[at] = p; }
          }
        }
        tape.push({ around, normal, scale, winner });
      }
      const pooled = Array.from({ length: n }, () => new Float64Array(16 * width));
      for (let i = 0; i < n; i += 1) for (let at = 0; at < home.length; at += 1) pooled[i][home[at]] += x[i * home.length + at] / cell / cell;
      const logits = pooled.map((row) => Array.from(params[10], (base, c) => {
        let sum = base;
        for (let d = 0; d < row.length; d += 1) sum += params[9][c * row.length + d] * row[d];
        return sum;
      }));
      return { tape, pooled, logits };
    }

    /** Loss and gradients. @param {Float32Array} x @param {number[]} y */
    function gradients(x, y) {
      const n = y.length;
      const { tape, pooled, logits } = forward(x, n, true);
      const grads = params.map((p) => new Float64Array(p.length));
      let loss = 0;
      let back = kernel.floats(n * home.length);
      logits.forEach((z, i) => {
        const top = Math.max(...z);
        const e = z.map((v) => Math.exp(v - top));
        const sum = e.reduce((a, b) => a + b, 0);
        loss -= (z[y[i]] - top - Math.log(sum)) / n;
        const dx = new Float64Array(16 * width);
        e.forEach((v, c) => {
          const d = (v / sum - Number(c === y[i])) / n;
          grads[10][c] += d;
          for (let j = 0; j < dx.length; j += 1) {
            grads[9][c * dx.length + j] += d * pooled[i][j];
            dx[j] += d * params[9][c * dx.length + j];
          }
        });
        for (let at = 0; at < home.length; at += 1) back[i * home.length + at] = dx[home[at]] / cell / cell;
      });
      for (let l = 2; l >= 0; l -= 1) {
        const [from, to, s] = [channels[l], channels[l + 1], sides[l]];
        const count = n * s * s;
        const { around, normal, scale, winner } = tape[l];
        const dz = kernel.floats(count * to);
        for (let at = 0; at < winner.length; at += 1) if (winner[at] >= 0) dz[winner[at]] = back[at];
        const [dot, sum] = [grads[3 * l + 1], grads[3 * l + 2]];
        for (let p = 0; p < count * to; p += to) for (let c = 0; c < to; c += 1) {
          sum[c] += dz[p + c];
          dot[c] += dz[p + c] * normal[p + c];
        }
        const k = scale.map((/** @type {number} */ v, /** @type {number} */ c) => params[3 * l + 1][c] * v);
        for (let p = 0; p < count * to; p += to) for (let c = 0; c < to; c += 1) {
          dz[p + c] = k[c] * (dz[p + c] - (sum[c] + normal[p + c] * dot[c]) / count);
        }
        // What the weights get: the surroundings, turned, times the gradient.
        const dw = kernel.floats(9 * from * to);
        kernel.gemm({ x: around, xp: 1, xi: 9 * from, w: dz, wi: to, wo: 8, b: kernel.floats(to), out: dw, op: to, pixels: 9 * from, from: count, to });
        for (let o = 0; o < to; o += 1) for (let i = 0; i < from; i += 1) for (let q = 0; q < 9; q += 1) grads[3 * l][(o * from + i) * 9 + q] = dw[(q * from + i) * to + o];
        if (!l) break;
        // What the input gets is a convolution, too, with the weights turned round.
        const turned = kernel.floats(9 * to * from);
        for (let o = 0; o < to; o += 1) for (let i = 0; i < from; i += 1) for (let q = 0; q < 9; q += 1) turned[(q * to + o) * from + i] = params[3 * l][(o * from + i) * 9 + 8 - q];
        back = conv(dz, turned, n, s, to, from).out;
      }
      return { loss, grads };
    }

    /** Pictures one after the other in the kernel's memory. @param {ArrayLike<number>[]} pictures */
    function together(pictures) {
      const x = kernel.floats(pictures.length * 3 * side * side);
      pictures.forEach((picture, i) => x.set(picture, i * 3 * side * side));
      return x;
    }

    return {
      /** @param {ArrayLike<number>[]} pictures @param {number[]} y @param {number} [steps] @param {number} [lr] */
      train(pictures, y, steps = 30, lr = 0.003) {
        const [m, v] = [params, params].map((list) => list.map((p) => new Float64Array(p.length)));
        const losses = [];
        /** @type {number[]} */
        let queue = [];
        for (let t = 1; t <= steps; t += 1) {
          if (queue.length < Math.min(32, y.length)) queue = rng.permutation(y.map((_, i) => i));
          const rows = queue.splice(0, 32);
          const mark = kernel.mark();
          const { loss, grads } = gradients(together(rows.map((i) => pictures[i])), rows.map((i) => y[i]));
          kernel.release(mark);
          const rate = (lr * (1 + Math.cos((Math.PI * (t - 1)) / steps))) / 2;
          losses.push(loss);
          const [first, second] = [1 - 0.9 ** t, 1 - 0.999 ** t];
          params.forEach((p, i) => {
            for (let j = 0; j < p.length; j += 1) {
              m[i][j] = 0.9 * m[i][j] + 0.1 * grads[i][j];
              v[i][j] = 0.999 * v[i][j] + 0.001 * grads[i][j] ** 2;
              p[j] -= rate * (0.01 * p[j] + m[i][j] / first / (Math.sqrt(v[i][j] / second) + 1e-8));
            }
          });
        }
        const mark = kernel.mark();
        const known = pictures.slice(0, 64);
        forward(together(known), known.length, true); // BatchNorm's statistics with the final weights
        kernel.release(mark);
        return losses;
      },
      /** @param {ArrayLike<number>} picture */
      predict(picture) {
        const mark = kernel.mark();
        const [z] = forward(together([picture]), 1, false).logits;
        kernel.release(mark);
        return largest(z);
      },
    };
  }

  return { LAMBDAS, accuracy, fit, generator, gram, largest, linear, nearestMean, nested, scores, smallCNN };
};
