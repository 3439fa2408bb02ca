// @ts-check
// The freezing-depth explorer: train the last k layers at n labels per class, see accuracy and cost.
import {
  axisX, axisY, band, begin, between, clamp, controls, cursor, draw, fillNumbers, frame, isSure, line, live, make, percent,
  places, points, room, row, rows, save, shell, tabs, tenths, unique, withInterval, wrap,
} from "./kit.js";

/** @typedef {import("./kit.js").Span} Span */
/** @typedef {Span & {k: number, train: number | null, gain: Span | null}} Measured */
/** @typedef {{n: number, seeds: number, points: Measured[], level?: Span & {label: string}}} Budget */
/** @typedef {{k: number, trainable: number, memory: number, stored: number}} Depth */
/** @typedef {{title?: string, start_n: number, start_k?: number, layers: string[], depths: Depth[],
 *   budgets: Budget[]}} State */

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;
/** @param {number} value */
const thousands = (value) => value.toLocaleString("en-US");

/** @param {number} k @param {number} total */
function trainedWords(k, total) {
  if (k === 0) return "only the head";
  if (k === total) return `all ${total} layers`;
  return k === 1 ? "the last layer" : `the last ${k} layers`;
}

/** What is frozen and what moves. @param {HTMLElement} strip @param {State} state @param {number} k */
function drawNetwork(strip, state, k) {
  const first = state.layers.length - k;
  strip.replaceChildren(
    ...state.layers.map((name, i) =>
      make("span", `hs-fd__layer${i >= first ? " hs-fd__layer--moves" : ""}`, name.replace("blocks.", "block "))),
    make("span", "hs-fd__layer hs-fd__layer--moves hs-fd__layer--head", "head"));
}

/** @param {State} state @param {number} width */
function chartOf(state, width) {
  const values = state.budgets.flatMap((b) => [...b.points.flatMap((p) => [p.lo, p.hi, p.train ?? p.hi]), b.level?.hi ?? 0.5]);
  const [low, high] = tenths(values);
  const f = frame(width, Math.round(clamp(width * 0.62, 250, 360)), { top: 30, right: 22, bottom: 44, left: 40 }, low, high);
  return { ...f, ...places(f, state.depths.length) };
}

/** Where the accuracy on the training examples was measured. @param {Budget} budget @param {ReturnType<typeof chartOf>} f
 * @returns {[number, number][]} */
const learned = (budget, f) => budget.points.flatMap(({ train }, j) => (train === null ? [] : [[f.x(j), f.y(train)]]));

/** @param {SVGElement} svg @param {State} state @param {ReturnType<typeof chartOf>} f @param {Budget} budget
 * @param {number} i place of the chosen depth */
function drawChart(svg, state, f, budget, i) {
  axisY(svg, f);
  axisX(svg, f, state.depths.map(({ k }, j) => ({ x: f.x(j), label: k })),
    "accuracy (%)", "layers trained, from the end (0: the probe)");
  /** @param {Budget} of @param {"mean" | "lo" | "hi"} part @returns {[number, number][]} */
  const along = (of, part) => of.points.map((p, j) => [f.x(j), f.y(p[part])]);
  for (const other of state.budgets) if (other !== budget) line(svg, along(other, "mean"), "hs-fd__other hs-tone-blue");
  band(svg, along(budget, "hi"), along(budget, "lo"), "hs-tone-blue");
  if (budget.level) line(svg, [[f.margin.left, f.y(budget.level.mean)], [f.right, f.y(budget.level.mean)]], "hs-fd__level hs-tone-green", "2 4");
  const fitted = learned(budget, f);
  if (fitted.length) line(svg, fitted, "hs-tone-orange", "7 4");
  line(svg, along(budget, "mean"), "hs-tone-blue");
  cursor(svg, f, f.x(i));
  budget.points.forEach((p, j) => {
    const [x, s] = [f.x(j), j === i ? 6 : 3];
    if (p.train !== null) {
      draw(svg, "rect", { x: x - s, y: f.y(p.train) - s, width: 2 * s, height: 2 * s, class: "hs-kit__dot hs-fd__dot hs-tone-orange" });
    }
    draw(svg, "circle", { cx: x, cy: f.y(p.mean), r: j === i ? 7 : 3.5, class: "hs-kit__dot hs-fd__dot hs-tone-blue" });
  });
}

/** @param {Measured} point @param {number} seeds */
function gainWords({ k, gain }, seeds) {
  if (k === 0) return "The probe is what the others are measured against.";
  if (!gain) return "No paired difference to the probe was measured.";
  return `${points(gain.mean)} points against the probe, 95 % interval ${between(gain, points)}, ${seeds} seeds.`
    + (isSure(gain) ? "" : " The interval includes zero: no difference is shown.");
}

/** @param {Measured} point */
const trainWords = ({ train }) => (train === null ? "not measured" : percent(train));

/** @param {State} state @param {Depth} depth */
function costBars(state, depth) {
  /** @type {[string, "trainable" | "memory" | "stored", (value: number) => string][]} */
  const bars = [["Parameters that move", "trainable", thousands], ["Memory of a step", "memory", megabytes],
    ["Stored per task", "stored", megabytes]];
  return wrap("div", "hs-fd__costs", bars.map(([name, key, words]) => {
    const bar = make("span", "hs-fd__bar", null, { "aria-hidden": "true" });
    bar.style.setProperty("--share", String(depth[key] / Math.max(...state.depths.map((d) => d[key]))));
    return wrap("div", "hs-fd__cost", [make("span", "", name), make("strong", "", words(depth[key])), bar]);
  }));
}

/** @param {import("./kit.js").Home} home */
function render({ model, el }) {
  /** @type {State} */
  const state = model.get("state");
  const total = state.layers.length;
  const ks = state.depths.map((depth) => depth.k);
  /** The place of the depth closest to k. @param {number} k */
  const closest = (k) => ks.reduce((best, value, j) => (Math.abs(value - k) < Math.abs(ks[best] - k) ? j : best), 0);
  let budget = state.budgets.find((b) => b.n === (model.get("n") || state.start_n)) ?? state.budgets[0];
  let i = closest(model.get("k") ?? state.start_k ?? ks[0]);
  let chart = chartOf(state, 260);

  const nWords = make("output", "hs-kit__pick", "", { "aria-hidden": "true" });
  const kWords = make("output", "hs-kit__pick", "", { "aria-hidden": "true" });
  const strip = make("div", "hs-fd__network", null, { "aria-hidden": "true" });
  const legend = make("p", "hs-fd__key", null, { "aria-hidden": "true" });
  const keyed = [["test", "blue", "test"], ["train", "orange", "training examples"], ["other", "blue", "test, other n"]];
  if (budget.level) keyed.push(["level", "green", budget.level.label]);
  for (const [css, tone, words] of keyed) {
    legend.append(make("span", `hs-fd__keyed hs-fd__keyed--${css} hs-tone-${tone}`, words));
  }
  const budgets = tabs(unique("hs-fd"), "Labels per class", state.budgets, budget, (item) => go(item, i), (item) => String(item.n));
  const ui = shell(el, {
    css: "hs-fd", title: state.title ?? "Freezing-depth explorer",
    question: ["What do you get, and what does it cost, when you train ", kWords, " with ", nWords, " labels per class?"],
    slider: { max: ks.length - 1, "aria-label": "Layers trained" }, above: [budgets, strip], paint, report,
  });
  ui.stage.prepend(legend);
  fillNumbers(ui, "Accuracy in %, mean over seeds, and what a task costs",
    ["layers trained", "parameters that move", "memory of a step", "stored per task",
      ...state.budgets.flatMap((b) => [`n = ${b.n}: test (95 % interval)`, "training"])],
    state.depths.map((d, j) => [d.k, thousands(d.trainable), megabytes(d.memory), megabytes(d.stored),
      ...state.budgets.flatMap((b) => [withInterval(b.points[j]), trainWords(b.points[j])])]));

  function paint() {
    chart = chartOf(state, room(ui.stage));
    begin(ui, chart, `Test and training accuracy against the number of layers trained, ${budget.n} labels per class. The slider below reads out the values.`);
    drawChart(ui.svg, state, chart, budget, i);
  }

  function report() {
    const [depth, point, words] = [state.depths[i], budget.points[i], trainedWords(ks[i], total)];
    nWords.textContent = String(budget.n);
    kWords.textContent = words;
    drawNetwork(strip, state, ks[i]);
    ui.readout.replaceChildren(
      rows([
        row("hs-tone-blue", ["Test"], `${percent(point.mean)} %`, `${between(point)} %`),
        ...(budget.level
          ? [row("hs-tone-green", [budget.level.label], `${percent(budget.level.mean)} %`, `${between(budget.level)} %`)] : []),
        ...(point.train === null ? [] : [row("hs-tone-orange", ["Training examples"], `${trainWords(point)} %`,
          `gap ${points(point.train - point.mean)} points`)]),
      ]),
      make("p", "hs-fd__gain", gainWords(point, budget.seeds)), costBars(state, depth));
    ui.tell(i, words, { n: budget.n, k: ks[i] },
      `${budget.n} labels per class, ${words}: test ${percent(point.mean)} percent, `
      + (point.train === null ? "" : `training ${percent(point.train)} percent, `)
      + `${thousands(depth.trainable)} parameters move, ${megabytes(depth.stored)} stored per task.`);
  }

  /** @param {Budget} nextBudget @param {number} next */
  function go(nextBudget, next) {
    if (nextBudget === budget && next === i) return;
    [budget, i] = [nextBudget, next];
    budgets.querySelectorAll("input").forEach((input, j) => { input.checked = state.budgets[j] === budget; });
    save(model, { n: budget.n, k: ks[i] });
    ui.update();
  }

  controls(ui, (place) => go(budget, place), (x) => go(budget, chart.at(x)));
  ui.update();
  return live(model, ui, ["n", "k"], () =>
    go(state.budgets.find((b) => b.n === model.get("n")) ?? budget, closest(model.get("k") ?? ks[i])));
}

export default { render };
