// @ts-check
// Two clouds: what three kinds of shift do to an old line, and what two remedies do about it.
import {
  begin, clamp, controls, draw, fillNumbers, frame, line, live, make, percent, places, room, row, rows, save, shell, swatch,
  tabs, unique, verdict, wrap,
} from "./kit.js";

/** @typedef {Record<string, number>} ByWay */
/** @typedef {{said: string, move: number[], share: number, above: number, lines: ByWay, accuracy: ByWay}} Step */
/** @typedef {{id: string, label: string, x_label: string, note: string, steps: Step[]}} Kind */

/** @type {Record<string, [string, string]>} */
const LOOKS = { old: ["grey", ""], mean: ["green", "7 4"], shares: ["purple", "2 4"], labels: ["ochre", "9 3 2 3"] };

/** A shape for each kind of point: disc, ring, cross. @param {SVGElement} parent
 * @param {"source" | "first" | "second" | "wrong"} kind @param {number} x @param {number} y */
function mark(parent, kind, x, y) {
  const tone = kind === "second" ? "hs-tone-orange" : "hs-tone-blue";
  const css = `hs-dg__${kind} ${tone}`;
  if (kind === "wrong") draw(parent, "path", { class: css, d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10` });
  else draw(parent, "circle", { class: css, cx: x, cy: y, r: kind === "source" ? 2.6 : 3.6 });
}

/** @param {"source" | "first" | "second" | "wrong"} kind @param {string} label */
function key(kind, label) {
  const svg = draw(new DocumentFragment(), "svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" });
  mark(svg, kind, 7, 7);
  return wrap("li", "", [svg, make("span", "", label)]);
}

/** The target's points at one step: where, whose, and whether the old line is right.
 * @param {number[][][]} clouds @param {Step} step */
function pointsOf(clouds, step) {
  const shares = [1 - step.share, step.share];
  return clouds.flatMap((cloud, own) => cloud.slice(0, Math.round(cloud.length * shares[own])).map(([x, y]) => {
    const turned = own ? y > step.above : y < -step.above;
    const label = turned ? 1 - own : own;
    const [at, up] = [x + step.move[0], y + step.move[1]];
    return { at, up, label, wrong: Number(at > 0) !== label };
  }));
}

/** @param {import("./kit.js").Home} home */
function render({ model, el }) {
  /** @type {{title: string, start: number, ways: Record<string, string>, clouds: number[][][], kinds: Kind[]}} */
  const { title, start, ways, clouds, kinds } = model.get("state");
  let [kind] = kinds;
  const last = kind.steps.length - 1;
  /** @param {number} value */
  const inside = (value) => clamp(value, 0, last);
  let at = inside(model.get("at") ?? start);
  /** @type {ReturnType<typeof frame> & ReturnType<typeof places>} */
  let chart;

  const choices = tabs(unique("hs-dg"), "Kind of shift", kinds, kind, choose, (item) => item.label);
  const ui = shell(el, {
    css: "hs-dg", title, question: [title], slider: { max: last }, above: [choices], paint, report,
  });
  ui.svg.setAttribute("class", "hs-kit__chart hs-dg__map");
  ui.stage.prepend(wrap("ul", "hs-dg__key", [
    key("source", "source"), key("first", "target, first class"), key("second", "second class"),
    key("wrong", "wrong by the old line")]));

  function paint() {
    const step = kind.steps[at];
    const width = room(ui.stage);
    const height = Math.round(clamp(width * 0.55, 220, 360));
    const f = frame(width, height, { top: 26, right: 14, bottom: 8, left: 14 }, -3.6, 3.6);
    chart = { ...f, ...places(f, last + 1) };
    /** @param {number} v */
    const x = (v) => f.margin.left + (f.inner.width * (clamp(v, -4, 6) + 4)) / 10;
    begin(ui, chart, `${kind.label}, ${kind.x_label} ${step.said}. The read-out gives the numbers.`);
    clouds.flat().forEach(([a, b]) => mark(ui.svg, "source", x(a), f.y(b)));
    for (const point of pointsOf(clouds, step)) {
      const [px, py] = [x(point.at), f.y(point.up)];
      mark(ui.svg, point.label ? "second" : "first", px, py);
      if (point.wrong) mark(ui.svg, "wrong", px, py);
    }
    for (const [way, where] of Object.entries(step.lines)) {
      const [tone, dash] = LOOKS[way];
      line(ui.svg, [[x(where), f.margin.top], [x(where), f.base]], `hs-tone-${tone}`, dash);
    }
    draw(ui.svg, "text", { class: "hs-dg__name hs-tone-grey", x: x(0), y: 16, "text-anchor": "middle" }, "old line");
  }

  function report() {
    const step = kind.steps[at];
    ui.readout.replaceChildren(
      rows(Object.entries(ways).map(([way, label]) =>
        row("", [swatch(`hs-tone-${LOOKS[way][0]}`, LOOKS[way][1]), make("span", "", label)],
          `${percent(step.accuracy[way])} %`, "right in the target"))),
      verdict([make("p", "", kind.note)]));
    const spoken = Object.entries(ways).map(([way, label]) => `${label} ${percent(step.accuracy[way])} percent`);
    ui.tell(at, `${kind.x_label} ${step.said}`, { at }, `${kind.label}: ${spoken.join(", ")}.`);
  }

  /** @param {number} next */
  function go(next) {
    if (next === at) return;
    at = next;
    save(model, { at });
    ui.update();
  }

  /** @param {Kind} next */
  function choose(next) {
    kind = next;
    ui.slider.setAttribute("aria-label", kind.x_label);
    fillNumbers(ui, `${kind.label}: right in the target, in %`, [kind.x_label, ...Object.values(ways)],
      kind.steps.map((s) => [s.said, ...Object.keys(ways).map((way) => percent(s.accuracy[way]))]));
    ui.update();
  }

  controls(ui, go, (px) => go(chart.at(px)));
  choose(kind);
  return live(model, ui, ["at"], () => go(inside(model.get("at"))));
}

export default { render };
