// @ts-check
// The worker of the photo lab: everything that takes time. It is asked in messages and answers in messages.
//
// The page turns this function into the text of a worker, so it may use nothing from outside itself.
(/** @type {any} */ (globalThis)).hsLab ??= {};
(/** @type {any} */ (globalThis)).hsLab.work = (/** @type {any} */ tools, /** @type {any} */ scope, /** @type {number} */ side) => {
  const { advice, files, network, probe } = tools;
  /** @typedef {Float64Array[]} Table */
  /** @type {Map<number, any>} pictures by number: pixels, small, features and what the header said */
  const seen = new Map();
  const wanted = new Set(); // numbers of pictures that nobody has removed
  /** @type {any} */
  let kernel = null;
  /** @type {any} */
  let net = null;
  let ticket = 0;
  /** @type {any} */
  let head = null;
  const pause = () => new Promise((done) => { setTimeout(done, 0); });

  /** @param {string} text base64 */
  function bytes(text) {
    const letters = atob(text);
    const out = new Uint8Array(letters.length);
    for (let i = 0; i < out.length; i += 1) out[i] = letters.charCodeAt(i);
    return out;
  }

  /** @param {{plan: any, text: string, wasm: string}} given */
  async function arrive({ plan, text, wasm }) {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    kernel = network.kernel(bytes(wasm));
    net = network.network(await new Response(stream).arrayBuffer(), plan, kernel);
    scope.postMessage({ kind: "ready" });
  }

  /** Eight numbers that know nothing of what is shown. @param {any} picture */
  function trivial({ small, width, height, bytes: length }) {
    const means = [0, 1, 2].map((c) => small.reduce((/** @type {number} */ s, /** @type {number} */ v, /** @type {number} */ i) => s + (i % 3 === c ? v : 0), 0) / 1024);
    const grey = (means[0] + means[1] + means[2]) / 3;
    const spread = Math.sqrt(small.reduce((/** @type {number} */ s, /** @type {number} */ v) => s + (v - grey) ** 2, 0) / small.length);
    return [Math.log(width), Math.log(height), Math.log(width / height), Math.log(length), ...means, spread];
  }

  /** How often trivial numbers tell the piles apart, each photograph left out in turn. @param {number[]} ids
   * @param {number[]} y @param {number} classes */
  function easy(ids, y, classes) {
    const rows = ids.map((id) => trivial(seen.get(id)));
    const columns = rows[0].map((_, d) => {
      const mean = rows.reduce((s, row) => s + row[d], 0) / rows.length;
      return { mean, spread: Math.sqrt(rows.reduce((s, row) => s + (row[d] - mean) ** 2, 0) / rows.length) };
    });
    // A number that hardly differs says nothing: its scale would be noise.
    const scaled = rows.map((row) => row.map((v, d) => (columns[d].spread > 1e-6 ? (v - columns[d].mean) / columns[d].spread : 0)));
    const all = ids.map((_, i) => i);
    return rightLeftOut(probe.fit(probe.gram(scaled), y, all, classes), y, classes);
  }

  /** @param {any} fitted @param {number[]} y @param {number} classes */
  const rightLeftOut = (fitted, y, classes) =>
    probe.accuracy(fitted.left.map((/** @type {Float64Array} */ row) => probe.largest([...row])), y, fitted.rows, classes);

  /** The features of photographs, as far as they are not known. False: another measurement has begun.
   * @param {number[]} ids @param {number} mine */
  async function look(ids, mine) {
    let [busy, fresh] = [0, 0];
    for (const [i, id] of ids.entries()) {
      const picture = seen.get(id);
      if (!picture.features) {
        const start = performance.now();
        picture.features = net(picture.pixels);
        picture.pixels = null; // 110 kB a photograph
        busy += performance.now() - start;
        fresh += 1;
      }
      if (i % 8 === 7 || i + 1 === ids.length) {
        scope.postMessage({ kind: "features", done: i + 1, of: ids.length, each: fresh ? busy / fresh : 0 });
        await pause();
        if (mine !== ticket) return false;
      }
    }
    return true;
  }

  /** @param {{piles: number[][], loose: number[], budgets: number[], draws: number}} order */
  async function measure({ piles, loose, budgets, draws }) {
    const mine = (ticket += 1);
    const ids = piles.flat();
    const y = piles.flatMap((pile, c) => pile.map(() => c));
    const classes = piles.length;
    if (!await look([...ids, ...loose], mine)) return;
    const x = ids.map((id) => seen.get(id).features);
    const products = probe.gram(x);
    const pixels = probe.gram(ids.map((id) => seen.get(id).small));
    const orders = Array.from({ length: draws }, (_, seed) => probe.nested(y, budgets[budgets.length - 1], seed));
    const seeds = orders.map((_, i) => i);
    /** The photographs of a draw, and all others. @param {number} seed @param {number} n */
    const split = (seed, n) => {
      const rows = orders[seed].slice(0, n * classes);
      return { rows, test: y.flatMap((_, i) => (rows.includes(i) ? [] : [i])) };
    };
    /** One way of learning on every draw and budget. @param {(rows: number[], test: number[]) => number[]} learn */
    const scored = (learn) => seeds.map((seed) => budgets.map((n) => {
      const { rows, test } = split(seed, n);
      return probe.accuracy(learn(rows, test), y, test, classes);
    }));
    const ridge = (/** @type {Table} */ known) => scored((rows, test) => {
      const made = probe.fit(known, y, rows, classes);
      return test.map((t) => probe.largest(probe.scores(made, known[t])));
    });
    const ways = [
      { id: "probe", label: "linear probe on the network", n: budgets, draws: ridge(products) },
      { id: "mean", label: "nearest mean on the network", n: budgets, draws: scored((rows, test) => probe.nearestMean(products, y, rows, test, classes)) },
      { id: "scratch", label: "raw pixels", n: budgets, draws: ridge(pixels) },
    ];
    head = headOf(ids, y, x, products, classes);
    scope.postMessage({ kind: "curve", ways, cautions: cautions(head, products, classes), next: next(loose),
      head: { temperature: head.factor, lambda: head.fitted.lambda, weight: head.weight, bias: head.bias } });
    const planes = ids.map((id) => seen.get(id).small.map((/** @type {number} */ v) => v / 127.5 - 1));
    /** @type {number[][]} */
    const scratch = seeds.map(() => []);
    for (const seed of seeds) for (const n of budgets) {
      await pause();
      if (mine !== ticket) return;
      const { rows, test } = split(seed, n);
      const cnn = probe.smallCNN({ classes, seed, tools: { kernel, surroundings: network.surroundings } });
      cnn.train(rows.map((/** @type {number} */ j) => planes[j]), rows.map((/** @type {number} */ j) => y[j]));
      scratch[seed].push(probe.accuracy(test.map((t) => cnn.predict(planes[t])), y, test, classes));
      scope.postMessage({ kind: "training", done: scratch.flat().length, of: seeds.length * budgets.length });
    }
    ways.splice(2, 0, { id: "scratch_small", label: "small network from scratch", n: budgets, draws: scratch });
    scope.postMessage({ kind: "done", ways });
  }

  /** The probe on all photographs, as a linear layer. @param {number[]} ids @param {number[]} y @param {Table} x
   * @param {Table} products @param {number} classes */
  function headOf(ids, y, x, products, classes) {
    const fitted = probe.fit(products, y, ids.map((_, i) => i), classes);
    return { ids, y, x, fitted, ...probe.linear(fitted, x), factor: advice.temperature(fitted.left, y) };
  }

  /** What is wrong with the piles. @param {any} known @param {Table} products @param {number} classes */
  function cautions({ ids, y, fitted, factor }, products, classes) {
    const p = fitted.left.map((/** @type {Float64Array} */ row) => advice.softmax(row, factor));
    return {
      twins: advice.twins(products).map((/** @type {number[]} */ pair) => pair.map((i) => ids[i])),
      doubtful: advice.labelErrors(p, y).map((/** @type {number} */ i) => ids[i]),
      easy: easy(ids, y, classes), deep: rightLeftOut(fitted, y, classes), guess: 1 / classes,
    };
  }

  const dot = (/** @type {Float64Array} */ a, /** @type {Float64Array} */ b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
  /** @param {Float64Array} x */
  const said = (x) => head.bias.map((/** @type {number} */ base, /** @type {number} */ c) => base + dot(x, head.weight[c]));

  /** Which photographs without a label are worth one: the answer so far, and how sure it is. @param {number[]} loose */
  function next(loose) {
    if (!loose.length) return [];
    const x = loose.map((id) => seen.get(id).features);
    const p = x.map((row) => advice.softmax(said(row), head.factor));
    return advice.nextLabels(p, x, 6).map((/** @type {number} */ i) => ({ id: loose[i], answer: probe.largest(p[i]), sure: Math.max(...p[i]) }));
  }

  /** The answer for a new picture, how often such a lead was right, and the three most alike. @param {number} id */
  function held(id) {
    if (!head || !seen.has(id)) return;
    const x = net(seen.get(id).pixels);
    const lead = (/** @type {ArrayLike<number>} */ list) => { const [a, b] = Array.from(list).sort((p, q) => q - p); return a - b; };
    const scores = said(x);
    const mine = lead(scores);
    const as = head.fitted.left.map((/** @type {Float64Array} */ row, /** @type {number} */ i) => ({ lead: lead(row), right: probe.largest([...row]) === head.y[i] }))
      .sort((/** @type {any} */ a, /** @type {any} */ b) => Math.abs(a.lead - mine) - Math.abs(b.lead - mine)).slice(0, 10);
    const alike = head.ids.map((/** @type {number} */ other, /** @type {number} */ i) => ({ id: other, cosine: dot(head.x[i], x) / Math.sqrt(dot(x, x) * dot(head.x[i], head.x[i])) }))
      .sort((/** @type {any} */ a, /** @type {any} */ b) => b.cosine - a.cosine).slice(0, 3);
    const p = advice.softmax(scores, head.factor);
    scope.postMessage({ kind: "held", id, answer: probe.largest(p), sure: Math.max(...p), right: as.filter((/** @type {any} */ o) => o.right).length, of: as.length, alike });
  }

  /** @param {number} id @param {Blob} file */
  async function read(id, file) {
    try {
      const picture = await files.decode(file, side, network.resizer);
      if (!wanted.has(id)) throw new Error("it was removed");
      seen.set(id, picture);
      const pixels = new Uint8ClampedArray(4 * side * side).fill(255);
      for (let i = 0; i < picture.pixels.length; i += 1) pixels[4 * Math.floor(i / 3) + (i % 3)] = picture.pixels[i];
      scope.postMessage({ kind: "looked", id, pixels, moving: picture.moving }, [pixels.buffer]);
    } catch (error) {
      scope.postMessage({ kind: "refused", id, reason: error instanceof Error ? error.message : String(error) });
    }
  }

  const failed = (/** @type {Error} */ error) => scope.postMessage({ kind: "failed", reason: error.message });
  let line = Promise.resolve();
  scope.onmessage = (/** @type {MessageEvent} */ { data }) => {
    if (data.kind === "network") arrive(data).catch(failed);
    else if (data.kind === "forget") {
      for (const id of data.ids) {
        seen.delete(id);
        wanted.delete(id);
      }
    } else if (data.kind === "stop") ticket += 1;
    else if (data.kind === "measure") measure(data).catch(failed);
    else if (data.kind === "hold") held(data.id);
    else {
      wanted.add(data.id);
      line = line.then(() => read(data.id, data.file)); // one after the other: decoded pictures are large
    }
  };
};
