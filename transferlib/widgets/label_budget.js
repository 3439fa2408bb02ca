// @ts-check
// The label-budget explorer: what a head start buys at n labels per class.
import {
  axisX, axisY, band, begin, between, clamp, controls, cursor, draw, fillNumbers, frame, isSure, keys, line, live, make,
  percent, points, room, row, rows, save, shell, swatch, tabs, unique, verdict, withInterval, wrap,
} from "./kit.js";

/** @typedef {{n: number[], mean: number[], lo: number[], hi: number[]}} Curve */
/** @typedef {Curve & {id: string, label: string}} Strategy */
/** @typedef {{strategy: string, against: string, n: number[], k: (number | null)[], lo: (number | null)[],
 *   hi: (number | null)[], beyond?: boolean[]}} Equivalent */
/** @typedef {{label: string, unit?: string, chance?: number, strategies: Strategy[],
 *   gaps?: (Curve & {a: string, b: string})[], equivalents?: Equivalent[]}} Data */

/** @type {Record<string, {tone: string, dash: string, marker: "circle" | "square" | "triangle" | "diamond"}>} */
const LOOKS = {
  probe: { tone: "hs-tone-blue", dash: "", marker: "circle" },
  fine_tune: { tone: "hs-tone-green", dash: "", marker: "square" },
  scratch_small: { tone: "hs-tone-orange", dash: "7 4", marker: "triangle" },
  scratch: { tone: "hs-tone-grey", dash: "2 4", marker: "diamond" },
};
/** @param {Strategy} strategy @returns {typeof LOOKS[string]} */
const look = ({ id }) => LOOKS[id] ?? { tone: "hs-tone-purple", dash: "4 3", marker: "circle" };

/** @param {number} value */
const count = (value) => (value < 10 ? String(+value.toFixed(1)) : String(Math.round(value)));
/** @param {number} n */
const plural = (n) => (n === 1 ? "1 label" : `${n} labels`);

// ---------------------------------------------------------------- reading the state

/** @param {number[]} list @param {number} n */
const nearest = (list, n) =>
  list.reduce((best, value) => (Math.abs(Math.log(value / n)) < Math.abs(Math.log(best / n)) ? value : best));
/** @param {Data} data */
const allBudgets = (data) => [...new Set(data.strategies.flatMap((s) => s.n))].sort((a, b) => a - b);

/** @param {Curve} curve @param {number} n */
function at(curve, n) {
  const i = curve.n.indexOf(n);
  return i < 0 ? null : { mean: curve.mean[i], lo: curve.lo[i], hi: curve.hi[i] };
}

/** Along the drawn line, for the dots that glide with the cursor. @param {Curve} curve @param {number} n */
function along(curve, n) {
  const last = curve.n.length - 1;
  if (last < 0 || n < curve.n[0] * 0.999 || n > curve.n[last] * 1.001) return null;
  for (let i = 0; i < last; i += 1) {
    if (n > curve.n[i + 1]) continue;
    const share = Math.log(n / curve.n[i]) / Math.log(curve.n[i + 1] / curve.n[i]);
    return curve.mean[i] + share * (curve.mean[i + 1] - curve.mean[i]);
  }
  return curve.mean[last];
}

/** The head start is measured against the strongest opponent, and the best transfer strategy is the one shown: for
 * each a the smallest gap over b, then the largest of those. @param {Data} data @param {number} n */
function headStart(data, n) {
  /** @type {Map<string, {a: string, b: string} & import("./kit.js").Span>} */
  const fair = new Map();
  for (const gap of data.gaps ?? []) {
    const value = at(gap, n);
    const known = fair.get(gap.a);
    if (value && (!known || value.mean < known.mean)) fair.set(gap.a, { a: gap.a, b: gap.b, ...value });
  }
  const best = [...fair.values()].sort((x, y) => y.mean - x.mean)[0];
  if (!best) return null;
  /** @param {string} id */
  const named = (id) => data.strategies.find((s) => s.id === id)?.label ?? id;
  const twin = data.equivalents?.find((item) => item.strategy === best.a && item.against === best.b);
  const i = twin?.n.indexOf(n) ?? -1;
  const k = twin?.k[i] ?? null;
  // A gap that may be nothing is worth no labels.
  const worth = !twin || k == null || best.lo <= 0 ? null
    : { k, lo: twin.lo[i], hi: twin.hi[i], beyond: Boolean(twin.beyond?.[i]) };
  return { ...best, aLabel: named(best.a), bLabel: named(best.b), worth };
}

// ---------------------------------------------------------------- the chart

/** @param {SVGElement} parent @param {string} kind @param {number} x @param {number} y @param {number} r
 * @param {string} css */
function marker(parent, kind, x, y, r, css) {
  if (kind === "circle") return draw(parent, "circle", { cx: x, cy: y, r, class: css });
  const s = r * 0.92;
  const d = {
    square: `M${x - s} ${y - s}h${2 * s}v${2 * s}h${-2 * s}z`,
    triangle: `M${x} ${y - r * 1.2}L${x + r * 1.1} ${y + r * 0.8}H${x - r * 1.1}z`,
    diamond: `M${x} ${y - r * 1.25}L${x + r * 1.25} ${y}L${x} ${y + r * 1.25}L${x - r * 1.25} ${y}z`,
  }[kind];
  return draw(parent, "path", { d: d ?? "", class: css });
}

/** @param {Data} data @param {number} width */
function chartOf(data, width) {
  const wide = width >= 560;
  const margin = { top: 30, right: wide ? 128 : 16, bottom: 46, left: 38 };
  const budgets = allBudgets(data);
  const [first, last] = [budgets[0], budgets[budgets.length - 1]];
  const values = data.strategies.flatMap((s) => [...s.lo, ...s.hi]).concat(data.chance ?? []);
  const low = Math.max(0, Math.floor(10 * Math.min(...values) - 0.2) / 10);
  const high = Math.min(1, Math.ceil(10 * Math.max(...values)) / 10);
  const f = frame(width, Math.round(clamp(width * (wide ? 0.58 : 0.86), 290, 430)), margin, low, high);
  const span = Math.log(last / first) || 1;
  return {
    ...f, wide, budgets, first, last,
    /** @param {number} n */
    x: (n) => margin.left + (f.inner.width * Math.log(n / first)) / span,
    /** @param {number} px */
    n: (px) => first * Math.exp(((px - margin.left) / f.inner.width) * span),
  };
}
/** @typedef {ReturnType<typeof chartOf>} Chart */

/** @param {SVGElement} svg @param {Data} data @param {Chart} f */
function drawAxes(svg, data, f) {
  axisY(svg, f);
  axisX(svg, f, f.budgets.map((n) => ({ x: f.x(n), label: n })),
    `${data.unit ?? "test accuracy"} (%)`, "labels per class (log scale)");
  if (data.chance == null) return;
  const y = f.y(data.chance);
  draw(svg, "path", { d: `M${f.margin.left} ${y}H${f.right}`, class: "hs-lb__chance" });
  draw(svg, "text", { x: f.right - 4, y: y - 5, "text-anchor": "end", class: "hs-lb__guess" },
    `guessing ${count(100 * data.chance)} %`);
}

/** @param {SVGElement} svg @param {Data} data @param {Chart} f */
function drawLines(svg, data, f) {
  const [bands, lines] = [draw(svg, "g"), draw(svg, "g")];
  for (const s of data.strategies) {
    const { tone, dash, marker: kind } = look(s);
    /** @param {number[]} values @returns {[number, number][]} */
    const through = (values) => s.n.map((n, i) => [f.x(n), f.y(values[i])]);
    if (s.n.length > 1) {
      band(bands, through(s.hi), through(s.lo), tone);
      line(lines, through(s.mean), tone, dash);
    }
    for (const [x, y] of through(s.mean)) marker(lines, kind, x, y, 2.6, `hs-kit__dot ${tone}`);
  }
}

/** The words of a name in rows of about 15 letters. @param {string} name */
function wrapped(name) {
  const found = [""];
  for (const word of name.split(" ")) {
    const now = found[found.length - 1];
    if (now && (now + word).length > 15) found.push(word);
    else found[found.length - 1] = now ? `${now} ${word}` : word;
  }
  return found;
}

/** Names at the right end of the lines, pushed apart so that none touches another.
 * @param {SVGElement} svg @param {Data} data @param {Chart} f */
function drawNames(svg, data, f) {
  if (!f.wide) return;
  const names = data.strategies.filter((s) => s.n.length).map((s) => {
    const words = wrapped(s.label);
    return { s, words, y: f.y(s.mean[s.mean.length - 1]), room: 15 * words.length + 5 };
  }).sort((a, b) => a.y - b.y);
  names.forEach((name, i) => {
    const above = names[i - 1];
    if (above) name.y = Math.max(name.y, above.y + (above.room + name.room) / 2);
  });
  let floor = f.base + 8;
  for (const name of [...names].reverse()) {
    name.y = Math.min(name.y, floor - name.room / 2);
    floor = name.y - name.room / 2;
  }
  for (const { s, words, y } of names) {
    const text = draw(svg, "text", { class: `hs-lb__name ${look(s).tone}` });
    words.forEach((word, i) => draw(text, "tspan", { x: f.right + 10, y: y + 5 + 15 * (i - (words.length - 1) / 2) }, word));
  }
}

/** @param {SVGElement} layer @param {Data} data @param {Chart} f @param {number} n where the cursor is drawn
 * @param {number | null} settled the budget it stands at, null while it glides */
function drawCursor(layer, data, f, n, settled) {
  layer.replaceChildren();
  cursor(layer, f, f.x(n));
  const head = settled == null ? null : headStart(data, settled);
  if (head) drawHeadStart(layer, data, f, n, head);
  for (const s of data.strategies) {
    const value = along(s, n);
    const { tone, marker: kind } = look(s);
    if (value != null) marker(layer, kind, f.x(n), f.y(value), 6, `hs-kit__dot hs-kit__dot--now ${tone}`);
  }
}

/** @param {SVGElement} layer @param {Data} data @param {Chart} f @param {number} n
 * @param {NonNullable<ReturnType<typeof headStart>>} head */
function drawHeadStart(layer, data, f, n, head) {
  /** @param {string} id */
  const height = (id) => {
    const s = data.strategies.find((one) => one.id === id);
    return s ? along(s, n) : null;
  };
  const [top, low] = [height(head.a), height(head.b)];
  if (top == null || low == null) return;
  const [x, y0, y1] = [f.x(n), f.y(top), f.y(low)];
  draw(layer, "path", { d: `M${x} ${y0}V${y1}`, class: "hs-lb__gap" });
  const { worth } = head;
  if (worth && worth.k > n) {
    // The same accuracy without the head start: walk right until the other line is this high.
    const end = worth.beyond ? f.x(f.last) + 8 : f.x(worth.k);
    draw(layer, "path", { d: `M${x} ${y0}H${end}`, class: "hs-lb__worth" });
    draw(layer, "path", { d: `M${end} ${y0}l-7 -4.5v9z`, class: "hs-lb__arrow" });
    if (!worth.beyond) draw(layer, "path", { d: `M${end} ${y0}V${f.base}`, class: "hs-lb__drop" });
  }
  if (Math.abs(y1 - y0) > 30) drawPill(layer, f, x, (y0 + y1) / 2, `${points(head.mean)} points`);
}

/** A label beside the cursor: to its right where there is room. @param {SVGElement} layer @param {Chart} f
 * @param {number} x @param {number} y @param {string} text */
function drawPill(layer, f, x, y, text) {
  const width = 7.4 * text.length + 16;
  const left = x + 12 + width < f.right ? x + 10 : x - 10 - width;
  const group = draw(layer, "g", { class: "hs-lb__pill" });
  draw(group, "rect", { x: left, y: y - 12, width, height: 24, rx: 12 });
  draw(group, "text", { x: left + width / 2, y: y + 4.5, "text-anchor": "middle" }, text);
}

// ---------------------------------------------------------------- the read-out

/** @param {Strategy} s @param {number} n */
function readoutRow(s, n) {
  const { tone, dash, marker: kind } = look(s);
  const sign = swatch(tone, dash);
  marker(sign, kind, 15, 6, 4, "hs-kit__dot");
  const name = [sign, make("span", "", s.label)];
  const now = at(s, n);
  if (now) return row(tone, name, `${percent(now.mean)} %`, `${between(now)} %`);
  if (!s.n.length) return row(`${tone} hs-lb__absent`, name, "", "");
  const other = nearest(s.n, n);
  return row(`${tone} hs-lb__absent`, name, "not measured here", `${percent(s.mean[s.n.indexOf(other)])} % at ${other}`);
}

/** @param {Data} data @param {number} n */
function verdictLines(data, n) {
  const head = headStart(data, n);
  if (!head) return [make("p", "", `No paired difference was measured at ${plural(n)} per class.`)];
  const sure = isSure(head);
  const lines = [
    make("p", "hs-kit__big", `${points(head.mean)} points`),
    make("p", "hs-kit__fine",
      `${head.aLabel[0].toUpperCase()}${head.aLabel.slice(1)} against ${head.bLabel}, 95 % interval ${between(head, points)}.`
      + (sure ? "" : " The interval includes zero: no head start is shown here.")),
  ];
  if (!sure) return lines;
  const { worth } = head;
  if (!worth) return [...lines, make("p", "hs-kit__fine", "How many labels that is worth was not measured here.")];
  const k = count(worth.k);
  const value = wrap("p", "hs-lb__worthline",
    ["This head start is worth ", make("strong", "", `${worth.beyond ? "more than" : "about"} ${k} labels per class`), "."]);
  const range = worth.lo == null || worth.hi == null ? k : `${count(worth.lo)} to ${count(worth.hi)}`;
  return [...lines, value, make("p", "hs-kit__fine", worth.beyond
    ? `From scratch does not catch up within the ${k} labels per class measured.` : `From scratch needs ${range} to match.`)];
}

/** @param {Data} data @param {number} n */
function spoken(data, n) {
  const parts = data.strategies.map((s) => {
    const now = at(s, n);
    return `${s.label} ${now ? `${percent(now.mean)} percent` : "not measured here"}`;
  });
  const head = headStart(data, n);
  const gap = head ? ` Head start ${points(head.mean)} points, interval ${between(head, points)}.` : "";
  const worth = head?.worth
    ? ` Worth ${head.worth.beyond ? "more than " : "about "}${count(head.worth.k)} labels per class.` : "";
  return `${data.label}, ${plural(n)} per class: ${parts.join(", ")}.${gap}${worth}`;
}

// ---------------------------------------------------------------- putting it together

/** @param {import("./kit.js").Home} home */
function render({ model, el }) {
  /** @type {{title?: string, start_n?: number, datasets: Data[]}} */
  const { title = "Label-budget explorer", start_n = 20, datasets } = model.get("state");
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let [data] = datasets;
  let chart = chartOf(data, 260);
  let n = nearest(chart.budgets, model.get("n") ?? start_n);
  let shown = n; // where the cursor is drawn while it glides to n
  let ticket = 0;
  /** @type {SVGGElement} */
  let layer;

  const budget = make("output", "hs-kit__pick", "", { "aria-hidden": "true" });
  const perClass = make("span");
  const sets = tabs(unique("hs-lb"), "Data set", datasets, data, choose, (item) => item.label);
  const ui = shell(el, {
    css: "hs-lb", title,
    question: ["You can afford ", budget, perClass, " How much does a head start buy?"],
    slider: { max: 1000, "aria-label": "Labels per class" }, above: [sets], paint, report,
  });
  const { svg, slider } = ui;

  function paint() {
    chart = chartOf(data, room(ui.stage));
    begin(ui, chart,
      `${data.label}: ${data.unit ?? "test accuracy"} against labels per class, one line per strategy with 95 percent bands. The slider below reads out the values.`);
    drawAxes(svg, data, chart);
    drawLines(svg, data, chart);
    layer = draw(svg, "g");
    drawNames(svg, data, chart);
    drawCursor(layer, data, chart, shown, n);
    settle();
  }

  const place = () => Math.round((1000 * Math.log(n / chart.first)) / (Math.log(chart.last / chart.first) || 1));
  const settle = () => { slider.value = String(place()); };

  function report() {
    budget.textContent = String(n);
    perClass.textContent = ` ${n === 1 ? "label" : "labels"} per class.`;
    ui.readout.replaceChildren(rows(data.strategies.map((s) => readoutRow(s, n))), verdict(verdictLines(data, n)));
    ui.tell(place(), `${plural(n)} per class`, { n }, spoken(data, n));
  }

  function glide() {
    const [from, start, mine] = [shown, performance.now(), (ticket += 1)];
    /** @param {number} time */
    const step = (time) => {
      if (mine !== ticket) return;
      const t = calm.matches || from === n ? 1 : clamp((time - start) / 180, 0, 1);
      shown = t === 1 ? n : from * (n / from) ** (1 - (1 - t) ** 3);
      drawCursor(layer, data, chart, shown, t === 1 ? n : null);
      if (t < 1) window.requestAnimationFrame(step);
    };
    step(start);
  }

  /** @param {number} next */
  function go(next) {
    if (next === n) {
      settle();
      return;
    }
    n = next;
    save(model, { n });
    report();
    glide();
  }

  /** @param {Data} next */
  function choose(next) {
    data = next;
    const budgets = allBudgets(data);
    n = nearest(budgets, n);
    shown = n;
    ticket += 1;
    fillNumbers(ui, `${data.label}: ${data.unit ?? "test accuracy"} in %, mean (95 % interval)`,
      ["labels per class", ...data.strategies.map((s) => s.label)],
      budgets.map((b) => [b, ...data.strategies.map((s) => {
        const value = at(s, b);
        return value ? withInterval(value) : "–";
      })]));
    ui.update();
  }

  controls(ui, (value) => go(nearest(chart.budgets, chart.first * (chart.last / chart.first) ** (value / 1000))),
    (x) => go(nearest(chart.budgets, chart.n(x))));
  // One key press is one measured budget, not one thousandth of the axis.
  keys(slider, { now: () => chart.budgets.indexOf(n), last: () => chart.budgets.length - 1, step: 1, page: 3 },
    (i) => go(chart.budgets[i]));
  choose(data);
  return live(model, ui, ["n"], () => go(nearest(chart.budgets, model.get("n"))));
}

export default { render };
