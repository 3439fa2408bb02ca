// The freezing-depth explorer: train the last k layers at n labels per class, see accuracy and cost.
//
// One module, two homes: JupyterLab runs it through anywidget, the static page through hydrate.js.
// Everything a reader sees is text or SVG made with createElement, so names can never be markup.

const SVG = "http://www.w3.org/2000/svg";
const THUMB = 24; // px, the same number as in the style sheet

const minus = (text) => text.replace("-", "\u2212");
const percent = (value) => minus((100 * value).toFixed(1));
const points = (value) => `${value >= 0 ? "+" : ""}${minus((100 * value).toFixed(1))}`;
const megabytes = (bytes) => `${bytes < 1e6 ? (bytes / 1e6).toFixed(2) : (bytes / 1e6).toFixed(1)} MB`;
const thousands = (value) => value.toLocaleString("en-US");

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

function trainedWords(k, total) {
  if (k === 0) return "only the head";
  if (k === total) return `all ${total} layers`;
  return k === 1 ? "the last layer" : `the last ${k} layers`;
}

const closest = (list, wanted) =>
  list.reduce((best, value) => (Math.abs(value - wanted) < Math.abs(best - wanted) ? value : best));

// ---------------------------------------------------------------- the network: what is frozen, what moves

function drawNetwork(strip, state, k) {
  strip.replaceChildren();
  const total = state.layers.length;
  state.layers.forEach((name, i) => {
    const moves = i >= total - k;
    strip.append(make("span", `hs-fd__layer${moves ? " hs-fd__layer--moves" : ""}`, name.replace("blocks.", "block ")));
  });
  strip.append(make("span", "hs-fd__layer hs-fd__layer--moves hs-fd__layer--head", "head"));
}

// ---------------------------------------------------------------- the chart

function frame(state, width) {
  const ks = state.depths.map((depth) => depth.k);
  const margin = { top: 30, right: 22, bottom: 44, left: 40 };
  const height = Math.round(Math.max(250, Math.min(360, width * 0.62)));
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const values = state.budgets.flatMap((b) => b.points.flatMap((p) => [p.lo, p.hi, p.train]));
  const low = Math.max(0, Math.floor(10 * Math.min(...values)) / 10);
  const high = Math.min(1, Math.ceil(10 * Math.max(...values)) / 10);
  const step = inner.width / Math.max(1, ks.length - 1);
  return {
    ks, margin, width, height, inner, low, high,
    x: (k) => margin.left + step * ks.indexOf(k),
    // An interval from two seeds may reach beyond 0 or 1; the drawing stops there, the read-out does not.
    y: (v) => margin.top + inner.height * (1 - (Math.max(low, Math.min(high, v)) - low) / (high - low || 1)),
    at: (x) => ks[Math.max(0, Math.min(ks.length - 1, Math.round((x - margin.left) / step)))],
  };
}

function drawChart(svg, state, f, budget, k) {
  svg.replaceChildren();
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${f.width} ${f.height}`, width: f.width, height: f.height })) {
    svg.setAttribute(name, value);
  }
  const base = f.height - f.margin.bottom;
  const axes = draw(svg, "g", {});
  const step = f.high - f.low > 0.45 ? 0.2 : 0.1;
  for (let v = Math.ceil(f.low / step - 1e-9) * step; v <= f.high + 1e-9; v += step) {
    draw(axes, "path", { d: `M${f.margin.left} ${f.y(v)}H${f.width - f.margin.right}`, class: "hs-fd__grid" });
    draw(axes, "text", { x: f.margin.left - 10, y: f.y(v) + 4, "text-anchor": "end" }, Math.round(100 * v));
  }
  for (const one of f.ks) draw(axes, "text", { x: f.x(one), y: base + 19, "text-anchor": "middle" }, one);
  draw(axes, "text", { x: 2, y: 14 }, "accuracy (%)");
  draw(axes, "text", { x: f.margin.left + f.inner.width / 2, y: f.height - 5, "text-anchor": "middle" },
    "layers trained, from the end (0: the probe)");
  const path = (list, value) => `M${list.map((p) => `${f.x(p.k)} ${f.y(value(p))}`).join("L")}`;
  for (const other of state.budgets) {
    if (other !== budget) draw(svg, "path", { d: path(other.points, (p) => p.mean), class: "hs-fd__other" });
  }
  const band = [...budget.points.map((p) => `${f.x(p.k)} ${f.y(p.hi)}`),
    ...budget.points.map((p) => `${f.x(p.k)} ${f.y(p.lo)}`).reverse()];
  draw(svg, "path", { d: `M${band.join("L")}z`, class: "hs-fd__band" });
  draw(svg, "path", { d: path(budget.points, (p) => p.train), class: "hs-fd__line hs-fd__line--train" });
  draw(svg, "path", { d: path(budget.points, (p) => p.mean), class: "hs-fd__line hs-fd__line--test" });
  const now = budget.points.find((p) => p.k === k);
  draw(svg, "path", { d: `M${f.x(k)} ${f.margin.top - 6}V${base}`, class: "hs-fd__cursor" });
  for (const p of budget.points) {
    const chosen = p === now;
    const s = chosen ? 6 : 3;
    draw(svg, "rect", { x: f.x(p.k) - s, y: f.y(p.train) - s, width: 2 * s, height: 2 * s, class: "hs-fd__dot hs-fd__dot--train" });
    draw(svg, "circle", { cx: f.x(p.k), cy: f.y(p.mean), r: chosen ? 7 : 3.5, class: "hs-fd__dot hs-fd__dot--test" });
  }
  svg.setAttribute("aria-label", `Test and training accuracy against the number of layers trained, ${budget.n} labels per class. The slider below reads out the values.`);
}

// ---------------------------------------------------------------- the read-out

function row(css, name, value, small) {
  const line = make("div", `hs-fd__row ${css}`);
  const dd = make("dd");
  dd.append(make("strong", "", value), make("small", "", small));
  line.append(make("dt", "", name), dd);
  return line;
}

function gainWords(point, seeds) {
  if (point.k === 0) return "The probe is what the others are measured against.";
  if (!point.gain) return "No paired difference to the probe was measured.";
  const sure = point.gain.lo > 0 || point.gain.hi < 0;
  return `${points(point.gain.mean)} points against the probe, 95 % interval ${points(point.gain.lo)} to ${points(point.gain.hi)}, ${seeds} seeds.`
    + (sure ? "" : " The interval includes zero: no difference is shown.");
}

function fillReadout(panel, state, budget, k) {
  panel.replaceChildren();
  const point = budget.points.find((p) => p.k === k);
  const depth = state.depths.find((d) => d.k === k);
  const list = make("dl", "hs-fd__rows");
  list.append(
    row("hs-fd__row--test", "Test", `${percent(point.mean)} %`, `${percent(point.lo)} to ${percent(point.hi)} %`),
    row("hs-fd__row--train", "Training examples", `${percent(point.train)} %`, `gap ${points(point.train - point.mean)} points`));
  const costs = make("div", "hs-fd__costs");
  const bars = [["Parameters that move", "trainable", thousands], ["Memory of a step", "memory", megabytes],
    ["Stored per task", "stored", megabytes]];
  for (const [name, key, words] of bars) {
    const most = Math.max(...state.depths.map((d) => d[key]));
    const line = make("div", "hs-fd__cost");
    const bar = make("span", "hs-fd__bar", null, { "aria-hidden": "true" });
    bar.style.setProperty("--share", String(depth[key] / most));
    line.append(make("span", "", name), make("strong", "", words(depth[key])), bar);
    costs.append(line);
  }
  panel.append(list, make("p", "hs-fd__gain", gainWords(point, budget.seeds)), costs);
}

function numbersTable(state) {
  const table = make("table", "hs-fd__table");
  const head = make("tr");
  const titles = ["layers trained", "parameters that move", "memory of a step", "stored per task",
    ...state.budgets.flatMap((b) => [`n = ${b.n}: test (95 % interval)`, "training"])];
  for (const title of titles) head.append(make("th", "", title, { scope: "col" }));
  const thead = make("thead");
  thead.append(head);
  const body = make("tbody");
  state.depths.forEach((depth, i) => {
    const line = make("tr");
    line.append(make("th", "", depth.k, { scope: "row" }), make("td", "", thousands(depth.trainable)),
      make("td", "", megabytes(depth.memory)), make("td", "", megabytes(depth.stored)));
    for (const budget of state.budgets) {
      const p = budget.points[i];
      line.append(make("td", "", `${percent(p.mean)} (${percent(p.lo)} to ${percent(p.hi)})`), make("td", "", percent(p.train)));
    }
    body.append(line);
  });
  table.append(make("caption", "", "Accuracy in %, mean over seeds, and what a task costs"), thead, body);
  return table;
}

// ---------------------------------------------------------------- putting it together

let instances = 0;

function render({ model, el }) {
  const state = model.get("state");
  const id = `hs-fd-${(instances += 1)}`;
  const total = state.layers.length;
  const ks = state.depths.map((depth) => depth.k);
  let budget = state.budgets.find((b) => b.n === (model.get("n") || state.start_n)) ?? state.budgets[0];
  let k = closest(ks, model.get("k") ?? state.start_k ?? ks[0]);
  let chart = null;
  let speech = 0;

  const root = make("section", "hs-fd", null, { "aria-label": state.title ?? "Freezing-depth explorer" });
  const question = make("p", "hs-fd__question");
  const nWords = make("output", "hs-fd__pick", "", { "aria-hidden": "true" });
  const kWords = make("output", "hs-fd__pick", "", { "aria-hidden": "true" });
  question.append("What do you get, and what does it cost, when you train ", kWords, " with ", nWords, " labels per class?");

  const tabs = make("fieldset", "hs-fd__tabs");
  tabs.append(make("legend", "", "Labels per class"));
  for (const item of state.budgets) {
    const label = make("label", "hs-fd__tab");
    const input = make("input", "", null, { type: "radio", name: `${id}-n`, value: String(item.n) });
    input.checked = item === budget;
    input.addEventListener("change", () => go(item, k));
    label.append(input, make("span", "", item.n));
    tabs.append(label);
  }

  const strip = make("div", "hs-fd__network", null, { "aria-hidden": "true" });
  const key = make("p", "hs-fd__key", null, { "aria-hidden": "true" });
  for (const [css, words] of [["test", "test"], ["train", "training examples"], ["other", "test, other n"]]) {
    key.append(make("span", `hs-fd__keyed hs-fd__keyed--${css}`, words));
  }
  const stage = make("div", "hs-fd__stage");
  stage.append(key);
  const svg = draw(stage, "svg", { class: "hs-fd__chart", role: "img" });
  const slider = make("input", "hs-fd__slider", null, {
    type: "range", min: "0", max: String(ks.length - 1), step: "1", "aria-label": "Layers trained",
  });
  stage.append(slider);
  const readout = make("div", "hs-fd__readout");
  const grid = make("div", "hs-fd__body");
  grid.append(stage, readout);
  const numbers = make("details", "hs-fd__numbers");
  const scroll = make("div", "hs-fd__scroll", null, { tabindex: "0", role: "region", "aria-label": "Numbers behind the chart" });
  scroll.append(numbersTable(state));
  numbers.append(make("summary", "", "The numbers behind the chart"), scroll);
  const live = make("p", "hs-fd__sr", "", { "aria-live": "polite", "data-role": "live" });
  root.append(question, tabs, strip, grid, numbers, live);
  el.append(root);

  function paint() {
    chart = frame(state, Math.max(250, Math.floor(stage.clientWidth)));
    drawChart(svg, state, chart, budget, k);
    slider.style.marginLeft = `${chart.margin.left - THUMB / 2}px`;
    slider.style.width = `${chart.inner.width + THUMB}px`;
  }

  function report() {
    nWords.textContent = budget.n;
    kWords.textContent = trainedWords(k, total);
    slider.value = String(ks.indexOf(k));
    slider.setAttribute("aria-valuetext", trainedWords(k, total));
    root.dataset.n = budget.n;
    root.dataset.k = k;
    drawNetwork(strip, state, k);
    fillReadout(readout, state, budget, k);
    paint();
    window.clearTimeout(speech);
    speech = window.setTimeout(() => {
      const point = budget.points.find((p) => p.k === k);
      const depth = state.depths.find((d) => d.k === k);
      live.textContent = `${budget.n} labels per class, ${trainedWords(k, total)}: test ${percent(point.mean)} percent, training ${percent(point.train)} percent, `
        + `${thousands(depth.trainable)} parameters move, ${megabytes(depth.stored)} stored per task.`;
    }, 250);
  }

  function go(nextBudget, nextK) {
    if (nextBudget === budget && nextK === k) return;
    [budget, k] = [nextBudget, nextK];
    for (const input of tabs.querySelectorAll("input")) input.checked = input.value === String(budget.n);
    model.set("n", budget.n);
    model.set("k", k);
    model.save_changes();
    report();
  }

  const fromPointer = (event) => {
    const box = svg.getBoundingClientRect();
    go(budget, chart.at(((event.clientX - box.left) * chart.width) / box.width));
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    fromPointer(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) fromPointer(event);
  });
  slider.addEventListener("input", () => go(budget, ks[Number(slider.value)]));
  const follow = () => {
    const wanted = state.budgets.find((b) => b.n === model.get("n")) ?? budget;
    go(wanted, closest(ks, model.get("k") ?? k));
  };
  model.on("change:n", follow);
  model.on("change:k", follow);

  report();
  let width = stage.clientWidth;
  const watcher = new ResizeObserver(() => {
    if (stage.clientWidth === width || !stage.clientWidth) return;
    width = stage.clientWidth;
    paint();
  });
  watcher.observe(stage);
  return () => {
    watcher.disconnect();
    window.clearTimeout(speech);
    model.off?.("change:n", follow);
    model.off?.("change:k", follow);
    root.remove();
  };
}

export default { render };
