// @ts-check
// The photo lab: piles of the reader's own photographs in, what a head start saves out. Nothing leaves the page.
(() => {
  /** @typedef {{id: number, name: string, file: File, card?: HTMLElement, pixels?: Uint8ClampedArray}} Picture RGBA, until
   * they are drawn on the card */
  /** @typedef {{name: string, loose: boolean, pictures: Picture[], box?: any}} Pile loose: photographs without a label */
  const page = /** @type {any} */ (globalThis);
  const SIDE = 96;
  const DRAWS = 10;
  const ENGINE = ["advice", "chart", "files", "network", "probe", "worker"];
  const TRAY = "without a label";

  // ---------------------------------------------------------------- scripts and nodes

  /** A classic script of the lab: a page opened from disk may not import modules. @param {string} name */
  const load = (name) => new Promise((done, fail) => {
    const script = make("script", "", null, { src: `${document.documentElement.dataset.content_root ?? ""}_static/lab/${name}.js` });
    script.addEventListener("load", done);
    script.addEventListener("error", () => fail(new Error(name)));
    document.head.append(script);
  });

  /** The worker, from the text of its parts: no file is asked for, so it also starts in a page opened from disk. */
  async function hire() {
    await Promise.all(ENGINE.map(load));
    const { advice, files, network, probe, work } = page.hsLab;
    const parts = Object.entries({ advice, files, network, probe }).map(([name, part]) => `${name}: (${part})()`);
    const text = `"use strict";(${work})({${parts}}, self, ${SIDE});`;
    return new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  }

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

  /** @param {string} label @param {(files: File[]) => void} take @param {boolean} [many] */
  function chooser(label, take, many = true) {
    const input = make("input", "", null, { type: "file", accept: "image/*", "aria-label": label, ...(many ? { multiple: "" } : {}) });
    input.addEventListener("change", () => take([...input.files]));
    return input;
  }

  /** @param {string} name @param {string} type @param {string} text */
  function save(name, type, text) {
    const link = make("a", "", "", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /** @param {Picture} picture */
  function thumbnail(picture) {
    const canvas = make("canvas", "hs-lab__thumb", null, { width: String(SIDE), height: String(SIDE), role: "img", "aria-label": picture.name, title: picture.name });
    const first = picture.card?.querySelector("canvas");
    if (first) canvas.getContext("2d").drawImage(first, 0, 0);
    else if (picture.pixels) canvas.getContext("2d").putImageData(new ImageData(/** @type {any} */ (picture.pixels), SIDE, SIDE), 0, 0);
    return canvas;
  }

  // ---------------------------------------------------------------- what the reader asked to keep, in this browser

  const kept = {
    flag: "hs-lab",
    /** @returns {Promise<IDBObjectStore>} */
    open: () => new Promise((done, fail) => {
      const request = indexedDB.open("hs-lab", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("piles");
      request.onsuccess = () => done(request.result.transaction("piles", "readwrite").objectStore("piles"));
      request.onerror = () => fail(request.error);
    }),
    wished() { try { return localStorage.getItem(kept.flag) === "kept"; } catch { return false; } },
    /** @param {Pile[]} piles */
    async write(piles) {
      localStorage.setItem(kept.flag, "kept");
      const store = await kept.open();
      store.put(piles.map(({ name, loose, pictures }) => ({ name, loose, files: pictures.map((p) => p.file) })), "all");
      return new Promise((done, fail) => {
        store.transaction.oncomplete = done;
        store.transaction.onabort = () => fail(store.transaction.error);
      });
    },
    /** @returns {Promise<{name: string, loose: boolean, files: File[]}[]>} */
    async read() {
      const request = (await kept.open()).get("all");
      return new Promise((done) => { request.onsuccess = () => done(request.result ?? []); });
    },
    async forget() {
      try { localStorage.removeItem(kept.flag); } catch { return; }
      (await kept.open()).clear();
    },
  };

  // ---------------------------------------------------------------- the lab

  /** @param {HTMLElement} root */
  function lab(root) {
    /** @type {Promise<Worker> | null} */
    let hired = null;
    /** @type {Pile[]} */
    let piles = [];
    /** @type {Map<number, Picture>} */
    const known = new Map();
    /** @type {Map<number, (message: any) => void>} */
    const waiting = new Map();
    /** @type {{id: number, file: File}[]} */
    const queue = [];
    let [ids, flying, refused, started, writing] = [0, 0, 0, 0, 0];
    let network = "absent";
    /** @type {any} what was measured, the names of its piles, and where it is shown */
    let result = null;
    /** @type {Pile | null} where a pasted photograph goes */
    let last = null;

    const shelf = make("div", "hs-lab__piles");
    const status = make("p", "hs-lab__status", "", { role: "status" });
    const notes = make("ul", "hs-lab__troubles", null, { "aria-label": "What was said about files" });
    const go = button("", start, "hs-lab__go");
    const out = make("div", "hs-lab__out");
    const samples = make("div", "hs-lab__row");
    samples.append(make("span", "", "No photographs at hand?"), ...(root.dataset.samples ?? "").split("|").filter(Boolean).map((title, i) => button(title, () => ready(i))));
    const keep = make("input", "", null, { type: "checkbox" });
    const keeping = make("label", "hs-lab__keep");
    keeping.append(keep, " Keep these photographs in this browser; otherwise nothing is stored.");
    const tools = make("div", "hs-lab__row");
    tools.append(button("Add a pile", () => { grow(`Pile ${labelled().length + 1}`); changed(); }), button("Clear all", clear), keeping);
    root.append(samples, shelf, tools, go, status, notes, out);

    const labelled = () => piles.filter((pile) => !pile.loose);
    const tray = () => /** @type {Pile} */ (piles.find((pile) => pile.loose));
    const seen = (/** @type {Pile} */ pile) => pile.pictures.filter((p) => p.card);
    const counts = () => labelled().map((pile) => seen(pile).length);
    const photographs = (/** @type {number} */ n) => (n === 1 ? "1 photograph" : `${n} photographs`);

    /** @param {string} words */
    function say(words) { status.textContent = words; }

    /** @param {any} message @param {Transferable[]} [transfer] */
    function post(message, transfer = []) {
      hired ??= hire().then((worker) => { worker.onmessage = ({ data }) => answer(data); return worker; });
      hired.then((worker) => worker.postMessage(message, transfer), ({ message: name }) => say(`The script ${name}.js of this page could not be read: build the book again.`));
    }

    /** Hand a few files over at a time: 300 at once would block the page. */
    function feed() {
      while (flying < 4 && queue.length) {
        flying += 1;
        post({ kind: "look", ...queue.shift() });
      }
    }

    /** Look at a file in the worker. @param {File} file @param {(message: any) => void} then */
    function look(file, then) {
      const id = (ids += 1);
      waiting.set(id, (message) => {
        if (message.kind === "refused") {
          refused += 1;
          notes.append(make("li", "", `${file.name} was not read: ${message.reason}.`));
        } else if (message.moving) notes.append(make("li", "", `${file.name} moves; only its first picture is used.`));
        then(message);
      });
      queue.push({ id, file });
      feed();
      return id;
    }

    /** A new pile on the shelf, before the tray. @param {string} name @param {boolean} [loose] */
    function grow(name, loose = false) {
      /** @type {Pile} */
      const pile = { name, loose, pictures: [] };
      piles.splice(loose ? piles.length : labelled().length, 0, pile);
      const box = make("section", `hs-lab__pile${loose ? " hs-lab__pile--loose" : ""}`);
      const title = loose ? make("p", "hs-lab__title", "Without a label (optional)") : make("input", "hs-lab__name", null, { type: "text", maxlength: "60" });
      title.value = name;
      title.addEventListener("change", () => {
        const wish = title.value.trim() || name;
        pile.name = piles.some((other) => other !== pile && other.name === wish) ? `${wish} (${labelled().indexOf(pile) + 1})` : wish;
        title.value = pile.name;
        changed();
      });
      const hint = make("p", "hs-lab__hint");
      const input = chooser("", (files) => add(pile, files));
      const list = make("ul", "hs-lab__cards");
      const row = make("div", "hs-lab__row");
      const shoot = button("Camera", () => camera(pile));
      shoot.hidden = !cameras;
      row.append(input, shoot);
      const gone = button("Remove this pile", () => { drop(pile.pictures); piles = piles.filter((p) => p !== pile); changed(); });
      box.append(title, hint, row, list, gone);
      box.addEventListener("focusin", () => { last = pile; });
      box.addEventListener("dragover", (/** @type {DragEvent} */ event) => event.preventDefault());
      box.addEventListener("drop", (/** @type {DragEvent} */ event) => {
        event.preventDefault();
        const moved = /^hs-lab (\d+)$/.exec(event.dataTransfer?.getData("text/plain") ?? "");
        if (moved) shift(Number(moved[1]), pile);
        else add(pile, [...(event.dataTransfer?.files ?? [])]);
      });
      pile.box = { box, title, hint, input, shoot, list, gone };
      return pile;
    }

    /** @param {Pile} pile @param {File[]} files */
    function add(pile, files) {
      if (!files.length) return;
      for (const file of files) {
        /** @type {Picture} */
        const picture = { id: 0, name: file.name, file };
        pile.pictures.push(picture);
        picture.id = look(file, ({ kind, pixels }) => {
          const home = piles.find((one) => one.pictures.includes(picture)) ?? pile;
          if (kind === "refused") drop([picture]);
          else {
            picture.pixels = pixels;
            home.box.list.append(card(picture));
            delete picture.pixels;
          }
          count();
        });
        known.set(picture.id, picture);
      }
      changed();
    }

    /** @param {number} which ready-made piles */
    async function ready(which) {
      if (!page.hsLab?.samples) await load("samples");
      clear();
      page.hsLab.samples[which].piles.forEach((/** @type {any} */ { name, pictures }, /** @type {number} */ i) => {
        const pile = labelled()[i];
        pile.name = pile.box.title.value = name;
        add(pile, pictures.map((/** @type {string} */ text, /** @type {number} */ j) => new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], `${name} ${j + 1}`, { type: "image/png" })));
      });
    }

    /** Photographs leave. @param {Picture[]} pictures */
    function drop(pictures) {
      if (pictures.length) post({ kind: "forget", ids: pictures.map((p) => p.id) });
      for (const picture of pictures) {
        const place = queue.findIndex(({ id }) => id === picture.id);
        if (place >= 0) queue.splice(place, 1);
        waiting.delete(picture.id);
        known.delete(picture.id);
        picture.card?.remove();
        for (const pile of piles) if (pile.pictures.includes(picture)) pile.pictures = pile.pictures.filter((p) => p !== picture);
      }
    }

    /** What was measured is of other piles now. */
    function changed() {
      if (hired) post({ kind: "stop" });
      if (root.dataset.state) root.dataset.state = "stale";
      if (result) result.parts.stale.hidden = false;
      keepLater();
      paint();
    }

    function clear() {
      drop([...known.values()]);
      piles = [];
      [refused, last, result] = [0, null, null];
      notes.replaceChildren();
      out.replaceChildren();
      delete root.dataset.state;
      grow("Pile 1");
      grow("Pile 2");
      grow(TRAY, true);
      changed();
    }

    function keepLater() {
      clearTimeout(writing);
      delete root.dataset.kept;
      if (keep.checked) writing = setTimeout(() => kept.write(piles).then(() => { root.dataset.kept = "yes"; }, (error) => say(`The browser could not keep them: ${error}.`)), 300);
    }
    keep.addEventListener("change", () => {
      keepLater();
      if (!keep.checked) kept.forget().then(() => { root.dataset.kept = "no"; }, (error) => say(`The browser could not forget them: ${error}.`));
    });

    /** @param {Picture} picture */
    function card(picture) {
      const item = make("li", "hs-lab__card", null, { draggable: "true" });
      item.addEventListener("dragstart", (/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/plain", `hs-lab ${picture.id}`));
      const gone = button("×", () => shift(picture.id, undefined), "hs-lab__gone");
      gone.setAttribute("aria-label", `Remove ${picture.name}`);
      item.append(thumbnail(picture), mover(picture), gone);
      picture.card = item;
      return item;
    }

    /** A list of places for a photograph, made when it is opened: 300 lists of names would take long.
     * @param {Picture} picture */
    function mover(picture) {
      const move = make("select", "hs-lab__move", null, { "aria-label": `Place of ${picture.name}` });
      const fill = () => {
        const here = piles.find((pile) => pile.pictures.includes(picture));
        move.replaceChildren(...piles.map((pile, i) => make("option", "", pile.name, { value: String(i) })));
        move.value = String(here ? piles.indexOf(here) : -1);
      };
      move.append(make("option", "", "move …"));
      for (const name of ["focus", "pointerdown"]) move.addEventListener(name, fill);
      move.addEventListener("change", () => shift(picture.id, piles[Number(move.value)]));
      return move;
    }

    /** @param {number} id @param {Pile | undefined} to none: the photograph is removed */
    function shift(id, to) {
      const picture = known.get(id);
      if (!picture) return;
      if (to) {
        for (const pile of piles) pile.pictures = pile.pictures.filter((p) => p !== picture);
        to.pictures.push(picture);
        if (picture.card) to.box.list.append(picture.card);
        picture.card?.querySelector("select")?.focus();
      } else {
        const from = piles.find((pile) => pile.pictures.includes(picture));
        drop([picture]);
        from?.box.input.focus();
      }
      changed();
    }

    /** The shelf. */
    function paint() {
      const boxes = piles.map(({ box: { box } }) => box);
      if (boxes.some((box, i) => shelf.children[i] !== box) || shelf.children.length !== boxes.length) shelf.replaceChildren(...boxes);
      piles.forEach(({ name, loose, box: { box, title, input, gone } }, i) => {
        box.setAttribute("aria-label", loose ? "Photographs without a label" : `Pile ${i + 1}`);
        if (!loose) title.setAttribute("aria-label", `Name of pile ${i + 1}`);
        input.setAttribute("aria-label", `Photographs ${loose ? TRAY : `for ${name}`}`);
        gone.hidden = loose || labelled().length < 3;
      });
      count();
    }

    /** What has been read, and whether it is enough. */
    function count() {
      for (const pile of piles) {
        pile.box.hint.textContent = pile.loose ? `${photographs(seen(pile).length)}. The page says which of them is worth a label next.` : `${photographs(seen(pile).length)}. Drop, paste or choose more:`;
      }
      Object.assign(root.dataset, { read: counts().reduce((a, b) => a + b, 0), loose: seen(tray()).length, refused, waiting: waiting.size });
      const few = labelled().filter((pile) => seen(pile).length < 2).map((pile) => `“${pile.name}”`);
      go.disabled = Boolean(waiting.size || few.length || network === "coming");
      go.textContent = network === "here" ? "Measure" : `Load the network (${root.dataset.megabytes} MB, part of this book) and measure`;
      if (waiting.size) say(`${waiting.size} files to look at.`);
      else if (few.length) say(`Two photographs or more are needed in ${few.join(" and ")}${known.size ? "; a pile of one cannot be learned from and tested on" : ""}.`);
      else if (refused) say(`${refused === 1 ? "1 file was" : `${refused} files were`} refused; the rest is ready.`);
      else say("Ready.");
    }

    function start() {
      started = performance.now();
      if (network === "here") { measure(); return; }
      network = "coming";
      count();
      say(`Loading ${root.dataset.megabytes} MB …`);
      page.hsLabNetwork = (/** @type {any} */ plan, /** @type {string} */ text, /** @type {string} */ wasm) => post({ kind: "network", plan, text, wasm });
      load("weights").catch(() => { network = "absent"; count(); say("The file of the network is not part of this copy of the book: build the book with a connection once."); });
    }

    function measure() {
      const budgets = [1, 2, 4, 8, 16, 32].filter((n) => n <= Math.max(1, Math.floor((2 * Math.min(...counts())) / 3)));
      result = { names: labelled().map((pile) => pile.name), fewest: Math.min(...counts()) };
      out.replaceChildren();
      root.dataset.state = "busy";
      post({ kind: "measure", piles: labelled().map((pile) => seen(pile).map((p) => p.id)), loose: seen(tray()).map((p) => p.id), budgets, draws: DRAWS });
    }

    // ---------------------------------------------------------------- what was measured

    /** The chart, and with the first one everything beside it. @param {"curve" | "done"} phase @param {any[]} ways */
    function show(phase, ways) {
      const { csv, picture, sentence, stateOf } = (page.hsLab.tools ??= page.hsLab.chart());
      const state = stateOf(ways, result.names.length);
      result.parts ??= parts(() => csv(result.state), picture);
      const { headline, home } = result.parts;
      result.state = state;
      headline.textContent = phase === "done" ? sentence(state, result.fewest) : "The small network is still learning from scratch …";
      const n = home.querySelector("[data-n]")?.dataset.n;
      home.replaceChildren();
      budgetChart(home, { state, ...(n ? { n: Number(n) } : {}) });
      root.dataset[phase] = String(Math.round(performance.now() - started));
      root.dataset.state = phase;
    }

    /** Chapter 01's chart. @param {HTMLElement} el @param {Record<string, any>} values */
    function budgetChart(el, values) {
      const model = { get: (/** @type {string} */ k) => values[k], set: (/** @type {string} */ k, /** @type {unknown} */ v) => { values[k] = v; }, save_changes() {}, on() {} };
      page.hsWidgets.label_budget.render({ model, el });
    }

    /** The chart as a file, drawn anew where there is room for the names of its lines. @param {(chart: SVGSVGElement) => string} picture */
    function exported(picture) {
      const room = make("div", "hs-widget hs-lab__room");
      root.append(room);
      budgetChart(room, { state: result.state });
      const text = picture(/** @type {SVGSVGElement} */ (room.querySelector(".hs-kit__chart")));
      room.remove();
      return text;
    }

    /** @param {() => string} csv @param {(chart: SVGSVGElement) => string} picture */
    function parts(csv, picture) {
      const headline = make("p", "hs-lab__sentence");
      const stale = make("p", "hs-lab__hint", "The piles have changed since this was measured.");
      stale.hidden = true;
      const home = make("div", "hs-widget");
      const { names, head } = result;
      const about = { kind: "images", backbone: "efficientnet-lite0", size: SIDE, classes: names, ...head };
      const take = make("div", "hs-lab__row");
      take.append(
        button("The head (JSON)", () => save("head.json", "application/json", JSON.stringify(about))),
        button("The numbers (CSV)", () => save("numbers.csv", "text/csv", csv())),
        button("The chart (SVG)", () => save("chart.svg", "image/svg+xml", exported(picture))),
      );
      const use = make("p", "hs-lab__hint", "With the course's package installed, transferlib predict head.json new.jpg answers for a new photograph as this page does.");
      out.replaceChildren(headline, stale, home, ...warnings(), ...worthLabelling(), make("h2", "", "Hold a new photograph in"), holding(), make("h2", "", "Take it away"), take, use);
      return { headline, stale, home };
    }

    /** Photographs in a row, each with words. @param {number[]} which @param {(id: number, i: number) => string} words
     * @param {boolean} [moved] with a list of places */
    function gallery(which, words, moved = false) {
      const list = make("ul", "hs-lab__cards hs-lab__cards--wide");
      which.forEach((id, i) => {
        const one = known.get(id);
        if (!one) return;
        const item = make("li", "hs-lab__card");
        item.append(thumbnail(one), make("small", "", words(id, i)), ...(moved ? [mover(one)] : []));
        list.append(item);
      });
      return list;
    }

    const percent = (/** @type {number} */ v) => `${(100 * v).toFixed(0)} %`;
    // A dozen photographs that are told apart without a mistake do not make anything certain.
    const surely = (/** @type {number} */ v) => (v > 0.99 ? "more than 99 % sure" : `${percent(v)} sure`);
    const named = (/** @type {number} */ id) => known.get(id)?.name ?? "";
    const pileOf = (/** @type {number} */ id) => labelled().find((pile) => pile.pictures.some((p) => p.id === id))?.name ?? "";

    /** What is wrong with the piles, in sentences and pictures. */
    function warnings() {
      const { twins, doubtful, easy, deep, guess } = result.cautions;
      const found = [];
      if (twins.length) {
        const some = twins.slice(0, 4);
        found.push(make("p", "", `${twins.length === 1 ? "One pair looks" : `${twins.length} pairs look`} like the same photograph twice, which makes every way look better than it is${twins.length > 4 ? "; four of them" : ""}:`),
          gallery(some.flat(), named));
      }
      if (easy > guess + 0.2 && easy >= deep - 0.02) found.push(make("p", "", `Size, brightness and colour alone tell your piles apart in ${percent(easy)} of the photographs, as well as the network does: the piles may differ in how they were taken.`));
      if (doubtful.length) {
        found.push(make("p", "", "Labels worth a second look; the other photographs speak for another pile:"),
          gallery(doubtful.slice(0, 8), (id) => `in “${pileOf(id)}”`, true));
      }
      return found.length ? [make("h2", "", "What may be wrong with the piles"), ...found] : [];
    }

    function worthLabelling() {
      const list = result.next;
      if (!list.length) return [];
      return [make("h2", "", "What to label next"),
        make("p", "", `Of your photographs ${TRAY}, the probe is unsure of these, and they are unlike one another. Put each into its pile, and measure again.`),
        gallery(list.map((/** @type {any} */ one) => one.id), (_, i) => `“${result.names[list[i].answer]}”? ${surely(list[i].sure)}`, true)];
    }

    function holding() {
      const box = make("div", "");
      const reply = make("div", "hs-lab__answer", null, { role: "status" });
      const { names } = result;
      const input = chooser("A new photograph", ([file]) => {
        if (!file) return;
        reply.replaceChildren("Looking …");
        const id = look(file, ({ kind }) => {
          if (kind === "looked") post({ kind: "hold", id });
          else reply.replaceChildren("It was not read.");
          count();
        });
      }, false);
      held = ({ id, answer: pile, sure, right, of, alike }) => {
        const words = `“${names[pile]}”, ${surely(sure)}. Of the ${of} photographs that were left out in turn and decided by about this lead, ${right} were right. Most alike:`;
        reply.replaceChildren(make("p", "", words), gallery(alike.map((one) => one.id), (other, i) => `${pileOf(other)}, ${alike[i].cosine.toFixed(2)}`));
        post({ kind: "forget", ids: [id] });
      };
      box.append(input, reply);
      return box;
    }
    /** @type {(message: {id: number, answer: number, sure: number, right: number, of: number, alike: {id: number, cosine: number}[]}) => void} */
    let held = () => {};

    /** @param {any} data */
    function answer(data) {
      if (data.kind === "ready") {
        network = "here";
        count();
        measure();
      } else if (data.kind === "features") {
        say(`The network has looked at ${data.done} of ${data.of} photographs.`);
        if (data.each) root.dataset.each = data.each.toFixed(1);
      } else if (data.kind === "curve") {
        Object.assign(result, data);
        show("curve", data.ways);
      } else if (data.kind === "training") say(`From scratch: ${data.done} of ${data.of} trainings done.`);
      else if (data.kind === "done") {
        show("done", data.ways);
        say("Done.");
      } else if (data.kind === "held") held(data);
      else if (data.kind === "failed") say(`The measurement stopped: ${data.reason}.`);
      else {
        flying -= 1;
        feed();
        const then = waiting.get(data.id);
        waiting.delete(data.id);
        then?.(data);
      }
    }

    // ---------------------------------------------------------------- camera, paste, and what was kept

    let cameras = false;
    /** @param {Pile} pile */
    async function camera(pile) {
      let stream;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      } catch {
        say("The browser gave no camera.");
        return;
      }
      const dialog = make("dialog", "hs-lab__camera", null, { "aria-label": "Camera" });
      const video = make("video", "", null, { autoplay: "", muted: "", playsinline: "", width: "320" });
      video.srcObject = stream;
      let taken = 0;
      const row = make("div", "hs-lab__row");
      row.append(button("Take a photograph", () => {
        const canvas = make("canvas", "", null, { width: String(video.videoWidth), height: String(video.videoHeight) });
        canvas.getContext("2d").drawImage(video, 0, 0);
        canvas.toBlob((/** @type {Blob} */ blob) => add(pile, [new File([blob], `camera ${(taken += 1)}`, { type: "image/png" })]));
      }), button("Close the camera", () => dialog.close()));
      dialog.addEventListener("close", () => {
        for (const track of stream.getTracks()) track.stop();
        dialog.remove();
      });
      dialog.append(video, row);
      root.append(dialog);
      dialog.showModal();
    }

    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) add(last && piles.includes(last) ? last : labelled()[0], files);
    });
    // A file dropped beside the piles must not replace the page.
    for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());

    async function findCamera() {
      cameras = (await navigator.mediaDevices.enumerateDevices()).some((device) => device.kind === "videoinput");
      for (const { box: { shoot } } of piles) shoot.hidden = !cameras;
    }

    async function wake() {
      if (!kept.wished()) return;
      keep.checked = true;
      const piled = await kept.read();
      if (!piled.length) return;
      piles = [];
      const places = piled.map(({ name, loose }) => grow(name, loose));
      changed();
      piled.forEach(({ files }, i) => add(places[i], files));
    }
    clear();
    findCamera().catch(() => {}); // none, then
    wake().catch((error) => say(`What was kept could not be read: ${error}.`));
  }

  for (const root of document.querySelectorAll("[data-lab]")) if (root instanceof HTMLElement) lab(root);
})();
