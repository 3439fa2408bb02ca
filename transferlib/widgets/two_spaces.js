// @ts-check
// The same points in a bad and in a good space. The reader moves a labelled point in one of them and it moves in both;
// each space has its own cut halfway between the class means.
import { clamp, controls, draw, fillNumbers, live, make, room, row, rows, save, set, shell, verdict } from "./kit.js";

/** @typedef {[number, number, number]} Labelled x, y from −1 to 1 in the bad space, and the class */
/** @typedef {{title: string, start: number, labelled: Labelled[], new: Labelled[]}} State */
/** @typedef {[number, number]} Pair */
/** @typedef {{name: string, axes: string, see: (x: number, y: number) => Pair, back: (u: number, v: number) => Pair}} Space */

const TONES = ["hs-tone-blue", "hs-tone-orange"];
const NAMES = ["circle", "square"];
const EDGE = 0.98;

/** @type {Space[]} */
const SPACES = [
  { name: "Bad space", axes: "left–right × down–up", see: (x, y) => [x, y], back: (u, v) => [u, v] },
  {
    name: "Good space", axes: "distance from the centre × direction",
    see: (x, y) => [2 * Math.hypot(x, y) - 1, Math.atan2(y, x) / Math.PI],
    back: (u, v) => [((u + 1) / 2) * Math.cos(v * Math.PI), ((u + 1) / 2) * Math.sin(v * Math.PI)],
  },
];

/** The class means of labelled points in a space. @param {Labelled[]} few @param {Space} space */
function meansOf(few, space) {
  return [0, 1].map((c) => {
    const own = few.filter((p) => p[2] === c).map(([x, y]) => space.see(x, y));
    return /** @type {Pair} */ ([0, 1].map((k) => own.reduce((sum, p) => sum + p[k], 0) / own.length));
  });
}

/** The class of the nearer mean. @param {Pair[]} means @param {Pair} p */
const nearer = (means, p) =>
  Number((p[0] - means[0][0]) ** 2 + (p[1] - means[0][1]) ** 2 > (p[0] - means[1][0]) ** 2 + (p[1] - means[1][1]) ** 2);

/** The share of new points on the right side. @param {State} state @param {Labelled[]} few @param {Space} space */
function share(state, few, space) {
  const means = meansOf(few, space);
  return state.new.filter(([x, y, c]) => nearer(means, space.see(x, y)) === c).length / state.new.length;
}

/** Where the cut halfway between two means meets the square from −1 to 1. @param {Pair[]} means @returns {Pair[]} */
function cutOf([a, b]) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const [mx, my] = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  /** @type {Pair[]} */
  const ends = [];
  for (const side of [-1, 1]) {
    if (Math.abs(dx) > 1e-9) ends.push([mx - ((side - my) * dy) / dx, side]);
    if (Math.abs(dy) > 1e-9) ends.push([side, my - ((side - mx) * dx) / dy]);
  }
  return ends.filter((p) => Math.max(Math.abs(p[0]), Math.abs(p[1])) <= 1 + 1e-9).slice(0, 2);
}

/** @param {SVGElement} parent @param {number} c @param {number} x @param {number} y @param {number} r
 * @param {Record<string, string | number>} attrs */
const mark = (parent, c, x, y, r, attrs) =>
  c ? draw(parent, "rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, ...attrs })
    : draw(parent, "circle", { cx: x, cy: y, r, ...attrs });

/** @param {import("./kit.js").Home} home */
function render({ model, el }) {
  const state = /** @type {State} */ (model.get("state"));
  const most = state.labelled.length / 2;
  /** @type {Labelled[]} */
  const points = state.labelled.map((p) => [...p]);
  /** @param {number} value */
  const inside = (value) => clamp(value, 0, most - 1);
  let few = inside(model.get("few") ?? state.start);
  let held = -1;
  let size = 0;
  let wide = false;

  const count = make("output", "hs-kit__pick", "", { "aria-hidden": "true" });
  const reset = make("button", "hs-ts__reset", "Put the points back", { type: "button" });
  const ui = shell(el, {
    css: "hs-ts", title: state.title, question: ["What do ", count, " labels of each class get right? Drag the large points."],
    slider: { max: most - 1, "aria-label": "Labels of each class" }, above: [], below: [reset], paint, report,
  });
  set(ui.svg, { role: "group" });
  fillNumbers(ui, "New points on the right side before you move any, in %", ["labels of each class", ...SPACES.map((s) => s.name)],
    Array.from({ length: most }, (_, i) =>
      [i + 1, ...SPACES.map((s) => Math.round(100 * share(state, state.labelled.slice(0, 2 * i + 2), s)))]));

  const shown = () => points.slice(0, 2 * few + 2);
  /** The corner of a panel. @param {number} k @returns {Pair} */
  const corner = (k) => (wide ? [k * (size + 24), 26] : [0, 26 + k * (size + 62)]);
  /** @param {number} k @param {Pair} p @returns {Pair} */
  const pixel = (k, [u, v]) => [corner(k)[0] + ((u + 1) / 2) * size, corner(k)[1] + ((1 - v) / 2) * size];

  /** @param {number} k */
  function panel(k) {
    const space = SPACES[k];
    const [left, top] = corner(k);
    const group = draw(ui.svg, "g");
    draw(group, "text", { x: left, y: top - 9, class: "hs-ts__name" }, space.name);
    draw(group, "rect", { x: left, y: top, width: size, height: size, rx: 8, class: "hs-ts__panel" });
    draw(group, "text", { x: left + size / 2, y: top + size + 18, "text-anchor": "middle" }, space.axes);
    const means = meansOf(shown(), space);
    for (const [x, y, c] of state.new) {
      const p = space.see(x, y);
      const [px, py] = pixel(k, p);
      const wrong = nearer(means, p) !== c;
      mark(group, c, px, py, 2.6, { class: `hs-ts__new ${TONES[c]}${wrong ? " hs-ts__new--wrong" : ""}` });
    }
    const cut = cutOf(means).map((p) => pixel(k, p));
    if (cut.length === 2) draw(group, "path", { d: `M${cut[0]}L${cut[1]}`, class: "hs-ts__cut" });
    shown().forEach(([x, y, c], i) => {
      const [px, py] = pixel(k, space.see(x, y));
      const node = /** @type {SVGElement} */ (mark(group, c, px, py, 7, {
        class: `hs-ts__point ${TONES[c]}`, tabindex: 0, role: "button", "data-point": `${k}-${i}`,
        "aria-label": `${space.name}: labelled ${NAMES[c]} ${Math.floor(i / 2) + 1}. Arrow keys move this point.`,
      }));
      node.addEventListener("pointerdown", (event) => grab(event, k, i));
      node.addEventListener("keydown", (event) => step(event, k, i));
    });
  }

  function paint() {
    const full = room(ui.stage);
    wide = full >= 520;
    size = wide ? Math.floor((full - 24) / 2) : full;
    const height = wide ? size + 50 : 2 * size + 112;
    ui.svg.replaceChildren();
    set(ui.svg, { viewBox: `0 0 ${full} ${height}`, width: full, height, "aria-label": "The same points in a bad and in a good space." });
    [0, 1].forEach(panel);
  }

  function report() {
    count.textContent = String(few + 1);
    const [bad, good] = SPACES.map((space) => Math.round(100 * share(state, shown(), space)));
    ui.readout.replaceChildren(
      rows(SPACES.map((space, k) => row(`hs-tone-${k ? "green" : "red"}`, [space.name], `${[bad, good][k]} %`, "of the new points are right"))),
      verdict([make("p", "", "Both cuts lie halfway between the class means. Only the space differs.")]));
    ui.tell(few, `${few + 1} labels of each class`, { few },
      `${few + 1} labels of each class: ${bad} percent right in the bad space, ${good} percent in the good space.`);
  }

  /** @param {number} i @param {Labelled} p */
  function place(i, p) {
    points[i] = p;
    ui.update();
  }

  /** Put a labelled point where a space has (u, v). @param {number} k @param {number} i @param {number} u @param {number} v */
  function move(k, i, u, v) {
    const [x, y] = SPACES[k].back(clamp(u, -EDGE, EDGE), clamp(v, -EDGE, EDGE));
    place(i, [clamp(x, -EDGE, EDGE), clamp(y, -EDGE, EDGE), points[i][2]]);
  }

  /** @param {PointerEvent} event @param {number} k @param {number} i */
  function grab(event, k, i) {
    event.preventDefault();
    held = event.pointerId;
    /** @param {PointerEvent} to */
    const follow = (to) => {
      if (to.pointerId !== held) return;
      const box = ui.svg.getBoundingClientRect();
      const [left, top] = corner(k);
      move(k, i, (2 * (to.clientX - box.left - left)) / size - 1, 1 - (2 * (to.clientY - box.top - top)) / size);
    };
    const drop = () => {
      held = -1;
      window.removeEventListener("pointermove", follow);
    };
    window.addEventListener("pointermove", follow);
    window.addEventListener("pointerup", drop, { once: true });
    window.addEventListener("pointercancel", drop, { once: true });
  }

  /** @param {KeyboardEvent} event @param {number} k @param {number} i */
  function step(event, k, i) {
    /** @type {Record<string, Pair | undefined>} */
    const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const by = ways[event.key];
    if (!by) return;
    event.preventDefault();
    const [u, v] = SPACES[k].see(points[i][0], points[i][1]);
    move(k, i, u + 0.06 * by[0], v + 0.06 * by[1]);
    /** @type {SVGElement | null} */ (ui.svg.querySelector(`[data-point="${k}-${i}"]`))?.focus();
  }

  /** @param {number} next */
  function go(next) {
    if (inside(next) === few) return;
    few = inside(next);
    save(model, { few });
    ui.update();
  }

  reset.addEventListener("click", () => state.labelled.forEach((p, i) => place(i, [...p])));
  controls(ui, go);
  ui.update();
  return live(model, ui, ["few"], () => go(model.get("few") ?? few));
}

export default { render };
