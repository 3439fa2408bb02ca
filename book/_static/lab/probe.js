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

  /** A convolution, 3 × 3, of one padded picture. @param {Numbers} x @param {Numbers} w @param {number} from
   * @param {number} to @param {number} side */
  function conv(x, w, from, to, side) {
    const [wide, area] = [side + 2, side * side];
    const out = new Float64Array(to * area);
    for (let o = 0; o < to; o += 1) for (let i = 0; i < from; i += 1) {
      const [k0, k1, k2, k3, k4, k5, k6, k7, k8] = w.subarray((o * from + i) * 9, (o * from + i) * 9 + 9);
      for (let r = 0; r < side; r += 1) {
        let a = i * wide * wide + r * wide;
        let b = o * area + r * side;
        for (const end = b + side; b < end; a += 1, b += 1) {
          const d = a + wide;
          const e = d + wide;
          out[b] += k0 * x[a] + k1 * x[a + 1] + k2 * x[a + 2] + k3 * x[d] + k4 * x[d + 1] + k5 * x[d + 2]
            + k6 * x[e] + k7 * x[e + 1] + k8 * x[e + 2];
        }
      }
    }
    return out;
  }

  /** Add what one picture says about the weights of that convolution: its output's gradient times its input.
   * @param {Numbers} x padded @param {Numbers} grad of the output @param {Numbers} w where it is added
   * @param {number} from @param {number} to @param {number} side */
  function weigh(x, grad, w, from, to, side) {
    const [wide, area] = [side + 2, side * side];
    for (let o = 0; o < to; o += 1) for (let i = 0; i < from; i += 1) {
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0, s8 = 0;
      for (let r = 0; r < side; r += 1) {
        let a = i * wide * wide + r * wide;
        let b = o * area + r * side;
        for (const end = b + side; b < end; a += 1, b += 1) {
          const g = grad[b];
          const d = a + wide;
          const e = d + wide;
          s0 += g * x[a]; s1 += g * x[a + 1]; s2 += g * x[a + 2];
          s3 += g * x[d]; s4 += g * x[d + 1]; s5 += g * x[d + 2];
          s6 += g * x[e]; s7 += g * x[e + 1]; s8 += g * x[e + 2];
        }
      }
      [s0, s1, s2, s3, s4, s5, s6, s7, s8].forEach((v, tap) => { w[(o * from + i) * 9 + tap] += v; });
    }
  }

  /** Planes with a border of zeros. @param {Numbers} planes @param {number} count @param {number} side */
  function pad(planes, count, side) {
    const wide = side + 2;
    const out = new Float64Array(count * wide * wide);
    for (let i = 0; i < count; i += 1) for (let r = 0; r < side; r += 1) {
      out.set(planes.subarray((i * side + r) * side, (i * side + r + 1) * side), (i * wide + r + 1) * wide + 1);
    }
    return out;
  }

  /** transferlib's small convolutional network and its training: AdamW, cosine schedule, BatchNorm refreshed at the end.
   * @param {{classes: number, width?: number, side?: number, seed?: number, start?: number[][]}} shape */
  function smallCNN({ classes, width = 8, side = 32, seed = 0, start }) {
    const rng = generator(seed);
    const channels = [3, width, 2 * width, 4 * width];
    const sides = [side, side / 2, side / 4];
    const uniform = (/** @type {number} */ count, /** @type {number} */ fan) => Float64Array.from({ length: count }, () => (2 * rng.uniform() - 1) / Math.sqrt(fan));
    /** @type {Float64Array[]} */
    const params = [];
    for (let l = 0; l < 3; l += 1) params.push(uniform(9 * channels[l] * channels[l + 1], 9 * channels[l]), new Float64Array(channels[l + 1]).fill(1), new Float64Array(channels[l + 1]));
    params.push(uniform(16 * width * classes, 16 * width), new Float64Array(classes));
    start?.forEach((values, i) => params[i].set(values));
    const running = channels.slice(1).map((c) => ({ mean: new Float64Array(c), variance: new Float64Array(c) }));
    const cell = side / 16; // the last map is pooled to 2 × 2 means of cell × cell

    /** @param {Float64Array[]} pictures planes of side × side, −1 to 1 @param {boolean} train */
    function forward(pictures, train) {
      const n = pictures.length;
      /** @type {any[]} */
      const tape = [];
      let planes = pictures;
      for (let l = 0; l < 3; l += 1) {
        const [from, to, s] = [channels[l], channels[l + 1], sides[l]];
        const [area, half] = [s * s, s / 2];
        const padded = planes.map((plane) => pad(plane, from, s));
        const normal = padded.map((x) => conv(x, params[3 * l], from, to, s));
        const scale = new Float64Array(to);
        for (let c = 0; c < to; c += 1) {
          let { mean: { [c]: mean }, variance: { [c]: variance } } = running[l];
          if (train) {
            mean = 0;
            variance = 0;
            for (const x of normal) for (let p = c * area; p < (c + 1) * area; p += 1) mean += x[p];
            mean /= n * area;
            for (const x of normal) for (let p = c * area; p < (c + 1) * area; p += 1) variance += (x[p] - mean) * (x[p] - mean);
            variance /= n * area;
            running[l].mean[c] = mean;
            running[l].variance[c] = (variance * n * area) / (n * area - 1);
          }
          scale[c] = 1 / Math.sqrt(variance + 1e-5);
          for (const x of normal) for (let p = c * area; p < (c + 1) * area; p += 1) x[p] = (x[p] - mean) * scale[c];
        }
        const [gamma, beta] = [params[3 * l + 1], params[3 * l + 2]];
        /** @type {Int32Array[]} */
        const winners = [];
        planes = normal.map((x) => {
          const out = new Float64Array(to * half * half);
          const winner = new Int32Array(out.length);
          for (let c = 0; c < to; c += 1) for (let r = 0; r < half; r += 1) for (let k = 0; k < half; k += 1) {
            let best = -Infinity;
            let where = 0;
            for (let q = 0; q < 4; q += 1) {
              const p = c * area + (2 * r + (q >> 1)) * s + 2 * k + (q & 1);
              const v = Math.max(0, x[p] * gamma[c] + beta[c]);
              if (v > best) { best = v; where = p; }
            }
            const at = c * half * half + r * half + k;
            out[at] = best;
            winner[at] = best > 0 ? where : -1;
          }
          winners.push(winner);
          return out;
        });
        tape.push({ padded, normal, scale, winners });
      }
      const last = sides[2] / 2;
      const pooled = planes.map((plane) => {
        const out = new Float64Array(16 * width);
        for (let i = 0; i < plane.length; i += 1) {
          const [c, r, k] = [Math.floor(i / last / last), Math.floor(i / last) % last, i % last];
          out[4 * c + 2 * Math.floor(r / cell) + Math.floor(k / cell)] += plane[i] / cell / cell;
        }
        return out;
      });
      const logits = pooled.map((x) => Array.from({ length: classes }, (_, c) => {
        let sum = params[10][c];
        for (let d = 0; d < x.length; d += 1) sum += params[9][c * x.length + d] * x[d];
        return sum;
      }));
      return { tape, pooled, logits };
    }

    /** Loss and gradients. @param {Float64Array[]} pictures @param {number[]} y */
    function gradients(pictures, y) {
      const n = pictures.length;
      const { tape, pooled, logits } = forward(pictures, true);
      const grads = params.map((p) => new Float64Array(p.length));
      let loss = 0;
      const last = sides[2] / 2;
      let back = logits.map((z, i) => {
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
        return Float64Array.from({ length: 4 * width * last * last }, (_, p) => {
          const [c, r, k] = [Math.floor(p / last / last), Math.floor(p / last) % last, p % last];
          return dx[4 * c + 2 * Math.floor(r / cell) + Math.floor(k / cell)] / cell / cell;
        });
      });
      for (let l = 2; l >= 0; l -= 1) {
        const [from, to, s] = [channels[l], channels[l + 1], sides[l]];
        const area = s * s;
        const { padded, normal, scale, winners } = tape[l];
        const dz = back.map((d, i) => {
          const out = new Float64Array(to * area);
          d.forEach((v, at) => { if (winners[i][at] >= 0) out[winners[i][at]] += v; });
          return out;
        });
        for (let c = 0; c < to; c += 1) {
          let sum = 0;
          let dot = 0;
          dz.forEach((d, i) => { for (let p = c * area; p < (c + 1) * area; p += 1) { sum += d[p]; dot += d[p] * normal[i][p]; } });
          grads[3 * l + 1][c] = dot;
          grads[3 * l + 2][c] = sum;
          const k = params[3 * l + 1][c] * scale[c];
          dz.forEach((d, i) => { for (let p = c * area; p < (c + 1) * area; p += 1) d[p] = k * (d[p] - (sum + normal[i][p] * dot) / (n * area)); });
        }
        // The gradient of the input is a convolution, too, with the weights turned round.
        const turned = params[3 * l].map((_, at, w) => w[((Math.floor(at / 9) % to) * from + Math.floor(at / 9 / to)) * 9 + 8 - (at % 9)]);
        dz.forEach((d, i) => weigh(padded[i], d, grads[3 * l], from, to, s));
        back = l ? dz.map((d) => conv(pad(d, to, s), turned, to, from, s)) : [];
      }
      return { loss, grads };
    }

    return {
      /** @param {Float64Array[]} pictures @param {number[]} y @param {number} [steps] @param {number} [lr] */
      train(pictures, y, steps = 30, lr = 0.003) {
        const [m, v] = [params, params].map((list) => list.map((p) => new Float64Array(p.length)));
        const losses = [];
        /** @type {number[]} */
        let queue = [];
        for (let t = 1; t <= steps; t += 1) {
          if (queue.length < Math.min(32, y.length)) queue = rng.permutation(y.map((_, i) => i));
          const rows = queue.splice(0, 32);
          const { loss, grads } = gradients(rows.map((i) => pictures[i]), rows.map((i) => y[i]));
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
        forward(pictures.slice(0, 64), true); // BatchNorm's statistics with the final weights
        return losses;
      },
      /** @param {Float64Array} picture */
      predict: (picture) => largest(forward([picture], false).logits[0]),
    };
  }

  return { LAMBDAS, accuracy, fit, generator, gram, largest, nearestMean, nested, scores, smallCNN };
};
