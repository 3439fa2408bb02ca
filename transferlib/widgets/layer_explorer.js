// The layer explorer: pick a depth, see its filters, its answer to a picture, and what a probe reads there.
//
// One module, two homes: JupyterLab runs it through anywidget, the static page through hydrate.js.
// Everything a reader sees is text, SVG or an <img> made with createElement, so labels can never be markup.

const SVG = "http://www.w3.org/2000/svg";
const THUMB = 24;
const MARGIN = { top: 14, right: 16, bottom: 26, left: 42 };
const percent = (value) => (100 * value).toFixed(1);
const KINDS = [["trained", "probe", "pretrained"], ["random", "scratch", "random weights"]];

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

// The smallest and largest accuracy shown, in tens of percent, so that the axis stays when the layer moves.
function range(item) {
  const all = [...item.trained, ...item.random];
  const low = Math.floor(10 * Math.min(item.chance, ...all.map((v) => v.lo))) / 10;
  return [Math.max(0, low), Math.min(1, Math.ceil(10 * Math.max(...all.map((v) => v.hi))) / 10)];
}

function chartOf(svg, state, item, layer, width) {
  const height = 230;
  const [low, high] = range(item);
  const last = state.layers.length - 1 || 1;
  const x = (i) => MARGIN.left + (i / last) * (width - MARGIN.left - MARGIN.right);
  const y = (v) => MARGIN.top + ((high - v) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
  svg.replaceChildren();
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) svg.setAttribute(name, value);
  svg.setAttribute("aria-label", `${item.label}: test accuracy of a probe after each layer, pretrained and random weights, with 95 percent bands.`);
  const step = high - low > 0.45 ? 0.2 : 0.1;
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9; v += step) {
    draw(svg, "line", { class: "hs-lb__grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(v), y2: y(v) });
    draw(svg, "text", { x: MARGIN.left - 8, y: y(v) + 4, "text-anchor": "end" }, `${Math.round(100 * v)}\u00a0%`);
  }
  draw(svg, "line", { class: "hs-lb__cursor", x1: x(layer), x2: x(layer), y1: MARGIN.top - 6, y2: height - MARGIN.bottom });
  for (const [key, tone] of KINDS) {
    const values = item[key];
    const edge = (which) => values.map((v, i) => `${x(i)} ${y(v[which])}`);
    const group = draw(svg, "g", { class: `hs-tone-${tone}` });
    draw(group, "path", { class: "hs-lb__band", d: `M${[...edge("hi"), ...edge("lo").reverse()].join("L")}Z` });
    draw(group, "path", { class: "hs-lb__line", d: `M${edge("mean").join("L")}`, ...(key === "random" ? { "stroke-dasharray": "2 4" } : {}) });
    values.forEach((v, i) => draw(group, "circle", { class: i === layer ? "hs-lb__dot hs-lb__dot--now" : "hs-lb__dot", cx: x(i), cy: y(v.mean), r: i === layer ? 7 : 3.2 }));
  }
  draw(svg, "text", { x: x(0), y: height - 6, "text-anchor": "start" }, "first layer");
  draw(svg, "text", { x: x(last), y: height - 6, "text-anchor": "end" }, "last layer");
  return (px) => Math.round(((px - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * last);
}

let instances = 0;

function render({ model, el }) {
  const state = model.get("state");
  const { layers } = state;
  const id = `hs-le-${(instances += 1)}`;
  const inside = (value) => Math.max(0, Math.min(layers.length - 1, value));
  let layer = inside(model.get("layer") ?? state.start ?? 0);
  let item = state.sets[0];
  let picture = item.pictures[0];
  let speech = 0;
  let locate = () => layer;

  const root = make("section", "hs-lb hs-le", null, { "aria-label": state.title ?? "Layer explorer" });
  root.append(make("p", "hs-lb__question", "How deep should you read the network for your task?"));

  function tabs(legend, name, items, chosen, choose) {
    const set = make("fieldset", "hs-lb__tabs");
    set.append(make("legend", "hs-sr", legend));
    items.forEach((entry, index) => {
      const label = make("label", "hs-lb__tab");
      const input = make("input", "", null, { type: "radio", name: `${id}-${name}`, value: String(index) });
      input.checked = entry === chosen;
      input.addEventListener("change", () => choose(entry));
      const face = make("span", "", name === "set" ? entry.label : null);
      if (name === "picture") face.append(make("img", "hs-le__thumb", null, { src: entry.src, alt: entry.label }));
      label.append(input, face);
      set.append(label);
    });
    return set;
  }

  const choices = make("div", "hs-le__choices");
  const pictures = make("div");
  choices.append(tabs("Data set", "set", state.sets, item, (next) => {
    item = next;
    [picture] = item.pictures;
    offer();
    paint();
    report();
  }), pictures);
  const stage = make("div", "hs-lb__stage");
  const svg = draw(stage, "svg", { class: "hs-lb__chart", role: "img" });
  const slider = make("input", "hs-lb__slider", null, {
    type: "range", min: "0", max: String(layers.length - 1), step: "1", "aria-label": "Layer",
  });
  stage.append(slider);
  const readout = make("div", "hs-lb__readout");
  const grid = make("div", "hs-lb__body");
  grid.append(stage, readout);
  const looks = make("div", "hs-le__looks");
  const numbers = make("details", "hs-lb__numbers");
  const live = make("p", "hs-sr", "", { "aria-live": "polite", "data-role": "live" });
  root.append(choices, grid, looks, numbers, live);
  el.append(root);

  function offer() {
    pictures.replaceChildren(tabs("Picture", "picture", item.pictures, picture, (next) => {
      picture = next;
      look();
    }));
    const rows = make("table", "hs-lb__table");
    rows.append(make("caption", "", `${item.label}: test accuracy of a probe in %, mean (95 % interval), ${item.seeds} seeds`));
    const head = make("tr");
    for (const name of ["layer", "pretrained", "random weights"]) head.append(make("th", "", name, { scope: "col" }));
    rows.append(head);
    layers.forEach((entry, i) => {
      const row = make("tr");
      row.append(make("th", "", entry.label, { scope: "row" }));
      for (const [key] of KINDS) {
        const v = item[key][i];
        row.append(make("td", "", `${percent(v.mean)} (${percent(v.lo)} to ${percent(v.hi)})`));
      }
      rows.append(row);
    });
    const scroll = make("div", "hs-lb__scroll", null, { tabindex: "0", role: "region", "aria-label": "Numbers behind the chart" });
    scroll.append(rows);
    numbers.replaceChildren(make("summary", "", "The numbers behind the chart"), scroll);
  }

  function look() {
    const now = layers[layer];
    const left = make("figure", "hs-le__look");
    left.append(make("figcaption", "", "Filters"));
    if (now.filters) left.append(make("img", "hs-le__sheet", null, { src: now.filters, alt: `Filters of layer ${now.label}. ${now.note}` }));
    left.append(make("p", "hs-lb__fine", now.note));
    const right = make("figure", "hs-le__look");
    right.append(
      make("figcaption", "", "Answer to the picture"),
      make("img", "hs-le__sheet", null, { src: picture.maps[layer], alt: `What eight channels of layer ${now.label} make of the picture: ${picture.label}.` }),
      make("p", "hs-lb__fine", `Eight of its channels, bright where they respond. The layer gives ${now.shape}.`));
    looks.replaceChildren(left, right);
  }

  function paint() {
    const width = Math.max(260, Math.floor(stage.clientWidth));
    locate = chartOf(svg, state, item, layer, width);
    slider.style.marginLeft = `${MARGIN.left - THUMB / 2}px`;
    slider.style.width = `${width - MARGIN.left - MARGIN.right + THUMB}px`;
  }

  function report() {
    const now = layers[layer];
    const list = make("dl", "hs-lb__rows");
    for (const [key, tone, name] of KINDS) {
      const v = item[key][layer];
      const row = make("div", `hs-lb__row hs-tone-${tone}`);
      const cell = make("dd");
      cell.append(make("strong", "", `${percent(v.mean)}\u00a0%`), make("small", "", `${percent(v.lo)} to ${percent(v.hi)}\u00a0%`));
      row.append(make("dt", "", `Probe, ${name}`), cell);
      list.append(row);
    }
    const box = make("div", "hs-lb__verdict");
    box.append(make("p", "hs-lb__big", now.label), make("p", "hs-lb__fine", `Layer ${layer + 1} of ${layers.length}. 95 % intervals over ${item.seeds} draws of the labels.`));
    readout.replaceChildren(box, list);
    look();
    root.dataset.layer = layer;
    slider.value = String(layer);
    slider.setAttribute("aria-valuetext", `${now.label}, layer ${layer + 1} of ${layers.length}`);
    window.clearTimeout(speech);
    speech = window.setTimeout(() => {
      live.textContent = `${item.label}, ${now.label}: pretrained ${percent(item.trained[layer].mean)} percent, random weights ${percent(item.random[layer].mean)} percent.`;
    }, 250);
  }

  function go(next) {
    next = inside(next);
    if (next === layer) return;
    layer = next;
    model.set("layer", layer);
    model.save_changes();
    paint();
    report();
  }

  const fromPointer = (event) => {
    const box = svg.getBoundingClientRect();
    go(locate(((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width));
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    fromPointer(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) fromPointer(event);
  });
  slider.addEventListener("input", () => go(Number(slider.value)));
  const follow = () => go(model.get("layer") ?? layer);
  model.on("change:layer", follow);

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
    model.off?.("change:layer", follow);
    root.remove();
  };
}

export default { render };
