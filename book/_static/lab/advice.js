// @ts-check
// What follows from scores: how sure, which labels are doubtful, what to label next, which photographs are the same.
//
// The page turns this function into the text of a worker, so it may use nothing from outside itself. The sums are
// those of transferlib.own_data: saved.temperature, label_errors and next_labels.
(/** @type {any} */ (globalThis)).hsLab ??= {};
(/** @type {any} */ (globalThis)).hsLab.advice = () => {
  /** @typedef {ArrayLike<number>} Row */

  /** @param {Row} scores @param {number} factor */
  function softmax(scores, factor) {
    const top = Math.max(...Array.from(scores));
    const e = Array.from(scores, (v) => Math.exp(factor * (v - top)));
    const sum = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / sum);
  }

  /** The factor on left-out scores that makes softmax(scores · factor) most likely for the labels.
   * @param {Row[]} scores @param {number[]} y */
  function temperature(scores, y) {
    let best = { factor: 1, loss: Infinity };
    for (let i = 0; i <= 200; i += 1) {
      const factor = 10 ** (-2 + (5 * i) / 200);
      const loss = scores.reduce((sum, row, j) => sum - Math.log(Math.max(softmax(row, factor)[y[j]], 1e-300)), 0);
      if (loss < best.loss) best = { factor, loss };
    }
    return best.factor;
  }

  /** Positions of labels that are probably wrong, the most suspect first (confident learning).
   * @param {number[][]} p out of sample @param {number[]} y */
  function labelErrors(p, y) {
    const thresholds = p[0].map((_, c) => {
      const own = p.flatMap((row, i) => (y[i] === c ? [row[c]] : []));
      return own.length ? own.reduce((a, b) => a + b, 0) / own.length : Infinity;
    });
    const largest = (/** @type {number[]} */ row) => row.indexOf(Math.max(...row));
    return p.flatMap((row, i) => {
      const above = row.map((v, c) => (v < thresholds[c] - 1e-6 ? -1 : v));
      const called = Math.max(...above) >= 0 ? largest(above) : y[i];
      return called !== y[i] && largest(row) !== y[i] ? [i] : [];
    }).sort((a, b) => p[a][y[a]] - p[b][y[b]]);
  }

  /** Entropy as a share of the largest possible one. @param {number[]} row */
  const uncertainty = (row) => row.reduce((sum, v) => (v > 0 ? sum - v * Math.log(v) : sum), 0) / Math.log(row.length);

  /** Positions of what to label next: unsure, and unlike one another. @param {number[][]} p @param {Row[]} features
   * @param {number} count @param {number} [pool] */
  function nextLabels(p, features, count, pool = 10) {
    const unsure = p.map(uncertainty);
    const near = p.map((_, i) => i).sort((a, b) => unsure[b] - unsure[a] || a - b).slice(0, pool * count);
    const unit = near.map((i) => {
      const row = Array.from(features[i]);
      const length = Math.max(1e-12, Math.sqrt(row.reduce((sum, v) => sum + v * v, 0)));
      return row.map((v) => v / length);
    });
    const apart = (/** @type {number[]} */ a, /** @type {number[]} */ b) => Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0));
    const chosen = [0];
    const distance = unit.map((row) => apart(row, unit[0]));
    while (chosen.length < Math.min(count, near.length)) {
      const gain = near.map((i, j) => unsure[i] * distance[j]);
      const best = gain.indexOf(Math.max(...gain));
      if (gain[best] <= 1e-6) break;
      chosen.push(best);
      unit.forEach((row, j) => { distance[j] = Math.min(distance[j], apart(row, unit[best])); });
    }
    return chosen.map((j) => near[j]);
  }

  /** Pairs of rows that show nearly the same, from all products of rows. @param {Row[]} products @param {number} [alike] */
  const twins = (products, alike = 0.97) => products.flatMap((row, i) => Array.from({ length: i }, (_, j) => j)
    .flatMap((j) => (row[j] / Math.sqrt(row[i] * products[j][j]) > alike ? [[j, i]] : [])));

  return { labelErrors, nextLabels, softmax, temperature, twins };
};
