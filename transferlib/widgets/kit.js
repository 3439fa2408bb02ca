// @ts-check
// What the widgets share: makers of nodes, words for numbers, the chart, the controls, and a widget's life.
//
// base.py joins this module and a widget's into the one module that JupyterLab runs through anywidget; the book joins
// them into one script, because a page opened from disk may not import modules. Everything a reader sees is text, SVG
// or an <img> made with createElement, so a label can never be markup.

/** @typedef {{mean: number, lo: number, hi: number}} Span a mean and its 95 % interval, as fractions */
/** @typedef {[number, number]} Point x and y in pixels of the chart */
/** @typedef {Record<string, string | number>} Attributes */
/** @typedef {{get: (name: string) => any, set: (name: string, value: unknown) => void, save_changes: () => void,
 *   on: (event: string, listener: () => void) => void, off?: (event: string, listener: () => void) => void}} Model */
/** @typedef {{model: Model, el: HTMLElement}} Home what anywidget and hydrate.js give to render */
/** @typedef {ReturnType<typeof frame>} Frame */
/** @typedef {ReturnType<typeof shell>} Shell */

const SVG = "http://www.w3.org/2000/svg";
const THUMB = 24; // px, the same number as in the style sheet

// ---------------------------------------------------------------- nodes

/** @param {Element} node @param {Attributes} attrs */
export function set(node, attrs) {
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, String(value));
}

/**
 * An HTML element with a class, a text and attributes.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {string} [css] @param {string | number | null} [text] @param {Attributes} [attrs]
 */
export function make(tag, css, text, attrs = {}) {
  const node = document.createElement(tag);
  if (css) node.className = css;
  if (text != null) node.textContent = String(text);
  set(node, attrs);
  return node;
}

/**
 * An HTML element around others.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {string} css @param {(string | Node)[]} children
 */
export function wrap(tag, css, children) {
  const node = make(tag, css);
  node.append(...children);
  return node;
}

/**
 * An SVG element, appended to `parent`.
 * @template {keyof SVGElementTagNameMap} T
 * @param {ParentNode} parent @param {T} tag @param {Attributes} [attrs] @param {string | number} [text]
 */
export function draw(parent, tag, attrs = {}, text) {
  const node = document.createElementNS(SVG, tag);
  set(node, attrs);
  if (text != null) node.textContent = String(text);
  parent.append(node);
  return /** @type {SVGElementTagNameMap[T]} */ (node);
}

let instances = 0;
/** A name for the radio buttons of one widget on a page. @param {string} prefix */
export const unique = (prefix) => `${prefix}-${(instances += 1)}`;

// ---------------------------------------------------------------- numbers and words

/** @param {number} value @param {number} low @param {number} high */
export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
/** One digit and a real minus sign. @param {number} value */
export const digit = (value) => value.toFixed(1).replace("-", "\u2212");
/** A fraction in percent. @param {number} value */
export const percent = (value) => digit(100 * value);
/** A difference of fractions in points, with its sign. @param {number} value */
export const points = (value) => `${value >= 0 ? "+" : ""}${percent(value)}`;
/** @param {{lo: number, hi: number}} span @param {(value: number) => string} [form] */
export const between = (span, form = percent) => `${form(span.lo)} to ${form(span.hi)}`;
/** Whether the interval excludes zero. @param {{lo: number, hi: number}} span */
export const isSure = (span) => span.lo > 0 || span.hi < 0;
/** @param {Span} span @param {(value: number) => string} [form] */
export const withInterval = (span, form = percent) => `${form(span.mean)} (${between(span, form)})`;

// ---------------------------------------------------------------- the chart

/**
 * Where a chart stands. An interval from two seeds may reach beyond 0 or 1: the drawing stops at `low` and `high`,
 * the read-out does not.
 * @param {number} width @param {number} height @param {{top: number, right: number, bottom: number, left: number}} margin
 * @param {number} low @param {number} high values at the lower and upper end
 */
export function frame(width, height, margin, low, high) {
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  return {
    width, height, margin, inner, low, high, base: height - margin.bottom, right: width - margin.right,
    /** @param {number} v */
    y: (v) => margin.top + inner.height * (1 - (clamp(v, low, high) - low) / (high - low || 1)),
  };
}

/** The lower and upper end of an axis in tens of percent. @param {number[]} values fractions */
export const tenths = (values) =>
  [Math.max(0, Math.floor(10 * Math.min(...values)) / 10), Math.min(1, Math.ceil(10 * Math.max(...values)) / 10)];

/** The full width of `stage`, and never less than a chart needs. @param {HTMLElement} stage */
export const room = (stage) => Math.max(260, Math.floor(stage.clientWidth));

/** `count` places at equal distances: they are measured points, not a continuum. @param {Frame} f @param {number} count */
export function places(f, count) {
  const last = Math.max(1, count - 1);
  return {
    /** @param {number} i */
    x: (i) => f.margin.left + (f.inner.width * i) / last,
    /** The place nearest to a pixel. @param {number} px */
    at: (px) => clamp(Math.round(((px - f.margin.left) / f.inner.width) * last), 0, count - 1),
  };
}

/** Empty the drawing, and give it its size and its name. @param {SVGSVGElement} svg
 * @param {{width: number, height: number}} size @param {string} name */
export function clear(svg, { width, height }, name) {
  svg.replaceChildren();
  set(svg, { viewBox: `0 0 ${width} ${height}`, width, height, "aria-label": name });
}

/** Grid lines at multiples of `step`, with their values. @param {SVGElement} parent @param {Frame} f
 * @param {number} [step] @param {(value: number) => string} [form] */
export function axisY(parent, f, step = f.high - f.low > 0.55 ? 0.2 : 0.1, form = (v) => String(Math.round(100 * v))) {
  for (let v = Math.ceil(f.low / step - 1e-9) * step; v <= f.high + 1e-9; v += step) {
    draw(parent, "path", { d: `M${f.margin.left} ${f.y(v)}H${f.right}`, class: "hs-kit__grid" });
    draw(parent, "text", { x: f.margin.left - 8, y: f.y(v) + 4, "text-anchor": "end" }, form(v));
  }
}

/** A tick at each x, and what both axes show; a label that would touch the one before is left out, its tick stays.
 * @param {SVGElement} parent @param {Frame} f @param {{x: number, label: string | number}[]} ticks
 * @param {string} y @param {string} x titles */
export function axisX(parent, f, ticks, y, x) {
  let free = -Infinity;
  for (const { x: at, label } of ticks) {
    const half = 3.6 * String(label).length + 4;
    draw(parent, "path", { d: `M${at} ${f.base}v5`, class: "hs-kit__tick" });
    if (at - half < free) continue;
    draw(parent, "text", { x: at, y: f.base + 19, "text-anchor": "middle" }, label);
    free = at + half;
  }
  draw(parent, "text", { x: 2, y: 14 }, y);
  draw(parent, "text", { x: f.margin.left + f.inner.width / 2, y: f.height - 6, "text-anchor": "middle" }, x);
}

/** @param {Point[]} list */
const path = (list) => `M${list.map(([x, y]) => `${x} ${y}`).join("L")}`;

/** @param {SVGElement} parent @param {Point[]} list @param {string} css @param {string} [dash] */
export const line = (parent, list, css, dash = "") =>
  draw(parent, "path", { d: path(list), class: `hs-kit__line ${css}`, "stroke-dasharray": dash });

/** @param {SVGElement} parent @param {Point[]} upper @param {Point[]} lower @param {string} css */
export const band = (parent, upper, lower, css) =>
  draw(parent, "path", { d: `${path([...upper, ...lower.reverse()])}z`, class: `hs-kit__band ${css}` });

/** @param {SVGElement} parent @param {Frame} f @param {number} x */
export const cursor = (parent, f, x) =>
  draw(parent, "path", { d: `M${x} ${f.margin.top - 8}V${f.base}`, class: "hs-kit__cursor" });

/** A piece of a line, for the read-out. @param {string} css @param {string} dash */
export function swatch(css, dash) {
  const attrs = { viewBox: "0 0 30 12", width: 30, height: 12, "aria-hidden": "true", class: `hs-kit__swatch ${css}` };
  const svg = draw(new DocumentFragment(), "svg", attrs);
  line(svg, [[0, 6], [30, 6]], css, dash);
  return svg;
}

// ---------------------------------------------------------------- the read-out and the table

/** One line of the read-out. @param {string} css @param {(string | Node)[]} name @param {string} value
 * @param {string} small */
export function row(css, name, value, small) {
  const cell = wrap("dd", "", [make("strong", "", value), make("small", "", small)]);
  return wrap("div", `hs-kit__row ${css}`, [wrap("dt", "", name), cell]);
}

/** @param {HTMLElement[]} lines */
export const rows = (lines) => wrap("dl", "hs-kit__rows", lines);
/** @param {Node[]} lines */
export const verdict = (lines) => wrap("div", "hs-kit__verdict", lines);

/** The numbers behind the chart; the first cell of a row is its name. @param {Shell} ui @param {string} caption @param {(string | number)[]} heads @param {(string | number)[][]} body */
export function fillNumbers({ numbers }, caption, heads, body) {
  const table = make("table", "hs-kit__table");
  table.append(make("caption", "", caption));
  table.createTHead().insertRow().append(...heads.map((head) => make("th", "", head, { scope: "col" })));
  const tbody = table.createTBody();
  for (const [name, ...cells] of body) {
    tbody.insertRow().append(make("th", "", name, { scope: "row" }), ...cells.map((cell) => make("td", "", cell)));
  }
  const scroll = make("div", "hs-kit__scroll", null, { tabindex: 0, role: "region", "aria-label": "Numbers behind the chart" });
  scroll.append(table);
  numbers.replaceChildren(make("summary", "", "The numbers behind the chart"), scroll);
}

// ---------------------------------------------------------------- the controls

/**
 * Radio buttons that look like tabs, one for each item; `face` is what a tab shows.
 * @template T
 * @param {string} name @param {string} legend @param {T[]} items @param {T} chosen @param {(item: T) => void} choose
 * @param {(item: T) => string | Node} face
 */
export function tabs(name, legend, items, chosen, choose, face) {
  const field = make("fieldset", "hs-kit__tabs");
  field.append(make("legend", "hs-sr", legend));
  items.forEach((item, index) => {
    const input = make("input", "", null, { type: "radio", name, value: index });
    input.checked = item === chosen;
    input.addEventListener("change", () => choose(item));
    field.append(wrap("label", "hs-kit__tab", [input, wrap("span", "", [face(item)])]));
  });
  return field;
}

/** Begin the chart anew, and put the slider under it: its thumb stands under the cursor. @param {Shell} ui
 * @param {Frame} f @param {string} name */
export function begin({ svg, slider }, f, name) {
  clear(svg, f, name);
  slider.style.marginLeft = `${f.margin.left - THUMB / 2}px`;
  slider.style.width = `${f.inner.width + THUMB}px`;
}

/** Keys move by `step` and `page`, from 0 to `last()`, whatever the step of the slider is. @param {HTMLElement} slider
 * @param {{now: () => number, last: () => number, step: number, page: number}} by @param {(to: number) => void} go */
export function keys(slider, { now, last, step, page }, go) {
  slider.addEventListener("keydown", (event) => {
    const to = {
      ArrowRight: now() + step, ArrowUp: now() + step, ArrowLeft: now() - step, ArrowDown: now() - step,
      PageUp: now() + page, PageDown: now() - page, Home: 0, End: last(),
    }[event.key];
    if (to == null) return;
    event.preventDefault();
    go(clamp(to, 0, last()));
  });
}

/** The value of the slider, and with `drag` a place in the chart in pixels of the drawing. @param {Shell} ui
 * @param {(value: number) => void} go @param {(x: number) => void} [drag] */
export function controls({ svg, slider }, go, drag) {
  slider.addEventListener("input", () => go(Number(slider.value)));
  if (!drag) return;
  /** @param {PointerEvent} event */
  const move = (event) => {
    const box = svg.getBoundingClientRect();
    drag(((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width);
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    move(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) move(event);
  });
}

// ---------------------------------------------------------------- a widget's life

/**
 * The parts of a widget: question, `above`, chart and slider beside the read-out, `below`, and a voice. `paint` draws
 * the chart, `report` fills the read-out and tells.
 * @param {HTMLElement} el
 * @param {{css: string, title: string, question: (string | Node)[], slider: Attributes, above: Node[], below?: Node[],
 *   paint: () => void, report: () => void}} own
 */
export function shell(el, { css, title, question, slider: attrs, above, below = [], paint, report }) {
  const root = make("section", `hs-kit ${css}`, null, { "aria-label": title });
  const stage = make("div", "hs-kit__stage");
  const svg = draw(stage, "svg", { class: "hs-kit__chart", role: "img" });
  const slider = make("input", "hs-kit__slider", null, { type: "range", min: 0, step: 1, ...attrs });
  stage.append(slider);
  const readout = make("div", "hs-kit__readout");
  const voice = make("p", "hs-sr", "", { "aria-live": "polite", "data-role": "live" });
  const numbers = make("details", "hs-kit__numbers");
  root.append(wrap("p", "hs-kit__question", question), ...above, wrap("div", "hs-kit__body", [stage, readout]), ...below, numbers, voice);
  el.append(root);
  let speech = 0;
  return {
    root, stage, svg, slider, readout, numbers, paint,
    update() {
      paint();
      report();
    },
    /** Say where the widget stands: to the slider, to the page, and aloud once the slider rests.
     * @param {number} value @param {string} text of the slider @param {Record<string, number>} data @param {string} words */
    tell(value, text, data, words) {
      slider.value = String(value);
      slider.setAttribute("aria-valuetext", text);
      Object.assign(root.dataset, data);
      window.clearTimeout(speech);
      speech = window.setTimeout(() => { voice.textContent = words; }, 250);
    },
    hush: () => window.clearTimeout(speech),
  };
}

/** Tell the kernel. @param {Model} model @param {Record<string, unknown>} values */
export function save(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

/** Follow the kernel and the width of the page; returns what ends the widget. @param {Model} model @param {Shell} ui
 * @param {string[]} names traits to follow @param {() => void} follow */
export function live(model, ui, names, follow) {
  for (const name of names) model.on(`change:${name}`, follow);
  let width = ui.stage.clientWidth;
  const watcher = new ResizeObserver(() => {
    if (ui.stage.clientWidth === width || !ui.stage.clientWidth) return;
    width = ui.stage.clientWidth;
    ui.paint();
  });
  watcher.observe(ui.stage);
  return () => {
    watcher.disconnect();
    ui.hush();
    for (const name of names) model.off?.(`change:${name}`, follow);
    ui.root.remove();
  };
}
