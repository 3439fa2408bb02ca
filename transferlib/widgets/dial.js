// @ts-check
// The dial: one setting, several measured lines, and a sentence about what the setting does.
import {
  axisX, axisY, band, begin, between, clamp, controls, cursor, digit, draw, fillNumbers, frame, line, live, make, places,
  room, row, rows, save, shell, swatch, tabs, unique, verdict, withInterval,
} from "./kit.js";

/** @typedef {{label: string, mean: number[], lo: number[], hi: number[]}} Series in percent */
/** @typedef {{label: string, x: string[], x_label: string, y_label: string, series: Series[], say?: string[],
 *   floor?: number}} Data */

const DASHES = ["", "7 4", "2 4", "9 3 2 3", "4 3", "1 3", "12 4"];
const TONES = ["blue", "orange", "green", "purple", "ochre", "grey", "red"];

/** @param {number} index */
const tone = (index) => `hs-tone-${TONES[index % TONES.length]}`;
/** @param {number} index */
const dash = (index) => DASHES[index % DASHES.length];
/** @param {Series} s @param {number} i */
const at = (s, i) => ({ mean: s.mean[i], lo: s.lo[i], hi: s.hi[i] });

/** @param {Data} data @param {number} width */
function chartOf(data, width) {
  const height = Math.round(clamp(width * 0.62, 270, 400));
  const values = data.series.flatMap((s) => [...s.lo, ...s.hi]);
  const low = Math.min(data.floor ?? Infinity, 10 * Math.floor(Math.min(...values) / 10));
  const high = Math.max(low + 10, 10 * Math.ceil(Math.max(...values) / 10));
  const f = frame(width, height, { top: 28, right: 18, bottom: 48, left: 42 }, low, high);
  return { ...f, ...places(f, data.x.length) };
}
/** @typedef {ReturnType<typeof chartOf>} Chart */

/** @param {SVGSVGElement} svg @param {Data} data @param {Chart} f */
function drawChart(svg, data, f) {
  let step = 10;
  while ((f.high - f.low) / step > 6) step *= 2; // a line that left the usual range must not draw a million ticks
  axisY(svg, f, step, (v) => digit(v).replace(".0", ""));
  axisX(svg, f, data.x.map((label, i) => ({ x: f.x(i), label })), data.y_label, data.x_label);
  data.series.forEach((s, index) => {
    /** @param {number[]} values @returns {[number, number][]} */
    const along = (values) => values.map((v, i) => [f.x(i), f.y(v)]);
    band(svg, along(s.hi), along(s.lo), tone(index));
    line(svg, along(s.mean), tone(index), dash(index));
  });
}

/** @param {SVGGElement} layer @param {Data} data @param {Chart} f @param {number} n */
function drawCursor(layer, data, f, n) {
  layer.replaceChildren();
  cursor(layer, f, f.x(n));
  data.series.forEach((s, index) =>
    draw(layer, "circle", { cx: f.x(n), cy: f.y(s.mean[n]), r: 6, class: `hs-kit__dot hs-kit__dot--now ${tone(index)}` }));
}

/** @param {HTMLElement} panel @param {Data} data @param {number} n */
function fillReadout(panel, data, n) {
  panel.replaceChildren(rows(data.series.map((s, index) =>
    row(tone(index), [swatch(tone(index), dash(index)), make("span", "", s.label)],
      `${digit(s.mean[n])} %`, `${between(at(s, n), digit)} %`))));
  if (data.say?.[n]) panel.append(verdict([make("p", "", data.say[n])]));
}

/** @param {import("./kit.js").Home} home */
function render({ model, el }) {
  /** @type {{title: string, start_n?: number, datasets: Data[]}} */
  const { title, start_n = 0, datasets } = model.get("state");
  let [data] = datasets;
  /** @param {number} value */
  const inside = (value) => clamp(value, 0, data.x.length - 1);
  let n = inside(model.get("n") ?? start_n);
  /** @type {Chart} */
  let chart;
  /** @type {SVGGElement} */
  let layer;

  const sets = tabs(unique("hs-dial"), "Shown", datasets, data, choose, (item) => item.label);
  const ui = shell(el, {
    css: "hs-dial", title, question: [title], slider: {},
    above: datasets.length > 1 ? [sets] : [], paint, report,
  });

  function paint() {
    chart = chartOf(data, room(ui.stage));
    begin(ui, chart, `${data.label}: ${data.y_label} against ${data.x_label}. The slider below reads out the values.`);
    drawChart(ui.svg, data, chart);
    layer = draw(ui.svg, "g");
    drawCursor(layer, data, chart, n);
  }

  function report() {
    fillReadout(ui.readout, data, n);
    const values = data.series.map((s) => `${s.label} ${digit(s.mean[n])} percent`).join(", ");
    const setting = `${data.x_label} ${data.x[n]}`;
    ui.tell(n, setting, { n }, `${setting}: ${values}. ${data.say?.[n] ?? ""}`);
  }

  /** @param {number} next */
  function go(next) {
    if (next === n) return;
    n = next;
    save(model, { n });
    drawCursor(layer, data, chart, n);
    report();
  }

  /** @param {Data} next */
  function choose(next) {
    data = next;
    n = inside(n);
    ui.slider.max = String(data.x.length - 1);
    ui.slider.setAttribute("aria-label", data.x_label);
    fillNumbers(ui, `${data.label}: ${data.y_label}, mean (95 % interval)`,
      [data.x_label, ...data.series.map((s) => s.label)],
      data.x.map((name, i) => [name, ...data.series.map((s) => withInterval(at(s, i), digit))]));
    ui.update();
  }

  controls(ui, go, (x) => go(chart.at(x)));
  choose(data);
  return live(model, ui, ["n"], () => go(inside(model.get("n"))));
}

export default { render };
