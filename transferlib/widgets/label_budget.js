// The label-budget explorer: what a head start buys at n labels per class.
//
// One module, two homes: JupyterLab runs it through anywidget, the static page through hydrate.js.
// Everything a reader sees is text or SVG made with createElement, so labels can never be markup.

const SVG = "http://www.w3.org/2000/svg";
const LOOKS = {
  probe: { dash: "", marker: "circle" },
  fine_tune: { dash: "", marker: "square" },
  scratch_small: { dash: "7 4", marker: "triangle" },
  scratch: { dash: "2 4", marker: "diamond" },
};
const SPARE = ["spare-a", "spare-b", "spare-c"];
const THUMB = 24; // px, the same number as in the style sheet

// ---------------------------------------------------------------- numbers and words

const minus = (text) => text.replace("-", "\u2212");
const percent = (value) => `${(100 * value).toFixed(1)}`;
const points = (value) => `${value >= 0 ? "+" : ""}${minus((100 * value).toFixed(1))}`;
const count = (value) => (value < 10 ? String(+value.toFixed(1)) : String(Math.round(value)));
const plural = (n) => (n === 1 ? "1 label" : `${n} labels`);
const look = (strategy, index) => LOOKS[strategy.id] ?? { dash: "4 3", marker: "circle", index };
const tone = (strategy, index) =>
  `hs-tone-${strategy.id in LOOKS ? strategy.id : SPARE[index % SPARE.length]}`;

function nearest(list, n) {
  return list.reduce((best, value) =>
    Math.abs(Math.log(value / n)) < Math.abs(Math.log(best / n)) ? value : best);
}

// ---------------------------------------------------------------- reading the state

const allBudgets = (data) =>
  [...new Set(data.strategies.flatMap((strategy) => strategy.n))].sort((a, b) => a - b);

function at(series, n) {
  const i = series.n.indexOf(n);
  if (i < 0) return null;
  return { mean: series.mean[i], lo: series.lo[i], hi: series.hi[i] };
}

// Along the drawn line, for the dots that glide with the cursor.
function along(series, n) {
  const last = series.n.length - 1;
  if (last < 0 || n < series.n[0] * 0.999 || n > series.n[last] * 1.001) return null;
  for (let i = 0; i < last; i += 1) {
    if (n > series.n[i + 1]) continue;
    const share = Math.log(n / series.n[i]) / Math.log(series.n[i + 1] / series.n[i]);
    return series.mean[i] + share * (series.mean[i + 1] - series.mean[i]);
  }
  return series.mean[last];
}

// The head start is measured against the strongest opponent, and the best transfer strategy is
// the one shown: for each a the smallest gap over b, then the largest of those.
function headStart(data, n) {
  const fair = new Map();
  for (const gap of data.gaps ?? []) {
    const value = at(gap, n);
    if (value && (!fair.has(gap.a) || value.mean < fair.get(gap.a).mean)) {
      fair.set(gap.a, { a: gap.a, b: gap.b, ...value });
    }
  }
  const best = [...fair.values()].sort((x, y) => y.mean - x.mean)[0];
  if (!best) return null;
  const named = (id) => data.strategies.find((strategy) => strategy.id === id)?.label ?? id;
  const twin = (data.equivalents ?? []).find(
    (item) => item.strategy === best.a && item.against === best.b);
  const i = twin ? twin.n.indexOf(n) : -1;
  // A gap that may be nothing is worth no labels.
  const worth = i < 0 || twin.k[i] == null || best.lo <= 0 ? null : {
    k: twin.k[i], lo: twin.lo[i], hi: twin.hi[i], beyond: Boolean(twin.beyond?.[i]),
  };
  return { ...best, aLabel: named(best.a), bLabel: named(best.b), worth };
}

// ---------------------------------------------------------------- small makers

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

function marker(parent, kind, x, y, r, attrs) {
  if (kind === "circle") return draw(parent, "circle", { cx: x, cy: y, r, ...attrs });
  const s = r * 0.92;
  const d = {
    square: `M${x - s} ${y - s}h${2 * s}v${2 * s}h${-2 * s}z`,
    triangle: `M${x} ${y - r * 1.2}L${x + r * 1.1} ${y + r * 0.8}H${x - r * 1.1}z`,
    diamond: `M${x} ${y - r * 1.25}L${x + r * 1.25} ${y}L${x} ${y + r * 1.25}L${x - r * 1.25} ${y}z`,
  }[kind];
  return draw(parent, "path", { d, ...attrs });
}

function swatch(strategy, index) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({
    viewBox: "0 0 30 12", width: 30, height: 12, "aria-hidden": "true",
    class: `hs-lb__swatch ${tone(strategy, index)}`,
  })) svg.setAttribute(name, value);
  const { dash, marker: kind } = look(strategy, index);
  draw(svg, "path", { d: "M0 6H30", class: "hs-lb__line", "stroke-dasharray": dash });
  marker(svg, kind, 15, 6, 4, { class: "hs-lb__dot" });
  return svg;
}

// ---------------------------------------------------------------- the chart

function frame(data, width) {
  const wide = width >= 560;
  const margin = { top: 30, right: wide ? 128 : 16, bottom: 46, left: 38 };
  const height = Math.round(Math.max(290, Math.min(430, width * (wide ? 0.58 : 0.86))));
  const budgets = allBudgets(data);
  const [first, last] = [budgets[0], budgets[budgets.length - 1]];
  const values = data.strategies.flatMap((s) => [...s.lo, ...s.hi]).concat(data.chance ?? []);
  const low = Math.max(0, Math.floor(10 * Math.min(...values) - 0.2) / 10);
  const high = Math.min(1, Math.ceil(10 * Math.max(...values)) / 10);
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const span = Math.log(last / first) || 1;
  return {
    wide, margin, width, height, budgets, low, high, inner, first, last,
    x: (n) => margin.left + (inner.width * Math.log(n / first)) / span,
    y: (v) => margin.top + inner.height * (1 - (v - low) / (high - low || 1)),
    n: (x) => first * Math.exp(((x - margin.left) / inner.width) * span),
  };
}

function drawAxes(svg, data, f) {
  const axes = draw(svg, "g", { class: "hs-lb__axes" });
  const step = f.high - f.low > 0.55 ? 0.2 : 0.1;
  for (let v = Math.ceil(f.low / step - 1e-9) * step; v <= f.high + 1e-9; v += step) {
    const y = f.y(v);
    draw(axes, "path", { d: `M${f.margin.left} ${y}H${f.width - f.margin.right}`, class: "hs-lb__grid" });
    draw(axes, "text", { x: f.margin.left - 8, y: y + 4, "text-anchor": "end" }, Math.round(100 * v));
  }
  let free = -Infinity; // labels that would touch are left out, the tick stays
  for (const n of f.budgets) {
    const x = f.x(n);
    const base = f.height - f.margin.bottom;
    draw(axes, "path", { d: `M${x} ${base}v5`, class: "hs-lb__tick" });
    const half = 3.6 * String(n).length + 4;
    if (x - half < free) continue;
    draw(axes, "text", { x, y: base + 19, "text-anchor": "middle" }, n);
    free = x + half;
  }
  draw(axes, "text", { x: 2, y: 14, class: "hs-lb__title" }, `${data.unit ?? "test accuracy"} (%)`);
  draw(axes, "text", {
    x: f.margin.left + f.inner.width / 2, y: f.height - 6, "text-anchor": "middle", class: "hs-lb__title",
  }, "labels per class (log scale)");
  if (data.chance == null) return;
  const y = f.y(data.chance);
  draw(axes, "path", { d: `M${f.margin.left} ${y}H${f.width - f.margin.right}`, class: "hs-lb__chance" });
  draw(axes, "text", {
    x: f.width - f.margin.right - 4, y: y - 5, "text-anchor": "end", class: "hs-lb__guess",
  }, `guessing ${minus(count(100 * data.chance))} %`);
}

function drawLines(svg, data, f) {
  const bands = draw(svg, "g", {});
  const lines = draw(svg, "g", {});
  data.strategies.forEach((s, index) => {
    const css = tone(s, index);
    const style = look(s, index);
    const upper = s.n.map((n, i) => `${f.x(n)} ${f.y(s.hi[i])}`);
    const lower = s.n.map((n, i) => `${f.x(n)} ${f.y(s.lo[i])}`).reverse();
    if (s.n.length > 1) {
      draw(bands, "path", { d: `M${[...upper, ...lower].join("L")}z`, class: `hs-lb__band ${css}` });
      const d = `M${s.n.map((n, i) => `${f.x(n)} ${f.y(s.mean[i])}`).join("L")}`;
      draw(lines, "path", { d, class: `hs-lb__line ${css}`, "stroke-dasharray": style.dash });
    }
    s.n.forEach((n, i) =>
      marker(lines, style.marker, f.x(n), f.y(s.mean[i]), 2.6, { class: `hs-lb__dot ${css}` }));
  });
}

// Names at the right end of the lines, pushed apart so that none touches another.
function drawNames(svg, data, f) {
  if (!f.wide) return;
  const names = data.strategies.flatMap((s, index) => {
    if (!s.n.length) return [];
    const words = s.label.split(" ");
    const rows = [""];
    for (const word of words) {
      const row = rows[rows.length - 1];
      if (row && (row + word).length > 15) rows.push(word);
      else rows[rows.length - 1] = row ? `${row} ${word}` : word;
    }
    return [{ s, index, rows, y: f.y(s.mean[s.mean.length - 1]), room: 15 * rows.length + 5 }];
  }).sort((a, b) => a.y - b.y);
  names.forEach((name, i) => {
    const above = names[i - 1];
    if (above) name.y = Math.max(name.y, above.y + (above.room + name.room) / 2);
  });
  let floor = f.height - f.margin.bottom + 8;
  for (const name of [...names].reverse()) {
    name.y = Math.min(name.y, floor - name.room / 2);
    floor = name.y - name.room / 2;
  }
  for (const { s, index, rows, y } of names) {
    const text = draw(svg, "text", { class: `hs-lb__name ${tone(s, index)}` });
    rows.forEach((row, i) => draw(text, "tspan", {
      x: f.width - f.margin.right + 10, y: y + 5 + 15 * (i - (rows.length - 1) / 2),
    }, row));
  }
}

function pill(parent, x, y, text, css, anchor = "middle") {
  const width = 7.4 * text.length + 16;
  const left = anchor === "middle" ? x - width / 2 : anchor === "start" ? x : x - width;
  const group = draw(parent, "g", { class: css });
  draw(group, "rect", { x: left, y: y - 12, width, height: 24, rx: 12 });
  draw(group, "text", { x: left + width / 2, y: y + 4.5, "text-anchor": "middle" }, text);
}

function drawCursor(layer, data, f, n, settled) {
  layer.replaceChildren();
  const x = f.x(n);
  const base = f.height - f.margin.bottom;
  draw(layer, "path", { d: `M${x} ${f.margin.top - 8}V${base}`, class: "hs-lb__cursor" });
  const head = settled == null ? null : headStart(data, settled);
  if (head) drawHeadStart(layer, data, f, n, head);
  data.strategies.forEach((s, index) => {
    const value = along(s, n);
    if (value == null) return;
    marker(layer, look(s, index).marker, x, f.y(value), 6, { class: `hs-lb__dot hs-lb__dot--now ${tone(s, index)}` });
  });
}

function drawHeadStart(layer, data, f, n, head) {
  const series = (id) => data.strategies.find((s) => s.id === id);
  const [a, b] = [series(head.a), series(head.b)];
  const top = a && along(a, n);
  const low = b && along(b, n);
  if (top == null || low == null) return;
  const [x, y0, y1] = [f.x(n), f.y(top), f.y(low)];
  draw(layer, "path", { d: `M${x} ${y0}V${y1}`, class: "hs-lb__gap" });
  const { worth } = head;
  if (worth && worth.k > n) {
    // The same accuracy without the head start: walk right until the other line is this high.
    const end = worth.beyond ? f.x(f.last) + 8 : f.x(worth.k);
    draw(layer, "path", { d: `M${x} ${y0}H${end}`, class: "hs-lb__worth" });
    draw(layer, "path", { d: `M${end} ${y0}l-7 -4.5v9z`, class: "hs-lb__arrow" });
    if (!worth.beyond) draw(layer, "path", { d: `M${end} ${y0}V${f.height - f.margin.bottom}`, class: "hs-lb__drop" });
  }
  const label = `${points(head.mean)} points`;
  const width = 7.4 * label.length + 16;
  const right = x + 12 + width < f.width - f.margin.right;
  if (Math.abs(y1 - y0) > 30) {
    pill(layer, right ? x + 10 : x - 10, (y0 + y1) / 2, label, "hs-lb__pill", right ? "start" : "end");
  }
}

// ---------------------------------------------------------------- the read-out

function intervalText(value, form, unit) {
  return `${form(value.lo)} to ${form(value.hi)}${unit}`;
}

function fillReadout(panel, data, n) {
  panel.replaceChildren();
  const list = make("dl", "hs-lb__rows");
  data.strategies.forEach((s, index) => {
    const row = make("div", `hs-lb__row ${tone(s, index)}`);
    const name = make("dt");
    name.append(swatch(s, index), make("span", "", s.label));
    const now = at(s, n);
    const cell = make("dd");
    if (now) {
      cell.append(
        make("strong", "", `${percent(now.mean)} %`),
        make("small", "", intervalText(now, percent, " %")));
    } else if (s.n.length) {
      const other = nearest(s.n, n);
      cell.append(make("strong", "hs-lb__absent", "not measured here"),
        make("small", "", `${percent(at(s, other).mean)} % at ${other}`));
    }
    row.append(name, cell);
    list.append(row);
  });
  panel.append(list, verdict(data, n));
}

function verdict(data, n) {
  const box = make("div", "hs-lb__verdict");
  const head = headStart(data, n);
  if (!head) {
    box.append(make("p", "", `No paired difference was measured at ${plural(n)} per class.`));
    return box;
  }
  const sure = head.lo > 0 || head.hi < 0;
  box.append(make("p", "hs-lb__big", `${points(head.mean)} points`));
  box.append(make("p", "hs-lb__fine",
    `${head.aLabel[0].toUpperCase()}${head.aLabel.slice(1)} against ${head.bLabel}, 95 % interval ${intervalText(head, points, "")}.`
    + (sure ? "" : " The interval includes zero: no head start is shown here.")));
  const { worth } = head;
  if (!sure) return box;
  if (!worth) {
    box.append(make("p", "hs-lb__fine", "How many labels that is worth was not measured here."));
    return box;
  }
  const line = make("p", "hs-lb__worthline");
  const k = worth.beyond ? `more than ${count(worth.k)}` : `about ${count(worth.k)}`;
  line.append("This head start is worth ", make("strong", "", `${k} labels per class`), ".");
  const needs = worth.beyond
    ? `From scratch does not catch up within the ${count(worth.k)} labels per class measured.`
    : `From scratch needs ${worth.lo == null || worth.hi == null ? count(worth.k)
      : `${count(worth.lo)} to ${count(worth.hi)}`} to match.`;
  box.append(line, make("p", "hs-lb__fine", needs));
  return box;
}

function spoken(data, n) {
  const parts = data.strategies.map((s) => {
    const now = at(s, n);
    return `${s.label} ${now ? `${percent(now.mean)} percent` : "not measured here"}`;
  });
  const head = headStart(data, n);
  const gap = head
    ? ` Head start ${points(head.mean)} points, interval ${intervalText(head, points, "")}.` : "";
  const worth = head?.worth
    ? ` Worth ${head.worth.beyond ? "more than " : "about "}${count(head.worth.k)} labels per class.` : "";
  return `${data.label}, ${plural(n)} per class: ${parts.join(", ")}.${gap}${worth}`;
}

function numbersTable(data) {
  const table = make("table", "hs-lb__table");
  const caption = make("caption", "", `${data.label}: ${data.unit ?? "test accuracy"} in %, mean (95 % interval)`);
  const head = make("tr");
  head.append(make("th", "", "labels per class", { scope: "col" }));
  for (const s of data.strategies) head.append(make("th", "", s.label, { scope: "col" }));
  const thead = make("thead");
  thead.append(head);
  const body = make("tbody");
  for (const n of allBudgets(data)) {
    const row = make("tr");
    row.append(make("th", "", n, { scope: "row" }));
    for (const s of data.strategies) {
      const now = at(s, n);
      row.append(make("td", "", now ? `${percent(now.mean)} (${percent(now.lo)} to ${percent(now.hi)})` : "–"));
    }
    body.append(row);
  }
  table.append(caption, thead, body);
  return table;
}

// ---------------------------------------------------------------- putting it together

let instances = 0;

function render({ model, el }) {
  const state = model.get("state");
  const id = `hs-lb-${(instances += 1)}`;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let data = state.datasets[0];
  let budgets = allBudgets(data);
  let n = nearest(budgets, model.get("n") ?? state.start_n ?? 20);
  let shown = n; // where the cursor is drawn while it glides to n
  let chart = null;
  let layer = null;
  let ticket = 0;
  let speech = 0;

  const root = make("section", "hs-lb", null, { "aria-label": state.title ?? "Label-budget explorer" });
  const question = make("p", "hs-lb__question");
  const budget = make("output", "hs-lb__n", "", { "aria-hidden": "true" });
  const perClass = make("span");
  question.append("You can afford ", budget, perClass, " How much does a head start buy?");

  const tabs = make("fieldset", "hs-lb__tabs");
  tabs.append(make("legend", "hs-sr", "Data set"));
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
  const slider = make("input", "hs-lb__slider", null, {
    type: "range", min: "0", max: "1000", step: "1", "aria-label": "Labels per class",
  });
  stage.append(slider);
  const readout = make("div", "hs-lb__readout");
  const grid = make("div", "hs-lb__body");
  grid.append(stage, readout);
  const numbers = make("details", "hs-lb__numbers");
  const live = make("p", "hs-sr", "", { "aria-live": "polite", "data-role": "live" });
  root.append(question, tabs, grid, numbers, live);
  el.append(root);

  function paint() {
    const width = Math.max(260, Math.floor(stage.clientWidth));
    chart = frame(data, width);
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${chart.height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", chart.height);
    svg.setAttribute("aria-label",
      `${data.label}: ${data.unit ?? "test accuracy"} against labels per class, one line per strategy with 95 percent bands. The slider below reads out the values.`);
    drawAxes(svg, data, chart);
    drawLines(svg, data, chart);
    layer = draw(svg, "g", {});
    drawNames(svg, data, chart);
    drawCursor(layer, data, chart, shown, n);
    slider.style.marginLeft = `${chart.margin.left - THUMB / 2}px`;
    slider.style.width = `${chart.inner.width + THUMB}px`;
  }

  function place(now) {
    slider.value = String(Math.round((1000 * Math.log(now / chart.first)) / (Math.log(chart.last / chart.first) || 1)));
  }

  function report() {
    budget.textContent = n;
    perClass.textContent = ` ${n === 1 ? "label" : "labels"} per class.`;
    slider.setAttribute("aria-valuetext", `${plural(n)} per class`);
    root.dataset.n = n;
    place(n);
    fillReadout(readout, data, n);
    window.clearTimeout(speech);
    speech = window.setTimeout(() => { live.textContent = spoken(data, n); }, 250);
  }

  function glide() {
    const [from, start, mine] = [shown, performance.now(), (ticket += 1)];
    if (calm.matches || from === n) {
      shown = n;
      drawCursor(layer, data, chart, shown, n);
      return;
    }
    const step = (time) => {
      if (mine !== ticket) return;
      const t = Math.min(1, Math.max(0, (time - start) / 180));
      const eased = 1 - (1 - t) ** 3;
      shown = t === 1 ? n : from * (n / from) ** eased;
      drawCursor(layer, data, chart, shown, t === 1 ? n : null);
      if (t < 1) window.requestAnimationFrame(step);
    };
    window.requestAnimationFrame(step);
  }

  function go(next) {
    if (next === n) {
      place(n);
      return;
    }
    n = next;
    model.set("n", n);
    model.save_changes();
    report();
    glide();
  }

  function choose(next) {
    data = next;
    budgets = allBudgets(data);
    n = nearest(budgets, n);
    shown = n;
    ticket += 1;
    numbers.replaceChildren(make("summary", "", "The numbers behind the chart"), make("div", "hs-lb__scroll", null, {
      tabindex: "0", role: "region", "aria-label": "Numbers behind the chart",
    }));
    numbers.lastChild.append(numbersTable(data));
    paint();
    report();
  }

  const fromPointer = (event) => {
    const box = svg.getBoundingClientRect();
    go(nearest(budgets, chart.n(((event.clientX - box.left) * chart.width) / box.width)));
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    fromPointer(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) fromPointer(event);
  });
  slider.addEventListener("input", () =>
    go(nearest(budgets, chart.first * (chart.last / chart.first) ** (slider.value / 1000))));
  slider.addEventListener("keydown", (event) => {
    // One key press is one measured budget, not one thousandth of the axis.
    const i = budgets.indexOf(n);
    const to = {
      ArrowRight: i + 1, ArrowUp: i + 1, ArrowLeft: i - 1, ArrowDown: i - 1,
      PageUp: i + 3, PageDown: i - 3, Home: 0, End: budgets.length - 1,
    }[event.key];
    if (to == null) return;
    event.preventDefault();
    go(budgets[Math.max(0, Math.min(budgets.length - 1, to))]);
  });
  const follow = () => {
    const wanted = nearest(budgets, model.get("n"));
    if (wanted !== n) go(wanted);
  };
  model.on("change:n", follow);

  choose(data);
  let width = stage.clientWidth;
  const watcher = new ResizeObserver(() => {
    if (stage.clientWidth === width || !stage.clientWidth) return;
    width = stage.clientWidth;
    paint();
    place(n);
  });
  watcher.observe(stage);
  return () => {
    watcher.disconnect();
    window.clearTimeout(speech);
    model.off?.("change:n", follow);
    root.remove();
  };
}

export default { render };
