// @ts-check
// The domain map: source and target examples before and after an alignment.
import {
  between, clamp, clear, controls, draw, isSure, keys, live, make, percent, points, room, row, rows, save, shell, tabs, unique, verdict, wrap,
} from "./kit.js";

/** @typedef {import("./kit.js").Span & {seeds: number}} Measured */
/** @typedef {{id: string, label: string, s: number[][], t: number[][], wrong: number[], accuracy: Measured,
 *   gain?: Measured | null, apart: number}} Way */
/** @typedef {{id: string, label: string, source: string, target: string, ways: Way[]}} Pair */

/** A shape for each kind, so that nothing depends on colour: disc, ring, cross.
 * @param {SVGSVGElement} parent @param {"source" | "target" | "wrong"} kind @param {number} x @param {number} y */
function mark(parent, kind, x, y) {
  const css = `hs-dg__${kind} hs-tone-${kind === "source" ? "blue" : "orange"}`;
  if (kind === "wrong") draw(parent, "path", { class: css, d: `M${x - 3.4} ${y - 3.4}l6.8 6.8m0 -6.8l-6.8 6.8` });
  else draw(parent, "circle", { class: css, cx: x, cy: y, r: kind === "source" ? 3.4 : 3.8 });
}

/** @param {"source" | "target" | "wrong"} kind @param {string} label */
function key(kind, label) {
  const svg = draw(new DocumentFragment(), "svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" });
  mark(svg, kind, 6, 6);
  return wrap("li", "", [svg, make("span", "", label)]);
}

/** @param {import("./kit.js").Home} home */
function render({ model, el }) {
  /** @type {{title?: string, unit?: string, pairs: Pair[]}} */
  const { title = "Domain gap", unit = "target accuracy", pairs } = model.get("state");
  const id = unique("hs-dg");
  let [pair] = pairs;
  let way = pair.ways[1];
  /** @type {number} */
  let after = model.get("after") ?? 0;

  const ways = make("div");
  const choices = tabs(`${id}-pair`, "Pair of domains", pairs, pair, (next) => {
    pair = next;
    way = pair.ways.slice(1).find((other) => other.id === way.id) ?? pair.ways[1];
    fillWays();
    ui.update();
  }, (item) => item.label);
  const ui = shell(el, {
    css: "hs-dg", title, question: ["When the two clouds meet, does the target get better?"],
    slider: { max: 100, "aria-label": "From before to after" }, above: [choices, ways], paint, report,
  });
  const list = make("ul", "hs-dg__key");
  ui.svg.setAttribute("class", "hs-dg__map");
  ui.numbers.remove(); // the read-out holds every number
  ui.stage.prepend(list);
  ui.stage.append(wrap("div", "hs-dg__slide",
    [make("span", "hs-dg__ends", "before"), ui.slider, make("span", "hs-dg__ends", "after")]));

  function fillWays() {
    ways.replaceChildren(tabs(`${id}-way`, "Way to align", pair.ways.slice(1), way, (next) => {
      way = next;
      ui.update();
    }, (item) => item.label));
    list.replaceChildren(
      key("source", `${pair.source} (source)`),
      key("target", `${pair.target} (target), right`),
      key("wrong", `${pair.target}, wrong`));
  }

  function paint() {
    const width = room(ui.stage);
    const height = Math.round(Math.min(440, width * 0.72));
    const before = pair.ways[0];
    const all = pair.ways.flatMap((item) => [...item.s, ...item.t]);
    const range = [0, 1].map((axis) => [Math.min(...all.map((p) => p[axis])), Math.max(...all.map((p) => p[axis]))]);
    /** @param {number[]} from @param {number[]} to @param {0 | 1} axis */
    const at = (from, to, axis) => {
      const value = from[axis] + (after / 100) * (to[axis] - from[axis]);
      const along = (value - range[axis][0]) / (range[axis][1] - range[axis][0] || 1);
      const [size, pad] = [axis ? height : width, 14];
      return pad + (size - 2 * pad) * (axis ? 1 - along : along);
    };
    clear(ui.svg, { width, height },
      `${pair.label}: ${before.s.length} source and ${before.t.length} target examples, ${way.label}. The read-out gives the numbers.`);
    const missed = new Set((after < 50 ? before : way).wrong);
    before.s.forEach((p, i) => mark(ui.svg, "source", at(p, way.s[i], 0), at(p, way.s[i], 1)));
    before.t.forEach((p, i) => mark(ui.svg, missed.has(i) ? "wrong" : "target", at(p, way.t[i], 0), at(p, way.t[i], 1)));
  }

  function report() {
    const before = pair.ways[0];
    const { gain } = way;
    const lines = [make("p", "hs-kit__big", gain ? `${points(gain.mean)} points` : "not measured")];
    if (gain) {
      const words = isSure(gain) ? (gain.mean > 0 ? "It helps here." : "It hurts here.") : "The interval includes zero.";
      lines.push(make("p", "hs-kit__fine",
        `${unit}, ${way.label} minus ${before.label}; 95 % interval ${between(gain, points)} over ${gain.seeds} seeds. ${words}`));
    }
    ui.readout.replaceChildren(rows([
      ...[before, way].map((item) =>
        row("", [item.label], `${percent(item.accuracy.mean)} %`, `${between(item.accuracy)} %`)),
      row("", ["Domains told apart"], `${percent(before.apart)} → ${percent(way.apart)} %`, "50 % is guessing"),
    ]), verdict(lines));
    ui.tell(after, `${after} percent of the way from before to after`, { after },
      `${pair.label}, ${way.label}: ${percent(way.accuracy.mean)} percent, before ${percent(before.accuracy.mean)} percent.`
      + (gain ? ` Gain ${points(gain.mean)} points.` : ""));
  }

  /** @param {number} next */
  function go(next) {
    if (next === after) return;
    after = clamp(next, 0, 100);
    save(model, { after });
    ui.update();
  }

  controls(ui, go);
  // Ten steps from end to end: a hundredth is not a step anyone can see.
  keys(ui.slider, { now: () => after, last: () => 100, step: 10, page: 50 }, go);
  fillWays();
  ui.update();
  return live(model, ui, ["after"], () => go(model.get("after")));
}

export default { render };
