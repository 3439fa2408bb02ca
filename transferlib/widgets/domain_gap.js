// The domain map: source and target examples before and after an alignment.
//
// One module, two homes: JupyterLab runs it through anywidget, the static page through hydrate.js.
// Everything a reader sees is text or SVG made with createElement, so labels can never be markup.

const SVG = "http://www.w3.org/2000/svg";
const minus = (text) => text.replace("-", "\u2212");
const percent = (value) => (100 * value).toFixed(1);
const points = (value) => `${value >= 0 ? "+" : ""}${minus((100 * value).toFixed(1))}`;

function make(tag, css, text, attrs = {}) {
  const node = document.createElement(tag);
  if (css) node.className = css;
  if (text != null) node.textContent = text;
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  return node;
}

function draw(parent, tag, attrs) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  parent.append(node);
  return node;
}

// A shape for each kind, so that nothing depends on colour: disc, ring, cross.
function mark(parent, kind, x, y) {
  if (kind === "wrong") return draw(parent, "path", { class: "hs-dg__wrong", d: `M${x - 3.4} ${y - 3.4}l6.8 6.8m0 -6.8l-6.8 6.8` });
  const r = kind === "source" ? 3.4 : 3.8;
  return draw(parent, "circle", { class: `hs-dg__${kind}`, cx: x, cy: y, r });
}

function key(kind, label) {
  const item = make("li");
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" })) svg.setAttribute(name, value);
  mark(svg, kind, 6, 6);
  item.append(svg, make("span", "", label));
  return item;
}

function row(label, value, small) {
  const line = make("div", "hs-lb__row hs-dg__row");
  const cell = make("dd");
  cell.append(make("strong", "", value), make("small", "", small));
  line.append(make("dt", "", label), cell);
  return line;
}

let instances = 0;

function render({ model, el }) {
  const state = model.get("state");
  const unit = state.unit ?? "target accuracy";
  const id = `hs-dg-${(instances += 1)}`;
  let pair = state.pairs[0];
  let way = pair.ways[1];
  let after = model.get("after") ?? 0;
  let speech = 0;

  const root = make("section", "hs-lb hs-dg", null, { "aria-label": state.title ?? "Domain gap" });
  root.append(make("p", "hs-lb__question", "When the two clouds meet, does the target get better?"));

  function tabs(legend, name, items, chosen, choose) {
    const set = make("fieldset", "hs-lb__tabs");
    set.append(make("legend", "hs-sr", legend));
    items.forEach((item, index) => {
      const label = make("label", "hs-lb__tab");
      const input = make("input", "", null, { type: "radio", name: `${id}-${name}`, value: String(index) });
      input.checked = item === chosen;
      input.addEventListener("change", () => choose(item));
      label.append(input, make("span", "", item.label));
      set.append(label);
    });
    return set;
  }

  const stage = make("div", "hs-lb__stage");
  const keys = make("ul", "hs-dg__key");
  const svg = draw(stage, "svg", { class: "hs-dg__map", role: "img" });
  const slide = make("div", "hs-dg__slide");
  const slider = make("input", "hs-lb__slider", null, { type: "range", min: "0", max: "100", step: "1", "aria-label": "From before to after" });
  slide.append(make("span", "hs-dg__ends", "before"), slider, make("span", "hs-dg__ends", "after"));
  stage.prepend(keys);
  stage.append(slide);
  const readout = make("div", "hs-lb__readout");
  const grid = make("div", "hs-lb__body");
  grid.append(stage, readout);
  const live = make("p", "hs-sr", "", { "aria-live": "polite", "data-role": "live" });
  const ways = make("div");
  root.append(
    tabs("Pair of domains", "pair", state.pairs, pair, (next) => {
      pair = next;
      way = pair.ways.slice(1).find((other) => other.id === way.id) ?? pair.ways[1];
      offer();
      paint();
      report();
    }),
    ways, grid, live);
  el.append(root);

  function offer() {
    ways.replaceChildren(tabs("Way to align", "way", pair.ways.slice(1), way, (next) => {
      way = next;
      paint();
      report();
    }));
    keys.replaceChildren(
      key("source", `${pair.source} (source)`),
      key("target", `${pair.target} (target), right`),
      key("wrong", `${pair.target}, wrong`));
  }

  function paint() {
    const width = Math.max(260, Math.floor(stage.clientWidth));
    const height = Math.round(Math.min(440, width * 0.72));
    const before = pair.ways[0];
    const all = pair.ways.flatMap((item) => [...item.s, ...item.t]);
    const range = [0, 1].map((axis) => [Math.min(...all.map((p) => p[axis])), Math.max(...all.map((p) => p[axis]))]);
    const at = (from, to) => [0, 1].map((axis) => {
      const value = from[axis] + (after / 100) * (to[axis] - from[axis]);
      const along = (value - range[axis][0]) / (range[axis][1] - range[axis][0] || 1);
      const [size, pad] = [axis ? height : width, 14];
      return pad + (size - 2 * pad) * (axis ? 1 - along : along);
    });
    svg.replaceChildren();
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) svg.setAttribute(name, value);
    svg.setAttribute("aria-label", `${pair.label}: ${before.s.length} source and ${before.t.length} target examples, ${way.label}. The read-out gives the numbers.`);
    const missed = new Set((after < 50 ? before : way).wrong);
    before.s.forEach((point, i) => mark(svg, "source", ...at(point, way.s[i])));
    before.t.forEach((point, i) => mark(svg, missed.has(i) ? "wrong" : "target", ...at(point, way.t[i])));
  }

  function span(value, form) {
    return `${form(value.lo)} to ${form(value.hi)}`;
  }

  function report() {
    const before = pair.ways[0];
    const list = make("dl", "hs-lb__rows");
    for (const item of [before, way]) {
      list.append(row(item.label, `${percent(item.accuracy.mean)} %`, `${span(item.accuracy, percent)} %`));
    }
    list.append(row("Domains told apart", `${percent(before.apart)} → ${percent(way.apart)} %`, "50 % is guessing"));
    const box = make("div", "hs-lb__verdict");
    const { gain } = way;
    const sure = gain && (gain.lo > 0 || gain.hi < 0);
    box.append(make("p", "hs-lb__big", gain ? `${points(gain.mean)} points` : "not measured"));
    if (gain) {
      const verdict = sure ? (gain.mean > 0 ? "It helps here." : "It hurts here.") : "The interval includes zero.";
      box.append(make("p", "hs-lb__fine", `${unit}, ${way.label} minus ${before.label}; 95 % interval ${span(gain, points)} over ${gain.seeds} seeds. ${verdict}`));
    }
    readout.replaceChildren(list, box);
    root.dataset.after = after;
    slider.value = String(after);
    slider.setAttribute("aria-valuetext", `${after} percent of the way from before to after`);
    window.clearTimeout(speech);
    speech = window.setTimeout(() => {
      live.textContent = `${pair.label}, ${way.label}: ${percent(way.accuracy.mean)} percent, before ${percent(before.accuracy.mean)} percent.${gain ? ` Gain ${points(gain.mean)} points.` : ""}`;
    }, 250);
  }

  slider.addEventListener("input", () => {
    after = Number(slider.value);
    model.set("after", after);
    model.save_changes();
    paint();
    report();
  });
  slider.addEventListener("keydown", (event) => {
    // Ten steps from end to end: a hundredth is not a step anyone can see.
    const to = {
      ArrowRight: after + 10, ArrowUp: after + 10, ArrowLeft: after - 10, ArrowDown: after - 10,
      PageUp: after + 50, PageDown: after - 50, Home: 0, End: 100,
    }[event.key];
    if (to == null) return;
    event.preventDefault();
    slider.value = String(Math.max(0, Math.min(100, to)));
    slider.dispatchEvent(new Event("input"));
  });
  const follow = () => {
    if (model.get("after") === after) return;
    after = model.get("after");
    paint();
    report();
  };
  model.on("change:after", follow);

  offer();
  paint();
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
    model.off?.("change:after", follow);
    root.remove();
  };
}

export default { render };
