// The dial: one setting, several measured lines, and a sentence about what the setting does.
//
// One module, two homes: JupyterLab runs it through anywidget, the static page through hydrate.js.
// It wears the label-budget explorer's style sheet. Every word becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "7 4", "2 4", "9 3 2 3", "4 3", "1 3", "12 4"];
const TONES = ["a", "b", "c", "d", "e", "f", "g"];
const THUMB = 24; // px, the same number as in the style sheet

const shown = (value) => value.toFixed(1).replace("-", "\u2212");
const tone = (index) => `hs-dial-${TONES[index % TONES.length]}`;

function make(tag, css, text, attrs = {}) {
  const node = document.createElement(tag);
  if (css) node.className = css;
  if (text != null) node.textContent = text;
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  return node;
}

function draw(parent, tag, attrs, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  if (text != null) node.textContent = text;
  parent.append(node);
  return node;
}

// The settings stand at equal distances: they are measured points, not a continuum.
function frame(data, width) {
  const height = Math.round(Math.max(270, Math.min(400, width * 0.62)));
  const margin = { top: 28, right: 18, bottom: 48, left: 42 };
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const values = data.series.flatMap((s) => [...s.lo, ...s.hi]);
  const low = Math.min(data.floor ?? Infinity, 10 * Math.floor(Math.min(...values) / 10));
  const high = Math.max(low + 10, 10 * Math.ceil(Math.max(...values) / 10));
  const last = Math.max(1, data.x.length - 1);
  return {
    width, height, margin, inner, low, high,
    x: (i) => margin.left + (inner.width * i) / last,
    y: (v) => margin.top + inner.height * (1 - (v - low) / (high - low)),
    i: (x) => Math.max(0, Math.min(last, Math.round(((x - margin.left) / inner.width) * last))),
  };
}

function drawChart(svg, data, f) {
  let step = 10;
  while ((f.high - f.low) / step > 6) step *= 2; // a line that left the usual range must not draw a million ticks
  for (let v = step * Math.ceil(f.low / step); v <= f.high; v += step) {
    draw(svg, "path", { d: `M${f.margin.left} ${f.y(v)}H${f.width - f.margin.right}`, class: "hs-lb__grid" });
    draw(svg, "text", { x: f.margin.left - 8, y: f.y(v) + 4, "text-anchor": "end" }, shown(v).replace(".0", ""));
  }
  let free = -Infinity; // labels that would touch are left out, the tick stays
  data.x.forEach((name, i) => {
    const half = 3.6 * name.length + 4;
    draw(svg, "path", { d: `M${f.x(i)} ${f.height - f.margin.bottom}v5`, class: "hs-lb__tick" });
    if (f.x(i) - half < free) return;
    draw(svg, "text", { x: f.x(i), y: f.height - f.margin.bottom + 19, "text-anchor": "middle" }, name);
    free = f.x(i) + half;
  });
  draw(svg, "text", { x: 2, y: 14, class: "hs-lb__title" }, data.y_label);
  draw(svg, "text", {
    x: f.margin.left + f.inner.width / 2, y: f.height - 6, "text-anchor": "middle", class: "hs-lb__title",
  }, data.x_label);
  data.series.forEach((s, index) => {
    const line = (values) => values.map((v, i) => `${f.x(i)} ${f.y(v)}`);
    draw(svg, "path", { d: `M${[...line(s.hi), ...line(s.lo).reverse()].join("L")}z`, class: `hs-lb__band ${tone(index)}` });
    draw(svg, "path", {
      d: `M${line(s.mean).join("L")}`, class: `hs-lb__line ${tone(index)}`, "stroke-dasharray": DASHES[index % DASHES.length],
    });
  });
}

function drawCursor(layer, data, f, n) {
  layer.replaceChildren();
  const base = f.height - f.margin.bottom;
  draw(layer, "path", { d: `M${f.x(n)} ${f.margin.top - 8}V${base}`, class: "hs-lb__cursor" });
  data.series.forEach((s, index) =>
    draw(layer, "circle", { cx: f.x(n), cy: f.y(s.mean[n]), r: 6, class: `hs-lb__dot hs-lb__dot--now ${tone(index)}` }));
}

function swatch(index) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({
    viewBox: "0 0 30 12", width: 30, height: 12, "aria-hidden": "true", class: "hs-lb__swatch",
  })) svg.setAttribute(name, value);
  draw(svg, "path", { d: "M0 6H30", class: `hs-lb__line ${tone(index)}`, "stroke-dasharray": DASHES[index % DASHES.length] });
  return svg;
}

function fillReadout(panel, data, n) {
  panel.replaceChildren();
  const list = make("dl", "hs-lb__rows");
  data.series.forEach((s, index) => {
    const row = make("div", `hs-lb__row ${tone(index)}`);
    const name = make("dt");
    name.append(swatch(index), make("span", "", s.label));
    const cell = make("dd");
    cell.append(make("strong", "", `${shown(s.mean[n])} %`), make("small", "", `${shown(s.lo[n])} to ${shown(s.hi[n])} %`));
    row.append(name, cell);
    list.append(row);
  });
  panel.append(list);
  if (!data.say?.[n]) return;
  const box = make("div", "hs-lb__verdict");
  box.append(make("p", "", data.say[n]));
  panel.append(box);
}

function numbersTable(data) {
  const table = make("table", "hs-lb__table");
  const head = make("tr");
  head.append(make("th", "", data.x_label, { scope: "col" }));
  for (const s of data.series) head.append(make("th", "", s.label, { scope: "col" }));
  const body = make("tbody");
  data.x.forEach((name, i) => {
    const row = make("tr");
    row.append(make("th", "", name, { scope: "row" }));
    for (const s of data.series) row.append(make("td", "", `${shown(s.mean[i])} (${shown(s.lo[i])} to ${shown(s.hi[i])})`));
    body.append(row);
  });
  const top = make("thead");
  top.append(head);
  table.append(make("caption", "", `${data.label}: ${data.y_label}, mean (95 % interval)`), top, body);
  return table;
}

let instances = 0;

function render({ model, el }) {
  const state = model.get("state");
  const id = `hs-dial-${(instances += 1)}`;
  let data = state.datasets[0];
  let n = Math.max(0, Math.min(data.x.length - 1, model.get("n") ?? state.start_n ?? 0));
  let chart = null;
  let layer = null;

  const root = make("section", "hs-lb hs-dial", null, { "aria-label": state.title });
  const tabs = make("fieldset", "hs-lb__tabs");
  tabs.append(make("legend", "hs-sr", "Shown"));
  state.datasets.forEach((item, index) => {
    const label = make("label", "hs-lb__tab");
    const input = make("input", "", null, { type: "radio", name: `${id}-set`, value: String(index) });
    input.checked = index === 0;
    input.addEventListener("change", () => choose(state.datasets[index]));
    label.append(input, make("span", "", item.label));
    tabs.append(label);
  });
  const stage = make("div", "hs-lb__stage");
  const svg = draw(stage, "svg", { class: "hs-lb__chart", role: "img" });
  const slider = make("input", "hs-lb__slider", null, { type: "range", min: "0", step: "1" });
  stage.append(slider);
  const readout = make("div", "hs-lb__readout");
  const grid = make("div", "hs-lb__body");
  grid.append(stage, readout);
  const numbers = make("details", "hs-lb__numbers");
  const live = make("p", "hs-sr", "", { "aria-live": "polite", "data-role": "live" });
  root.append(make("p", "hs-lb__question", state.title));
  if (state.datasets.length > 1) root.append(tabs);
  root.append(grid, numbers, live);
  el.append(root);

  function paint() {
    const width = Math.max(260, Math.floor(stage.clientWidth));
    chart = frame(data, width);
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${chart.height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", chart.height);
    svg.setAttribute("aria-label", `${data.label}: ${data.y_label} against ${data.x_label}. The slider below reads out the values.`);
    drawChart(svg, data, chart);
    layer = draw(svg, "g", {});
    drawCursor(layer, data, chart, n);
    slider.style.marginLeft = `${chart.margin.left - THUMB / 2}px`;
    slider.style.width = `${chart.inner.width + THUMB}px`;
  }

  function report() {
    slider.value = String(n);
    slider.setAttribute("aria-valuetext", `${data.x_label} ${data.x[n]}`);
    root.dataset.n = n;
    fillReadout(readout, data, n);
    live.textContent = `${data.x_label} ${data.x[n]}: ${data.series.map((s) => `${s.label} ${shown(s.mean[n])} percent`).join(", ")}. ${data.say?.[n] ?? ""}`;
  }

  function go(next) {
    if (next === n) return;
    n = next;
    model.set("n", n);
    model.save_changes();
    drawCursor(layer, data, chart, n);
    report();
  }

  function choose(next) {
    data = next;
    n = Math.min(n, data.x.length - 1);
    slider.max = String(data.x.length - 1);
    slider.setAttribute("aria-label", data.x_label);
    const scroll = make("div", "hs-lb__scroll", null, { tabindex: "0", role: "region", "aria-label": "Numbers behind the chart" });
    scroll.append(numbersTable(data));
    numbers.replaceChildren(make("summary", "", "The numbers behind the chart"), scroll);
    paint();
    report();
  }

  const fromPointer = (event) => {
    const box = svg.getBoundingClientRect();
    go(chart.i(((event.clientX - box.left) * chart.width) / box.width));
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    fromPointer(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) fromPointer(event);
  });
  slider.addEventListener("input", () => go(Number(slider.value)));
  const follow = () => go(Math.max(0, Math.min(data.x.length - 1, model.get("n"))));
  model.on("change:n", follow);

  choose(data);
  let width = stage.clientWidth;
  const watcher = new ResizeObserver(() => {
    if (stage.clientWidth === width || !stage.clientWidth) return;
    width = stage.clientWidth;
    paint();
  });
  watcher.observe(stage);
  return () => {
    watcher.disconnect();
    model.off?.("change:n", follow);
    root.remove();
  };
}

export default { render };
