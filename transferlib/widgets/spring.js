// @ts-check
// Two valleys and a spring. A weight rests where the new valley and the spring to its old place pull equally; the
// reader sets the spring's strength, or drags the weight.
import {
  axisX, axisY, clamp, clear, controls, cursor, draw, fillNumbers, frame, line, live, make, room, row, rows, save,
  shell, swatch, tabs, unique, verdict,
} from "./kit.js";

/** @typedef {{label: string, stiffness: number}} Weight how strongly the old job minds it */
/** @typedef {{title: string, start: number, strengths: number[], bend: number, goal: number, old: number,
 *   weights: Weight[]}} State */

const HEADS = ["λ", "the weight rests at", "loss of the old job", "loss of the new job"];
const CURVES = { old: ["hs-tone-blue", ""], fresh: ["hs-tone-orange", "7 4"], sum: ["hs-tone-grey", "2 4"] };
const [HIGH, LOW] = [6, -1.1]; // losses at the ends of the axis: the spring lies below 0

/** Two digits and a real minus sign. @param {number} value */
const fine = (value) => value.toFixed(2).replace("-", "\u2212");

/** The losses of one weight, and where it rests. @param {State} state @param {number} stiffness */
const valleys = ({ bend, goal, old }, stiffness) => ({
  /** @param {number} at */
  oldLoss: (at) => (stiffness * (at - old) ** 2) / 2,
  /** @param {number} at */
  newLoss: (at) => (bend * (at - goal) ** 2) / 2,
  /** @param {number} at @param {number} strength */
  sum: (at, strength) => (bend * (at - goal) ** 2 + strength * stiffness * (at - old) ** 2) / 2,
  /** @param {number} strength @param {number} [stiff] */
  rest: (strength, stiff = stiffness) => (bend * goal + strength * stiff * old) / (bend + strength * stiff),
});

/** @param {number} width */
const chartOf = (width) =>
  frame(width, Math.round(clamp(width * 0.62, 270, 380)), { top: 28, right: 18, bottom: 48, left: 36 }, LOW, HIGH);

/** The zigzag of a spring between two places. @param {number} from @param {number} to @param {number} y */
function coil(from, to, y) {
  const turns = 12;
  const step = (to - from) / (turns + 2);
  const teeth = Array.from({ length: turns }, (_, i) => `L${from + step * (i + 1.5)} ${y + (i % 2 ? 7 : -7)}`);
  return `M${from} ${y}L${from + step} ${y}${teeth.join("")}L${to - step} ${y}L${to} ${y}`;
}

/** @param {import("./kit.js").Home} home */
function render({ model, el }) {
  const state = /** @type {State} */ (model.get("state"));
  const { strengths, goal, old } = state;
  const [left, right] = [old - 0.25 * (goal - old), goal + 0.25 * (goal - old)];
  /** @param {number} value */
  const within = (value) => clamp(value, 0, strengths.length - 1);
  let place = within(model.get("place") ?? state.start);
  let [weight] = state.weights;
  let loss = valleys(state, weight.stiffness);
  /** @type {import("./kit.js").Frame} */
  let f;

  const chosen = make("output", "hs-kit__pick", "", { "aria-hidden": "true" });
  const kinds = tabs(unique("hs-spring"), "Weight", state.weights, weight, turnTo, (item) => `${item.label}: s = ${item.stiffness}`);
  const ui = shell(el, {
    css: "hs-sp", title: state.title, question: [`${state.title} λ = `, chosen],
    slider: { max: strengths.length - 1, "aria-label": "Strength λ of the spring" }, above: [kinds], paint, report,
  });

  /** @param {number} at */
  const x = (at) => f.margin.left + (f.inner.width * (at - left)) / (right - left);

  /** A curve, as far as it is not above the chart. @param {(at: number) => number} of @param {string[]} look */
  function curve(of, [css, dash]) {
    const all = Array.from({ length: 201 }, (_, i) => left + ((right - left) * i) / 200);
    line(ui.svg, all.filter((at) => of(at) <= HIGH).map((at) => [x(at), f.y(of(at))]), css, dash);
  }

  function paint() {
    f = chartOf(room(ui.stage));
    clear(ui.svg, f, `Loss against the weight: the old job's valley over ${old}, the new job's over ${goal}, and the sum of new valley and spring. The slider below sets the spring.`);
    axisY(ui.svg, f, 2, String);
    const ticks = Array.from({ length: Math.floor(right) - Math.ceil(left) + 1 }, (_, i) => Math.ceil(left) + i);
    axisX(ui.svg, f, ticks.map((label) => ({ x: x(label), label })), "loss", "weight θ");
    const at = loss.rest(strengths[place]);
    curve(loss.oldLoss, CURVES.old);
    curve(loss.newLoss, CURVES.fresh);
    curve((value) => loss.sum(value, strengths[place]), CURVES.sum);
    cursor(ui.svg, f, x(at));
    const low = f.y(LOW / 2);
    if (strengths[place]) draw(ui.svg, "path", { d: coil(x(old), x(at), low), class: "hs-sp__coil hs-tone-blue" });
    draw(ui.svg, "circle", { cx: x(old), cy: low, r: 5, class: "hs-kit__dot hs-tone-blue" });
    draw(ui.svg, "circle", { cx: x(at), cy: low, r: 8, class: "hs-sp__rest" });
    const marks = [[loss.oldLoss(at), CURVES.old], [loss.newLoss(at), CURVES.fresh]];
    for (const [value, [css]] of /** @type {[number, string[]][]} */ (marks)) {
      if (value <= HIGH) draw(ui.svg, "circle", { cx: x(at), cy: f.y(value), r: 6, class: `hs-kit__dot hs-kit__dot--now ${css}` });
    }
  }

  function report() {
    const strength = strengths[place];
    const at = loss.rest(strength);
    const [was, is] = [loss.oldLoss(at), loss.newLoss(at)].map(fine);
    chosen.textContent = String(strength);
    const [before, now, both] = [CURVES.old, CURVES.fresh, CURVES.sum].map(([css, dash]) => ({ css, sign: swatch(css, dash) }));
    const told = strength
      ? `The weight rests at ${fine(at)}. A spring of stiffness 1, as L2-SP has it, would rest at ${fine(loss.rest(strength, 1))}.`
      : `No spring: the weight goes to ${fine(at)}, where the new loss is lowest.`;
    ui.readout.replaceChildren(rows([
      row(before.css, [before.sign, "old job"], was, "its loss there"),
      row(now.css, [now.sign, "new job"], is, "its loss there"),
      row(both.css, [both.sign, "new job and spring"], fine(loss.sum(at, strength)), "their lowest sum"),
    ]), verdict([make("p", "", told)]));
    ui.tell(place, `λ ${strength}`, { place }, `Lambda ${strength}. ${told} Old loss ${was}, new loss ${is}.`);
  }

  /** @param {number} next */
  function go(next) {
    if (next === place) return;
    place = next;
    save(model, { place });
    ui.update();
  }

  /** @param {Weight} next */
  function turnTo(next) {
    weight = next;
    loss = valleys(state, weight.stiffness);
    fillNumbers(ui, `${weight.label}, stiffness ${weight.stiffness}`, HEADS, strengths.map((strength) => {
      const at = loss.rest(strength);
      return [strength, ...[at, loss.oldLoss(at), loss.newLoss(at)].map(fine)];
    }));
    ui.update();
  }

  controls(ui, go, (px) => {
    const far = strengths.map((strength) => Math.abs(x(loss.rest(strength)) - px));
    go(far.indexOf(Math.min(...far)));
  });
  turnTo(weight);
  return live(model, ui, ["place"], () => go(within(model.get("place"))));
}

export default { render };
