// @ts-check
// The numbers of the photo lab for people: what the chart draws, the sentence above it, and what can be taken away.
(/** @type {any} */ (globalThis)).hsLab ??= {};
(/** @type {any} */ (globalThis)).hsLab.chart = () => {
  /** @typedef {{id: string, label: string, n: number[], draws: number[][]}} Way accuracy of every draw, by budget */

  // Student's t at 97.5 %, for 1, 2, … degrees of freedom: two to ten draws.
  const STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
  /** @param {number[]} values */
  function span(values) {
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1);
    const half = STUDENT[values.length - 2] * Math.sqrt(variance / values.length);
    return { mean, lo: mean - half, hi: mean + half };
  }

  /** Mean and band over the draws. @param {number[]} n @param {number[][]} draws */
  function curve(n, draws) {
    const spans = n.map((_, i) => span(draws.map((row) => row[i])));
    return { n, mean: spans.map((s) => s.mean), lo: spans.map((s) => s.lo), hi: spans.map((s) => s.hi) };
  }

  /** Labels a pile at which a curve reaches a height, along its line; beyond the last where it never does.
   * @param {{n: number[], mean: number[]}} other @param {number} height */
  function reaches({ n, mean }, height) {
    const i = mean.findIndex((v) => v >= height);
    if (i < 0) return { k: n[n.length - 1], beyond: true };
    if (i === 0) return { k: n[0], beyond: false };
    const share = (height - mean[i - 1]) / (mean[i] - mean[i - 1]);
    return { k: n[i - 1] * (n[i] / n[i - 1]) ** share, beyond: false };
  }

  /** What the label-budget widget draws. @param {Way[]} ways @param {number} classes */
  function stateOf(ways, classes) {
    const strategies = ways.map(({ id, label, n, draws }) => ({ id, label, ...curve(n, draws) }));
    const [first] = ways;
    const rival = ways.find((way) => way.id === "scratch_small");
    const gaps = rival ? [{ a: "probe", b: rival.id, ...curve(first.n, first.draws.map((row, d) => row.map((v, i) => v - rival.draws[d][i]))) }] : [];
    const worth = rival ? strategies[0].mean.map((height) => reaches(curve(rival.n, rival.draws), height)) : [];
    const equivalents = rival ? [{ strategy: "probe", against: rival.id, n: first.n, k: worth.map((w) => w.k), lo: worth.map(() => null), hi: worth.map(() => null), beyond: worth.map((w) => w.beyond) }] : [];
    return { title: "Labels saved on your photographs", start_n: first.n[first.n.length - 1], datasets: [{ id: "yours", label: "Your photographs", chance: 1 / classes, unit: "accuracy on the photographs not learned from", strategies, gaps, equivalents }] };
  }

  /** The sentence at the largest budget. @param {ReturnType<typeof stateOf>} state @param {number} pictures */
  function sentence({ datasets: [{ gaps: [gap], equivalents: [worth] }] }, pictures) {
    const last = gap.n.length - 1;
    const [n, mean, lo, hi] = [gap.n[last], gap.mean[last], gap.lo[last], gap.hi[last]];
    const labels = n === 1 ? "1 label" : `${n} labels`;
    const points = (/** @type {number} */ v) => Math.abs(100 * v).toFixed(0);
    if (lo > 0) {
      const k = worth.k[last] ?? n;
      if (worth.beyond[last]) return `With ${labels} a pile, your head start is worth more than ${labels} a pile: the network from scratch never reaches the probe within what was measured (${points(mean)} points behind).`;
      return `With ${labels} a pile, your head start is worth ${k < 10 ? k.toFixed(1) : Math.round(k)} labels a pile: that many the network from scratch needs for the same accuracy.`;
    }
    if (hi < 0) return `With ${labels} a pile, the pretrained network is behind: learning from scratch is ${points(mean)} points better on your photographs.`;
    const more = Math.min(500, Math.ceil(pictures * (((hi - lo) / 2 / Math.max(0.005, Math.abs(mean))) ** 2 - 1)));
    return `With ${labels} a pile, the page cannot tell with so few photographs: add about ${Math.max(1, more)} more to each pile${more === 500 ? " or more" : ""}, if the difference stays at ${points(mean)} points.`;
  }

  /** @param {ReturnType<typeof stateOf>} state */
  const csv = ({ datasets: [{ strategies }] }) => ["way,labels a pile,mean accuracy,lower end,upper end",
    ...strategies.flatMap((s) => s.n.map((n, i) => [s.id, n, s.mean[i], s.lo[i], s.hi[i]].join(",")))].join("\n");

  const LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "opacity", "font-family",
    "font-size", "font-weight", "text-anchor", "paint-order", "stroke-linejoin", "display"];

  /** The chart as it stands, as a file of its own: what the style sheet says is written into it.
   * @param {SVGSVGElement} chart */
  function picture(chart) {
    const copy = /** @type {SVGSVGElement} */ (chart.cloneNode(true));
    const nodes = [...chart.querySelectorAll("*")];
    [...copy.querySelectorAll("*")].forEach((node, i) => {
      const style = getComputedStyle(nodes[i]);
      for (const name of LOOKS) node.setAttribute(name, style.getPropertyValue(name));
      node.removeAttribute("class");
    });
    // Another program's letters may be wider.
    const { width, height } = chart.viewBox.baseVal;
    copy.setAttribute("viewBox", `0 0 ${width + 40} ${height}`);
    copy.setAttribute("width", String(width + 40));
    const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    let behind = /** @type {Element | null} */ (chart);
    while (behind && /^rgba\(.*, 0\)$|^transparent$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    ground.setAttribute("width", "100%");
    ground.setAttribute("height", "100%");
    ground.setAttribute("fill", behind ? getComputedStyle(behind).backgroundColor : "#fff");
    copy.prepend(ground);
    copy.removeAttribute("class");
    return new XMLSerializer().serializeToString(copy);
  }

  return { csv, picture, sentence, stateOf };
};
