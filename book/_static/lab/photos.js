// @ts-check
// The photo lab: piles of the reader's own photographs in, what a head start saves out. Nothing leaves the page.
(() => {
  /** @typedef {{id: number, name: string, pixels?: Uint8ClampedArray}} Picture pixels RGBA, 96 × 96 */
  /** @typedef {{name: string, pictures: Picture[]}} Pile */
  /** @typedef {{id: string, label: string, n: number[], draws: number[][]}} Way accuracy of every draw, by budget */
  const page = /** @type {any} */ (globalThis);
  const SIDE = 96;
  const DRAWS = 5;

  // ---------------------------------------------------------------- the worker: everything that takes time

  /** Runs in a worker, from its own text. @param {any} tools @param {any} scope @param {number} side */
  function work(tools, scope, side) {
    const { network, probe } = tools;
    const LIMIT = 120e6;
    /** @type {Map<number, any>} */
    const seen = new Map();
    /** @type {any} */
    let net = null;
    let ticket = 0;
    /** @type {any} */
    let head = null;
    const pause = () => new Promise((done) => { setTimeout(done, 0); });

    /** What a file is by its first bytes, and how large a picture it announces. @param {DataView} v */
    function header(v) {
      const text = (/** @type {number} */ from, /** @type {number} */ to) => String.fromCharCode(...Array.from({ length: Math.max(0, Math.min(to, v.byteLength) - from) }, (_, i) => v.getUint8(from + i)));
      const start = text(0, 16);
      if (start.startsWith("\x89PNG")) return { width: v.getUint32(16), height: v.getUint32(20) };
      if (start.startsWith("GIF8")) return { width: v.getUint16(6, true), height: v.getUint16(8, true) };
      if (start.startsWith("BM")) return { width: Math.abs(v.getInt32(18, true)), height: Math.abs(v.getInt32(22, true)) };
      if (start.startsWith("RIFF") && text(8, 12) === "WEBP") {
        const kind = text(12, 16);
        if (kind === "VP8X") return { width: 1 + (v.getUint32(24, true) & 0xffffff), height: 1 + (v.getUint32(27, true) & 0xffffff) };
        if (kind === "VP8L") return { width: 1 + (v.getUint32(21, true) & 16383), height: 1 + ((v.getUint32(21, true) >>> 14) & 16383) };
        return { width: v.getUint16(26, true) & 16383, height: v.getUint16(28, true) & 16383 };
      }
      if (start.startsWith("\xff\xd8")) {
        for (let at = 2; at + 9 < v.byteLength;) {
          const kind = v.getUint8(at + 1);
          if (v.getUint8(at) !== 0xff) break;
          if (kind >= 0xc0 && kind <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(kind)) return { width: v.getUint16(at + 7), height: v.getUint16(at + 5) };
          at += kind === 0xff ? 1 : 2 + v.getUint16(at + 2);
        }
        return { reason: "it is a JPEG without a picture" };
      }
      if (start.slice(4, 8) === "ftyp") {
        if (!/^avi[fs]/.test(start.slice(8))) return { reason: /^(he|mi|ms)/.test(start.slice(8)) ? "it is a HEIC picture, which browsers cannot read; save it as JPEG" : "it is a video" };
        const at = text(0, v.byteLength).indexOf("ispe");
        return at < 0 ? { reason: "it is an AVIF that does not say its size" } : { width: v.getUint32(at + 8), height: v.getUint32(at + 12) };
      }
      if (/^(II\*|MM\0)/.test(start)) return { reason: "it is a TIFF, which browsers cannot read; save it as JPEG or PNG" };
      if (start.startsWith("%PDF")) return { reason: "it is a PDF" };
      if (/<svg|<\?xml/i.test(text(0, 256))) return { reason: "it is a drawing (SVG), not a photograph" };
      return { reason: "it is no picture that browsers read (JPEG, PNG, WebP, AVIF, GIF or BMP)" };
    }

    /** Upright pixels on white, at the sides of both networks. @param {Blob} file */
    async function decode(file) {
      if (!file.size) throw new Error("it is empty");
      if (file.size > 200e6) throw new Error("it is larger than 200 MB");
      let said;
      try {
        said = header(new DataView(await file.slice(0, 1 << 20).arrayBuffer()));
      } catch {
        throw new Error("it ends too soon");
      }
      if (said.reason) throw new Error(said.reason);
      const { width = 0, height = 0 } = said;
      if (width * height > LIMIT) throw new Error(`it has ${width} × ${height} pixels, more than 120 million`);
      if (Math.min(width, height) < 8) throw new Error(`it has ${width} × ${height} pixels; fewer than 8 show nothing`);
      let bitmap;
      try {
        bitmap = await createImageBitmap(file);
      } catch {
        throw new Error("it is damaged or ends too soon");
      }
      try {
        const [w, h] = [bitmap.width, bitmap.height];
        if (w * h > LIMIT) throw new Error(`it has ${w} × ${h} pixels, more than 120 million`);
        const [large, small] = [network.resizer(w, h, side), network.resizer(w, h, 32)];
        const rows = Math.max(1, Math.min(h, Math.floor(1e6 / w)));
        const canvas = new OffscreenCanvas(w, rows);
        const context = canvas.getContext("2d", { willReadFrequently: true });
        if (!context) throw new Error("the browser gave no canvas");
        for (let top = 0; top < h; top += rows) {
          const here = Math.min(rows, h - top);
          context.fillStyle = "#fff";
          context.fillRect(0, 0, w, rows);
          context.drawImage(bitmap, 0, -top);
          const { data } = context.getImageData(0, 0, w, here);
          large.rows(data, top);
          small.rows(data, top);
        }
        return { pixels: large.out, small: small.out, width: w, height: h, bytes: file.size };
      } finally {
        bitmap.close();
      }
    }

    /** Eight numbers that know nothing of what is shown. @param {any} picture */
    function trivial({ small, width, height, bytes }) {
      const means = [0, 1, 2].map((c) => small.reduce((/** @type {number} */ s, /** @type {number} */ v, /** @type {number} */ i) => s + (i % 3 === c ? v : 0), 0) / 1024);
      const grey = (means[0] + means[1] + means[2]) / 3;
      const spread = Math.sqrt(small.reduce((/** @type {number} */ s, /** @type {number} */ v) => s + (v - grey) ** 2, 0) / small.length);
      return [Math.log(width), Math.log(height), Math.log(width / height), Math.log(bytes), ...means, spread];
    }

    /** Near-duplicates, doubtful labels, piles that trivial numbers tell apart. @param {number[]} ids @param {number[]} y
     * @param {Float64Array[]} products @param {any} fitted @param {number} classes */
    function cautions(ids, y, products, fitted, classes) {
      const twins = [];
      for (let i = 0; i < ids.length; i += 1) for (let j = 0; j < i; j += 1) {
        if (products[i][j] / Math.sqrt(products[i][i] * products[j][j]) > 0.97) twins.push([ids[j], ids[i]]);
      }
      const left = fitted.left.map((/** @type {Float64Array} */ row) => probe.largest([...row]));
      const doubtful = ids.filter((_, i) => left[i] !== y[i] && fitted.left[i][left[i]] - fitted.left[i][y[i]] > 0.4);
      const rows = ids.map((id) => trivial(seen.get(id)));
      const columns = rows[0].map((_, d) => {
        const mean = rows.reduce((s, row) => s + row[d], 0) / rows.length;
        return { mean, spread: Math.sqrt(rows.reduce((s, row) => s + (row[d] - mean) ** 2, 0) / rows.length) };
      });
      // A number that hardly differs says nothing: its scale would be noise.
      const scaled = rows.map((row) => row.map((v, d) => (columns[d].spread > 1e-6 ? (v - columns[d].mean) / columns[d].spread : 0)));
      const plain = probe.fit(probe.gram(scaled), y, fitted.rows, classes);
      const test = fitted.rows;
      const easy = probe.accuracy(plain.left.map((/** @type {Float64Array} */ row) => probe.largest([...row])), y, test, classes);
      const deep = probe.accuracy(left, y, test, classes);
      return { twins, doubtful, easy, deep, guess: 1 / classes };
    }

    /** @param {{piles: number[][], budgets: number[], draws: number}} order */
    async function measure({ piles, budgets, draws }) {
      const mine = (ticket += 1);
      const ids = piles.flat();
      const y = piles.flatMap((pile, c) => pile.map(() => c));
      const classes = piles.length;
      const spoken = () => mine !== ticket;
      let busy = 0;
      for (const [i, id] of ids.entries()) {
        const picture = seen.get(id);
        if (!picture.features) {
          const start = performance.now();
          picture.features = net(picture.pixels);
          busy += performance.now() - start;
        }
        if (i % 4 === 3 || i + 1 === ids.length) {
          scope.postMessage({ kind: "features", done: i + 1, of: ids.length, busy });
          await pause();
          if (spoken()) return;
        }
      }
      const x = ids.map((id) => seen.get(id).features);
      const products = probe.gram(x);
      const pixels = probe.gram(ids.map((id) => seen.get(id).small));
      const planes = ids.map((id) => {
        const { small } = seen.get(id);
        return Float64Array.from({ length: small.length }, (_, i) => small[3 * (i % 1024) + Math.floor(i / 1024)] / 127.5 - 1);
      });
      const orders = Array.from({ length: draws }, (_, seed) => probe.nested(y, budgets[budgets.length - 1], seed));
      /** One way of learning on every draw and budget. @param {(rows: number[], test: number[], seed: number) => number[]} learn */
      const scored = (learn) => (/** @type {number} */ seed) => budgets.map((n) => {
        const rows = orders[seed].slice(0, n * classes);
        const test = y.flatMap((_, i) => (rows.includes(i) ? [] : [i]));
        return probe.accuracy(learn(rows, test, seed), y, test, classes);
      });
      const ridge = (/** @type {Float64Array[]} */ known) => scored((rows, test) => {
        const made = probe.fit(known, y, rows, classes);
        return test.map((t) => probe.largest(probe.scores(made, known[t])));
      });
      const seeds = orders.map((_, i) => i);
      const ways = [
        { id: "probe", label: "linear probe on the network", n: budgets, draws: seeds.map(ridge(products)) },
        { id: "mean", label: "nearest mean on the network", n: budgets, draws: seeds.map(scored((rows, test) => probe.nearestMean(products, y, rows, test, classes))) },
        { id: "scratch", label: "raw pixels", n: budgets, draws: seeds.map(ridge(pixels)) },
      ];
      const fitted = probe.fit(products, y, ids.map((_, i) => i), classes);
      const weight = Array.from({ length: classes }, (_, c) => x[0].map((/** @type {number} */ _v, /** @type {number} */ d) =>
        x.reduce((/** @type {number} */ sum, /** @type {Float64Array} */ row, /** @type {number} */ i) => sum + fitted.alpha[i][c] * row[d], 0)));
      const bias = fitted.share.map((/** @type {number} */ s, /** @type {number} */ c) =>
        s - ids.reduce((sum, _, i) => sum + fitted.alpha[i][c] * fitted.mean[i], 0));
      head = { ids, y, x, fitted };
      scope.postMessage({ kind: "curve", ways, cautions: cautions(ids, y, products, fitted, classes),
        head: { lambda: fitted.lambda, weight: weight.map((/** @type {Float64Array} */ w) => [...w]), bias } });
      const scratch = [];
      for (const seed of seeds) {
        /** @type {number[]} */
        const row = [];
        for (const [i, n] of budgets.entries()) {
          await pause();
          if (spoken()) return;
          const rows = orders[seed].slice(0, n * classes);
          const test = y.flatMap((_, j) => (rows.includes(j) ? [] : [j]));
          const small = probe.smallCNN({ classes, seed });
          small.train(rows.map((/** @type {number} */ j) => planes[j]), rows.map((/** @type {number} */ j) => y[j]));
          row.push(probe.accuracy(test.map((t) => small.predict(planes[t])), y, test, classes));
          scope.postMessage({ kind: "training", done: seed * budgets.length + i + 1, of: seeds.length * budgets.length });
        }
        scratch.push(row);
      }
      ways.splice(2, 0, { id: "scratch_small", label: "small network from scratch", n: budgets, draws: scratch });
      scope.postMessage({ kind: "done", ways });
    }

    /** The answer for a new picture, how often such a lead was right, and the three most alike. @param {number} id */
    function held(id) {
      if (!head) return;
      const x = net(seen.get(id).pixels);
      const dot = (/** @type {Float64Array} */ a, /** @type {Float64Array} */ b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
      const products = head.x.map((/** @type {Float64Array} */ row) => dot(row, x));
      const lead = (/** @type {number[]} */ list) => { const [a, b] = [...list].sort((p, q) => q - p); return a - b; };
      const said = probe.scores(head.fitted, products);
      const mine = lead(said);
      const as = head.fitted.left.map((/** @type {Float64Array} */ row, /** @type {number} */ i) => ({ lead: lead([...row]), right: probe.largest([...row]) === head.y[i] }))
        .sort((/** @type {any} */ a, /** @type {any} */ b) => Math.abs(a.lead - mine) - Math.abs(b.lead - mine)).slice(0, 10);
      const alike = head.ids.map((/** @type {number} */ other, /** @type {number} */ i) => ({ id: other, cosine: products[i] / Math.sqrt(dot(x, x) * dot(head.x[i], head.x[i])) }))
        .sort((/** @type {any} */ a, /** @type {any} */ b) => b.cosine - a.cosine).slice(0, 3);
      scope.postMessage({ kind: "held", id, answer: probe.largest(said), right: as.filter((/** @type {any} */ o) => o.right).length, of: as.length, alike });
    }

    let line = Promise.resolve();
    scope.onmessage = (/** @type {MessageEvent} */ { data }) => {
      if (data.kind === "network") {
        net = network.network(data.buffer, data.plan);
        scope.postMessage({ kind: "ready" });
      } else if (data.kind === "forget") {
        ticket += 1;
        for (const id of data.ids) seen.delete(id);
        if (data.all) head = null;
      } else if (data.kind === "measure") {
        measure(data).catch((error) => scope.postMessage({ kind: "failed", reason: error.message }));
      } else if (data.kind === "hold") held(data.id);
      else {
        // One file after the other: 300 at once would hold 300 decoded pictures.
        line = line.then(() => decode(data.file)).then((picture) => {
          seen.set(data.id, picture);
          const pixels = new Uint8ClampedArray(4 * side * side).fill(255);
          picture.pixels.forEach((/** @type {number} */ v, /** @type {number} */ i) => { pixels[4 * Math.floor(i / 3) + (i % 3)] = v; });
          scope.postMessage({ kind: "looked", id: data.id, pixels });
        }).catch((error) => scope.postMessage({ kind: "refused", id: data.id, reason: error.message }));
      }
    };
  }

  /** The worker as text: no file is asked for, so it also starts in a page opened from disk. */
  function hire() {
    const text = `"use strict";(${work})({network: (${page.hsLab.network})(), probe: (${page.hsLab.probe})()}, self, ${SIDE});`;
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const worker = new Worker(address);
    return worker;
  }

  // ---------------------------------------------------------------- numbers for the chart

  // Student's t at 97.5 %, for 1, 2, … degrees of freedom.
  const STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
  /** @param {number[]} values */
  function span(values) {
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1);
    const half = STUDENT[values.length - 2] * Math.sqrt(variance / values.length);
    return { mean, lo: mean - half, hi: mean + half };
  }

  /** Mean and band over the draws. @param {number[]} n @param {number[][]} draws */
  function curve(n, draws) {
    const spans = n.map((_, i) => span(draws.map((row) => row[i])));
    return { n, mean: spans.map((s) => s.mean), lo: spans.map((s) => s.lo), hi: spans.map((s) => s.hi) };
  }

  /** Labels a pile at which a curve reaches a height, along its line; beyond the last where it never does.
   * @param {{n: number[], mean: number[]}} other @param {number} height */
  function reaches({ n, mean }, height) {
    const i = mean.findIndex((v) => v >= height);
    if (i < 0) return { k: n[n.length - 1], beyond: true };
    if (i === 0) return { k: n[0], beyond: false };
    const share = (height - mean[i - 1]) / (mean[i] - mean[i - 1]);
    return { k: n[i - 1] * (n[i] / n[i - 1]) ** share, beyond: false };
  }

  /** What the label-budget widget draws. @param {Way[]} ways @param {number} classes */
  function stateOf(ways, classes) {
    const strategies = ways.map(({ id, label, n, draws }) => ({ id, label, ...curve(n, draws) }));
    const [first] = ways;
    const rival = ways.find((way) => way.id === "scratch_small");
    const gaps = rival ? [{ a: "probe", b: rival.id, ...curve(first.n, first.draws.map((row, d) => row.map((v, i) => v - rival.draws[d][i]))) }] : [];
    const worth = rival ? strategies[0].mean.map((height) => reaches(curve(rival.n, rival.draws), height)) : [];
    const equivalents = rival ? [{ strategy: "probe", against: rival.id, n: first.n, k: worth.map((w) => w.k), lo: worth.map(() => null), hi: worth.map(() => null), beyond: worth.map((w) => w.beyond) }] : [];
    return { title: "Labels saved on your photographs", start_n: first.n[first.n.length - 1], datasets: [{ id: "yours", label: "Your photographs", chance: 1 / classes, unit: "accuracy on the photographs not learned from", strategies, gaps, equivalents }] };
  }

  /** The sentence at the largest budget. @param {ReturnType<typeof stateOf>} state @param {number} pictures */
  function sentence({ datasets: [{ gaps: [gap], equivalents: [worth] }] }, pictures) {
    const last = gap.n.length - 1;
    const [n, mean, lo, hi] = [gap.n[last], gap.mean[last], gap.lo[last], gap.hi[last]];
    const labels = n === 1 ? "1 label" : `${n} labels`;
    const points = (/** @type {number} */ v) => Math.abs(100 * v).toFixed(0);
    if (lo > 0) {
      const k = worth.k[last] ?? n;
      if (worth.beyond[last]) return `With ${labels} a pile, your head start is worth more than ${labels} a pile: the network from scratch never reaches the probe within what was measured (${points(mean)} points behind).`;
      return `With ${labels} a pile, your head start is worth ${k < 10 ? k.toFixed(1) : Math.round(k)} labels a pile: that many the network from scratch needs for the same accuracy.`;
    }
    if (hi < 0) return `With ${labels} a pile, the pretrained network is behind: learning from scratch is ${points(mean)} points better on your photographs.`;
    const more = Math.min(500, Math.ceil(pictures * (((hi - lo) / 2 / Math.max(0.005, Math.abs(mean))) ** 2 - 1)));
    return `With ${labels} a pile, the page cannot tell with so few photographs: add about ${Math.max(1, more)} more to each pile${more === 500 ? " or more" : ""}, if the difference stays at ${points(mean)} points.`;
  }

  // ---------------------------------------------------------------- the page

  /** @param {string} tag @param {string} css @param {string | null} [text] @param {Record<string, string>} [attrs] @returns {any} */
  function make(tag, css, text, attrs = {}) {
    const node = document.createElement(tag);
    if (css) node.className = css;
    if (text != null) node.textContent = text;
    for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
    return node;
  }

  /** @param {string} label @param {() => void} press @param {string} [css] */
  function button(label, press, css = "") {
    const node = make("button", `hs-lab__button ${css}`, label, { type: "button" });
    node.addEventListener("click", press);
    return node;
  }

  /** @param {string} name @param {string} type @param {string} text */
  function save(name, type, text) {
    const link = make("a", "", "", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /** @param {HTMLElement} root */
  function lab(root) {
    const worker = hire();
    /** @type {Pile[]} */
    let piles = [{ name: "Pile 1", pictures: [] }, { name: "Pile 2", pictures: [] }];
    /** @type {Map<number, (message: any) => void>} */
    const waiting = new Map();
    let [ids, refused] = [0, 0];
    let network = "absent";
    let started = 0;
    /** @type {any} */
    let result = null;

    const shelf = make("div", "hs-lab__piles");
    const status = make("p", "hs-lab__status", "", { role: "status" });
    const troubles = make("ul", "hs-lab__troubles", null, { "aria-label": "Files that were refused" });
    const go = button("", start, "hs-lab__go");
    const out = make("div", "hs-lab__out");
    const samples = make("div", "hs-lab__row");
    samples.append(make("span", "", "No photographs at hand?"), ...page.hsLab.samples.map((/** @type {any} */ set) => button(set.title, () => ready(set))));
    const tools = make("div", "hs-lab__row");
    tools.append(button("Add a pile", () => { piles.push({ name: `Pile ${piles.length + 1}`, pictures: [] }); paint(); }), button("Clear all", clear));
    root.append(samples, shelf, tools, go, status, troubles, out);

    const all = () => piles.flatMap((pile) => pile.pictures);
    const found = (/** @type {number} */ id) => all().find((picture) => picture.id === id);
    const counts = () => piles.map((pile) => pile.pictures.filter((p) => p.pixels).length);

    /** @param {string} words */
    function say(words) { status.textContent = words; }

    /** Look at a file in the worker. @param {Blob} file @param {string} name @param {(message: any) => void} then */
    function look(file, name, then) {
      const id = (ids += 1);
      waiting.set(id, (message) => {
        if (message.kind === "refused") {
          refused += 1;
          troubles.append(make("li", "", `${name} was not read: ${message.reason}.`));
        }
        then(message);
      });
      worker.postMessage({ kind: "look", id, file });
      return id;
    }

    /** @param {Pile} pile @param {Iterable<File>} files */
    function add(pile, files) {
      reset();
      for (const file of files) {
        const picture = { id: 0, name: file.name };
        picture.id = look(file, file.name, ({ kind, pixels }) => {
          if (kind === "refused") piles.forEach((one) => { one.pictures = one.pictures.filter((p) => p !== picture); });
          else Object.assign(picture, { pixels });
          if (waiting.size % 20 === 0) paint();
          else say(`${waiting.size} files to look at.`);
        });
        pile.pictures.push(picture);
      }
      paint();
    }

    /** @param {any} set */
    function ready(set) {
      clear();
      piles = set.piles.map((/** @type {any} */ { name }) => ({ name, pictures: [] }));
      set.piles.forEach((/** @type {any} */ { name, pictures }, /** @type {number} */ i) => add(piles[i], pictures.map((/** @type {string} */ text, /** @type {number} */ j) =>
        new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], `${name} ${j + 1}`, { type: "image/png" }))));
    }

    /** A change of the piles makes the measurement stale. */
    function reset() {
      worker.postMessage({ kind: "forget", ids: [] });
      result = null;
      out.replaceChildren();
      delete root.dataset.state;
    }

    function clear() {
      worker.postMessage({ kind: "forget", ids: all().map((p) => p.id), all: true });
      piles = [{ name: "Pile 1", pictures: [] }, { name: "Pile 2", pictures: [] }];
      refused = 0;
      troubles.replaceChildren();
      reset();
      paint();
    }

    /** @param {Picture} picture @param {string} [label] */
    function thumbnail(picture, label = picture.name) {
      const canvas = make("canvas", "hs-lab__thumb", null, { width: String(SIDE), height: String(SIDE), role: "img", "aria-label": label, title: label });
      if (picture.pixels) canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(picture.pixels), SIDE, SIDE), 0, 0);
      return canvas;
    }

    /** @param {Pile} pile @param {Picture} picture */
    function card(pile, picture) {
      const item = make("li", "hs-lab__card", null, { draggable: "true" });
      item.addEventListener("dragstart", (/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/plain", `hs-lab ${picture.id}`));
      const move = make("select", "", null, { "aria-label": `Pile of ${picture.name}` });
      piles.forEach((other, i) => move.append(make("option", "", other.name, { value: String(i) })));
      move.append(make("option", "", "remove", { value: "-1" }));
      move.value = String(piles.indexOf(pile));
      move.addEventListener("change", () => shift(picture.id, piles[Number(move.value)]));
      item.append(thumbnail(picture), move);
      return item;
    }

    /** @param {number} id @param {Pile | undefined} to none: the photograph is removed */
    function shift(id, to) {
      const picture = found(id);
      if (!picture) return;
      for (const pile of piles) pile.pictures = pile.pictures.filter((p) => p !== picture);
      if (to) to.pictures.push(picture);
      else worker.postMessage({ kind: "forget", ids: [id] });
      reset();
      paint();
    }

    function paint() {
      shelf.replaceChildren(...piles.map((pile, i) => {
        const box = make("section", "hs-lab__pile", null, { "aria-label": `Pile ${i + 1}` });
        const name = make("input", "hs-lab__name", null, { type: "text", maxlength: "60", "aria-label": `Name of pile ${i + 1}` });
        name.value = pile.name;
        name.addEventListener("change", () => { pile.name = name.value.trim() || `Pile ${i + 1}`; paint(); });
        const input = make("input", "", null, { type: "file", multiple: "", accept: "image/*", "aria-label": `Photographs for ${pile.name}` });
        input.addEventListener("change", () => add(pile, [...input.files]));
        const list = make("ul", "hs-lab__cards");
        list.append(...pile.pictures.filter((p) => p.pixels).map((p) => card(pile, p)));
        box.append(name, make("p", "hs-lab__hint", `${counts()[i]} photographs. Drop, paste or choose more:`), input, list);
        if (piles.length > 2) box.append(button("Remove this pile", () => { worker.postMessage({ kind: "forget", ids: pile.pictures.map((p) => p.id) }); piles = piles.filter((p) => p !== pile); reset(); paint(); }));
        box.addEventListener("dragover", (/** @type {DragEvent} */ event) => event.preventDefault());
        box.addEventListener("drop", (/** @type {DragEvent} */ event) => {
          event.preventDefault();
          event.stopPropagation();
          const moved = /^hs-lab (\d+)$/.exec(event.dataTransfer?.getData("text/plain") ?? "");
          if (moved) shift(Number(moved[1]), pile);
          else add(pile, [...(event.dataTransfer?.files ?? [])]);
        });
        box.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => add(pile, [...(event.clipboardData?.files ?? [])]));
        return box;
      }));
      root.dataset.read = String(counts().reduce((a, b) => a + b, 0));
      root.dataset.refused = String(refused);
      root.dataset.waiting = String(waiting.size);
      const few = piles.filter((_, i) => counts()[i] < 2).map((pile) => pile.name);
      go.disabled = Boolean(waiting.size || few.length || network === "coming");
      go.textContent = network === "here" ? "Measure" : `Load the network (${root.dataset.megabytes} MB, part of this book) and measure`;
      if (waiting.size) say(`${waiting.size} files to look at.`);
      else if (few.length) say(`Two photographs or more are needed in ${few.map((n) => `“${n}”`).join(" and ")}${all().length ? "; a pile of one cannot be learned from and tested on" : ""}.`);
      else say(refused ? `${refused} files were refused; the rest is ready.` : "Ready.");
    }

    function start() {
      if (network === "here") { measure(); return; }
      network = "coming";
      paint();
      say(`Loading ${root.dataset.megabytes} MB …`);
      page.hsLabNetwork = async (/** @type {unknown} */ plan, /** @type {string} */ text) => {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
        const buffer = await new Response(stream).arrayBuffer();
        worker.postMessage({ kind: "network", buffer, plan }, [buffer]);
      };
      const script = make("script", "", null, { src: `${document.documentElement.dataset.content_root ?? ""}_static/lab/weights.js` });
      script.addEventListener("error", () => { network = "absent"; paint(); say("The file of the network is not part of this copy of the book: build the book with a connection once."); });
      document.head.append(script);
    }

    function measure() {
      const budgets = [1, 2, 4, 8, 16, 32].filter((n) => n <= Math.max(1, Math.floor((2 * Math.min(...counts())) / 3)));
      started = performance.now();
      out.replaceChildren();
      worker.postMessage({ kind: "measure", piles: piles.map((pile) => pile.pictures.map((p) => p.id)), budgets, draws: DRAWS });
    }

    /** @param {string} phase */
    function chart(phase) {
      const state = stateOf(result.ways, piles.length);
      const home = make("div", "hs-widget");
      const headline = make("p", "hs-lab__sentence", phase === "done" ? sentence(state, Math.min(...counts())) : "The small network is still learning from scratch …");
      out.replaceChildren(headline, home, ...warnings(), ...takeaway(state), holding());
      const values = /** @type {Record<string, any>} */ ({ state });
      page.hsWidgets.label_budget.render({ model: { get: (/** @type {string} */ k) => values[k], set: (/** @type {string} */ k, /** @type {unknown} */ v) => { values[k] = v; }, save_changes() {}, on() {} }, el: home });
      root.dataset[phase] = String(Math.round(performance.now() - started));
      root.dataset.state = phase;
    }

    /** What is wrong with the piles, in sentences. */
    function warnings() {
      const { twins, doubtful, easy, deep, guess } = result.cautions;
      const lines = [];
      const name = (/** @type {number} */ id) => found(id)?.name ?? "";
      if (twins.length) lines.push(`${twins.length} pairs look like the same photograph twice, which makes every way look better than it is: ${twins.slice(0, 5).map((/** @type {number[]} */ pair) => pair.map(name).join(" and ")).join("; ")}.`);
      if (easy > guess + 0.2 && easy >= deep - 0.02) lines.push(`Size, brightness and colour alone tell your piles apart in ${(100 * easy).toFixed(0)} % of the photographs, as well as the network does: the piles may differ in how they were taken.`);
      if (doubtful.length) lines.push(`Labels worth a second look: ${doubtful.slice(0, 8).map(name).join(", ")}.`);
      if (!lines.length) return [];
      const list = make("ul", "hs-lab__warnings");
      list.append(...lines.map((line) => make("li", "", line)));
      return [make("h2", "", "What may be wrong with the piles"), list];
    }

    /** @param {ReturnType<typeof stateOf>} state */
    function takeaway(state) {
      const row = make("div", "hs-lab__row");
      const [data] = state.datasets;
      row.append(
        button("The head (JSON)", () => save("head.json", "application/json", JSON.stringify({ backbone: "efficientnet-lite0", size: SIDE, classes: piles.map((p) => p.name), ...result.head }))),
        button("The numbers (CSV)", () => save("numbers.csv", "text/csv", ["way,n,mean,lo,hi", ...data.strategies.flatMap((s) => s.n.map((n, i) => [s.id, n, s.mean[i], s.lo[i], s.hi[i]].join(",")))].join("\n"))),
      );
      return [make("h2", "", "Take it away"), row];
    }

    function holding() {
      const box = make("div", "");
      const input = make("input", "", null, { type: "file", accept: "image/*", "aria-label": "A new photograph" });
      const answer = make("div", "hs-lab__answer", null, { role: "status" });
      input.addEventListener("change", () => {
        const [file] = input.files;
        if (!file) return;
        const id = look(file, file.name, ({ kind }) => { if (kind === "looked") worker.postMessage({ kind: "hold", id }); });
      });
      held = (message) => {
        const words = `“${piles[message.answer].name}”. Of the ${message.of} photographs that were left out in turn and decided by about this lead, ${message.right} were right. Most alike:`;
        const row = make("div", "hs-lab__row");
        row.append(...message.alike.map(({ id }) => { const p = found(id); return p ? thumbnail(p) : ""; }));
        answer.replaceChildren(make("p", "", words), row);
        worker.postMessage({ kind: "forget", ids: [message.id] });
      };
      box.append(make("h2", "", "Hold a new photograph in"), input, answer);
      return box;
    }
    /** @type {(message: {answer: number, of: number, right: number, id: number, alike: {id: number}[]}) => void} */
    let held = () => {};

    worker.onmessage = ({ data }) => {
      if (data.kind === "ready") { network = "here"; paint(); measure(); }
      else if (data.kind === "features") {
        say(`The network has looked at ${data.done} of ${data.of} photographs.`);
        if (data.busy) root.dataset.busy = String(data.busy);
      } else if (data.kind === "curve") { result = data; chart("curve"); }
      else if (data.kind === "training") say(`From scratch: ${data.done} of ${data.of} trainings done.`);
      else if (data.kind === "done") { result = { ...result, ways: data.ways }; chart("done"); say("Done."); }
      else if (data.kind === "held") held(data);
      else if (data.kind === "failed") say(`The measurement stopped: ${data.reason}.`);
      else {
        const then = waiting.get(data.id);
        waiting.delete(data.id);
        then?.(data);
      }
    };
    // A file dropped beside the piles must not replace the page.
    for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
    paint();
  }

  for (const root of document.querySelectorAll("[data-lab]")) if (root instanceof HTMLElement) lab(root);
})();
