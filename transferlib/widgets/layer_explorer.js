// @ts-check
// The layer explorer: pick a depth, see its filters, its answer to a picture, and what a probe reads there.
import {
  axisY, band, begin, between, clamp, controls, cursor, draw, fillNumbers, frame, line, live, make, percent, places, room,
  row, rows, save, shell, tabs, tenths, unique, verdict, withInterval, wrap,
} from "./kit.js";

/** @typedef {import("./kit.js").Span} Span */
/** @typedef {{label: string, src: string, maps: string[]}} Picture */
/** @typedef {{label: string, chance: number, seeds: number, trained: Span[], random: Span[], pictures: Picture[]}} Item */
/** @typedef {{id: string, label: string, shape: string, filters: string | null, note: string}} Layer */

/** @type {["trained" | "random", string, string, string][]} */
const KINDS = [["trained", "hs-tone-blue", "", "pretrained"], ["random", "hs-tone-grey", "2 4", "random weights"]];

/** From the smallest to the largest accuracy, in tens of percent, so that the axis stays when the layer moves.
 * @param {Item} item @param {number} count @param {number} width */
function chartOf(item, count, width) {
  const [low, high] = tenths([item.chance, ...[...item.trained, ...item.random].flatMap((v) => [v.lo, v.hi])]);
  const f = frame(width, 230, { top: 14, right: 16, bottom: 26, left: 42 }, low, high);
  return { ...f, ...places(f, count) };
}

/** @param {SVGElement} svg @param {ReturnType<typeof chartOf>} f @param {Item} item @param {number} layer */
function drawChart(svg, f, item, layer) {
  axisY(svg, f, undefined, (v) => `${Math.round(100 * v)}\u00a0%`);
  cursor(svg, f, f.x(layer));
  for (const [key, tone, dash] of KINDS) {
    /** @param {"mean" | "lo" | "hi"} part @returns {[number, number][]} */
    const along = (part) => item[key].map((v, i) => [f.x(i), f.y(v[part])]);
    band(svg, along("hi"), along("lo"), tone);
    line(svg, along("mean"), tone, dash);
    along("mean").forEach(([cx, cy], i) =>
      draw(svg, "circle", { cx, cy, r: i === layer ? 7 : 3.2, class: `hs-kit__dot ${i === layer ? "hs-kit__dot--now " : ""}${tone}` }));
  }
  draw(svg, "text", { x: f.margin.left, y: f.height - 6, "text-anchor": "start" }, "first layer");
  draw(svg, "text", { x: f.right, y: f.height - 6, "text-anchor": "end" }, "last layer");
}

/** @param {string} title @param {Node[]} parts */
const figure = (title, parts) => wrap("figure", "hs-le__look", [make("figcaption", "", title), ...parts]);

/** @param {import("./kit.js").Home} home */
function render({ model, el }) {
  /** @type {{title?: string, start?: number, layers: Layer[], sets: Item[]}} */
  const { title = "Layer explorer", start = 0, layers, sets } = model.get("state");
  const id = unique("hs-le");
  /** @param {number} value */
  const inside = (value) => clamp(value, 0, layers.length - 1);
  let layer = inside(model.get("layer") ?? start);
  let [item] = sets;
  let picture = item.pictures[0];
  let chart = chartOf(item, layers.length, 260);

  const pictures = make("div");
  const looks = make("div", "hs-le__looks");
  const choices = wrap("div", "hs-le__choices", [tabs(`${id}-set`, "Data set", sets, item, (next) => {
    item = next;
    [picture] = item.pictures;
    fillPictures();
    ui.update();
  }, (entry) => entry.label), pictures]);
  const ui = shell(el, {
    css: "hs-le", title, question: ["How deep should you read the network for your task?"],
    slider: { max: layers.length - 1, "aria-label": "Layer" }, above: [choices], below: [looks], paint, report,
  });

  function fillPictures() {
    pictures.replaceChildren(tabs(`${id}-picture`, "Picture", item.pictures, picture, (next) => {
      picture = next;
      look();
    }, (entry) => make("img", "hs-le__thumb", null, { src: entry.src, alt: entry.label })));
    fillNumbers(ui, `${item.label}: test accuracy of a probe in %, mean (95 % interval), ${item.seeds} seeds`,
      ["layer", ...KINDS.map(([, , , name]) => name)],
      layers.map((entry, i) => [entry.label, ...KINDS.map(([key]) => withInterval(item[key][i]))]));
  }

  function look() {
    const now = layers[layer];
    /** @param {string} src @param {string} alt */
    const sheet = (src, alt) => make("img", "hs-le__sheet", null, { src, alt });
    looks.replaceChildren(
      figure("Filters", [
        ...(now.filters ? [sheet(now.filters, `Filters of layer ${now.label}. ${now.note}`)] : []),
        make("p", "hs-kit__fine", now.note),
      ]),
      figure("Answer to the picture", [
        sheet(picture.maps[layer], `What eight channels of layer ${now.label} make of the picture: ${picture.label}.`),
        make("p", "hs-kit__fine", `Eight of its channels, bright where they respond. The layer gives ${now.shape}.`),
      ]));
  }

  function paint() {
    chart = chartOf(item, layers.length, room(ui.stage));
    begin(ui, chart, `${item.label}: test accuracy of a probe after each layer, pretrained and random weights, with 95 percent bands.`);
    drawChart(ui.svg, chart, item, layer);
  }

  function report() {
    const now = layers[layer];
    ui.readout.replaceChildren(
      verdict([
        make("p", "hs-kit__big", now.label),
        make("p", "hs-kit__fine", `Layer ${layer + 1} of ${layers.length}. 95 % intervals over ${item.seeds} draws of the labels.`),
      ]),
      rows(KINDS.map(([key, tone, , name]) =>
        row(tone, [`Probe, ${name}`], `${percent(item[key][layer].mean)}\u00a0%`, `${between(item[key][layer])}\u00a0%`))));
    look();
    const spoken = KINDS.map(([key, , , name]) => `${name} ${percent(item[key][layer].mean)} percent`).join(", ");
    ui.tell(layer, `${now.label}, layer ${layer + 1} of ${layers.length}`, { layer }, `${item.label}, ${now.label}: ${spoken}.`);
  }

  /** @param {number} next */
  function go(next) {
    if (inside(next) === layer) return;
    layer = inside(next);
    save(model, { layer });
    ui.update();
  }

  controls(ui, go, (x) => go(chart.at(x)));
  fillPictures();
  ui.update();
  return live(model, ui, ["layer"], () => go(model.get("layer") ?? layer));
}

export default { render };
