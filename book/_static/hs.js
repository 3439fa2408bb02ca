// Head Start: reading depth, symbols or words, colour, search, explanations, progress.
// Runs in the head without defer: what the reader chose is in place before the first paint.
// Without this script every page still reads: menus are popovers, folded parts are <details>.
(() => {
  "use strict";
  const root = document.documentElement;
  const base = root.dataset.content_root || "./";
  const store = {
    get(key) { try { return localStorage.getItem(`hs-${key}`); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(`hs-${key}`, value); } catch { /* private window */ } },
  };
  const SETTINGS = { depth: ["1", "2", "3"], formulas: ["symbols", "words"], theme: ["light", "dark"] };
  const asked = new URLSearchParams(location.search);
  const make = (tag, css, text) => {
    const node = document.createElement(tag);
    if (css) node.className = css;
    if (text != null) node.textContent = text;
    return node;
  };

  // ---------------------------------------------------------------- before the first paint
  root.classList.add("hs-js");
  // A page opened from disk may not preload fonts; there they are near anyway.
  if (location.protocol.startsWith("http")) {
    for (const font of ["source-serif-4-latin-wght-normal", "source-sans-3-latin-wght-normal"]) {
      const link = make("link");
      Object.assign(link, { rel: "preload", as: "font", type: "font/woff2", crossOrigin: "", href: `${base}_static/vendor/fonts/${font}.woff2` });
      document.head.append(link);
    }
  }
  for (const [name, known] of Object.entries(SETTINGS)) {
    const wanted = [asked.get(name), store.get(name)].find((value) => known.includes(value));
    if (known.includes(asked.get(name))) store.set(name, asked.get(name));
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset[name] = wanted ?? (name === "theme" ? system : known[0]);
  }
  const unfold = (box) => { box.open = Number(box.dataset.depth) <= Number(root.dataset.depth); };
  const unfoldNew = (records) => {
    for (const { addedNodes } of records) for (const node of addedNodes) if (node.matches?.("details.hs-depth")) unfold(node);
  };
  const parsing = new MutationObserver(unfoldNew);
  parsing.observe(root, { childList: true, subtree: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    if (!store.get("theme")) root.dataset.theme = event.matches ? "dark" : "light";
  });

  function choose(name, value) {
    root.dataset[name] = value;
    store.set(name, value);
    if (name === "depth") document.querySelectorAll("details.hs-depth").forEach(unfold);
    if (name === "formulas") document.querySelectorAll(".hs-formula[data-flip]").forEach((f) => delete f.dataset.flip);
    if (name === "formulas") document.querySelectorAll(".hs-flip").forEach(nameFlip);
  }

  // ---------------------------------------------------------------- the bar
  function bar() {
    for (const field of document.querySelectorAll("[data-setting]")) {
      const name = field.dataset.setting;
      for (const input of field.querySelectorAll("input")) {
        input.checked = input.value === root.dataset[name];
        input.addEventListener("change", () => choose(name, input.value));
      }
    }
    const theme = document.querySelector(".hs-bar__theme");
    const pressed = () => theme.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
    theme.addEventListener("click", () => { choose("theme", root.dataset.theme === "dark" ? "light" : "dark"); pressed(); });
    pressed();
  }

  // ---------------------------------------------------------------- formulas
  function nameFlip(button) {
    const flipped = "flip" in button.parentElement.dataset;
    const words = (root.dataset.formulas === "words") !== flipped;
    button.textContent = words ? "in symbols" : "in words";
  }
  function formulas() {
    for (const formula of document.querySelectorAll(".hs-formula")) {
      const button = make("button", "hs-flip");
      button.type = "button";
      button.addEventListener("click", () => {
        if ("flip" in formula.dataset) delete formula.dataset.flip;
        else formula.dataset.flip = "";
        nameFlip(button);
      });
      formula.prepend(button);
      nameFlip(button);
      const light = (key, on) => {
        for (const node of formula.querySelectorAll("[data-sym]")) node.classList.toggle("hs-lit", on && node.dataset.sym === key);
      };
      for (const node of formula.querySelectorAll("[data-sym]")) {
        const key = node.dataset.sym;
        node.addEventListener("pointerenter", () => light(key, true));
        node.addEventListener("pointerleave", () => light(key, false));
        node.addEventListener("focusin", () => light(key, true));
        node.addEventListener("focusout", () => light(key, false));
      }
    }
  }

  // ---------------------------------------------------------------- explanations of terms and symbols
  const loaded = new Map();
  function load(file) {
    if (!loaded.has(file)) {
      loaded.set(file, new Promise((done, failed) => {
        const script = make("script");
        script.src = `${base}_static/${file}`;
        script.onload = done;
        script.onerror = failed;
        document.head.append(script);
      }));
    }
    return loaded.get(file);
  }
  function explanations() {
    const tip = make("div", "hs-tip");
    tip.id = "hs-tip";
    tip.setAttribute("role", "tooltip");
    tip.popover = "manual";
    document.body.append(tip);
    let anchor = null;
    let timer = 0;
    const hide = () => {
      clearTimeout(timer);
      anchor?.removeAttribute("aria-describedby");
      anchor = null;
      if (tip.matches(":popover-open")) tip.hidePopover();
    };
    const later = () => { clearTimeout(timer); timer = setTimeout(hide, 180); };
    async function show(link, at = link) {
      clearTimeout(timer);
      await load("hs-terms.js");
      const entry = window.hsTerms[decodeURIComponent(link.hash.slice(1))];
      if (!entry) return;
      if (anchor !== link) hide();
      tip.replaceChildren(make("b", "", entry[0]), document.createTextNode(entry[1]));
      anchor = link;
      link.setAttribute("aria-describedby", "hs-tip");
      if (!tip.matches(":popover-open")) tip.showPopover();
      const box = [...at.getClientRects()][0] ?? at.getBoundingClientRect();
      const frame = at.closest(".hs-equation")?.getBoundingClientRect() ?? box; // do not cover the formula
      const left = Math.max(12, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, root.clientWidth - tip.offsetWidth - 12));
      const above = frame.top - tip.offsetHeight - 8;
      tip.style.left = `${left + scrollX}px`;
      tip.style.top = `${(above > 64 ? above : frame.bottom + 8) + scrollY}px`;
    }
    const wait = (link, at) => { clearTimeout(timer); timer = setTimeout(() => show(link, at), 120); };
    const watch = (node, link) => {
      node.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") wait(link, node); });
      node.addEventListener("pointerleave", later);
    };
    for (const link of document.querySelectorAll('.hs-text a[href*="glossary.html#term-"], .hs-text a[href^="#term-"]')) {
      if (!link.querySelector(".std-term, .hs-symbol__name") || link.closest("dl.glossary dt")) continue;
      watch(link, link);
      link.addEventListener("focus", () => { if (link.matches(":focus-visible")) show(link); });
      link.addEventListener("blur", later);
    }
    for (const formula of document.querySelectorAll(".hs-formula")) {
      for (const node of formula.querySelectorAll(".hs-equation [data-sym]")) {
        const link = formula.querySelector(`.hs-symbol[data-sym="${CSS.escape(node.dataset.sym)}"] a`);
        if (link) watch(node, link);
      }
    }
    tip.addEventListener("pointerenter", () => clearTimeout(timer));
    tip.addEventListener("pointerleave", later);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  }

  // ---------------------------------------------------------------- search
  const fold = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  const split = (text) => fold(text).split(/[^\p{L}\p{N}²³]+/u).filter(Boolean);
  function find(query) {
    const words = split(query);
    if (!words.length) return [];
    const hits = [];
    for (const [page, pageTitle, sections] of window.hsIndex) {
      for (const [anchor, title, text] of sections) {
        const [head, body, whole] = [fold(title), fold(text), fold(pageTitle)];
        let score = 0;
        for (const word of words) {
          const inHead = head.search(new RegExp(`(^|[^\\p{L}\\p{N}])${word}`, "u")) >= 0;
          const inBody = body.includes(word);
          if (!inHead && !inBody && !whole.includes(word)) { score = 0; break; }
          score += (inHead ? 12 : 0) + (inBody ? 2 : 0) + (whole.includes(word) ? 3 : 0);
        }
        if (!score) continue;
        if (split(title).join(" ") === words.join(" ")) score += 40;
        if (body.includes(words.join(" "))) score += 6;
        if (page === "glossary.html" && anchor.startsWith("term-")) score += 4;
        if (page.startsWith("chapters/")) score += 2;
        hits.push({ page, anchor, title, pageTitle, text, body, score, words });
      }
    }
    return hits.sort((a, b) => b.score - a.score).slice(0, 24);
  }
  function marked(text, words) {
    const out = document.createDocumentFragment();
    const plain = fold(text);
    if (plain.length !== text.length) { out.append(text); return out; }
    let at = 0;
    while (at < text.length) {
      const next = words.map((word) => [plain.indexOf(word, at), word.length]).filter(([i]) => i >= 0).sort((a, b) => a[0] - b[0])[0];
      if (!next) break;
      out.append(text.slice(at, next[0]), make("mark", "", text.slice(next[0], next[0] + next[1])));
      at = next[0] + next[1];
    }
    out.append(text.slice(at));
    return out;
  }
  function snippet({ text, body, words }) {
    const first = Math.max(0, Math.min(...words.map((word) => body.indexOf(word)).filter((i) => i >= 0), 1e9) % 1e9 - 50);
    const start = first ? text.indexOf(" ", first) + 1 : 0;
    return `${start ? "… " : ""}${text.slice(start, start + 150)}${text.length > start + 150 ? " …" : ""}`;
  }
  function finder(query) {
    const box = make("search", "hs-find");
    const input = make("input");
    Object.assign(input, { type: "text", enterKeyHint: "go", placeholder: "Search the book", value: query, autocomplete: "off", spellcheck: false });
    input.setAttribute("aria-label", "Search the book");
    const note = make("p", "hs-find__note", "Type a word, a technique, a function.");
    note.setAttribute("aria-live", "polite");
    const list = make("ol");
    box.append(input, note, list);
    async function answer() {
      await load("hs-index.js");
      const hits = find(input.value);
      note.textContent = !input.value.trim() ? "Type a word, a technique, a function."
        : hits.length ? `${hits.length === 24 ? "The best 24" : hits.length} ${hits.length === 1 ? "place" : "places"}`
        : `Nothing holds all of “${input.value.trim()}”.`;
      list.replaceChildren(...hits.map((hit) => {
        const item = make("li");
        const link = make("a");
        link.href = `${base}${hit.page}${hit.anchor ? `#${hit.anchor}` : ""}`;
        const head = make("b");
        head.append(marked(hit.title, hit.words));
        const small = make("small");
        if (hit.title !== hit.pageTitle) small.append(`${hit.pageTitle} · `);
        small.append(marked(snippet(hit), hit.words));
        link.append(head, small);
        item.append(link);
        return item;
      }));
    }
    input.addEventListener("input", answer);
    box.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const stops = [input, ...list.querySelectorAll("a")];
      if (step) {
        event.preventDefault();
        stops[Math.max(0, Math.min(stops.length - 1, stops.indexOf(document.activeElement) + step))].focus();
      } else if (event.key === "Enter" && document.activeElement === input) stops[1]?.click();
    });
    if (query) answer();
    return { box, input };
  }
  function search() {
    const page = document.getElementById("hs-search-page");
    if (page) {
      const { box, input } = finder(asked.get("q") ?? "");
      page.append(box);
      input.focus();
    }
    let dialog = null;
    const open = () => {
      if (!dialog) {
        dialog = make("dialog", "hs-search");
        dialog.setAttribute("aria-label", "Search");
        const { box, input } = finder("");
        dialog.append(box);
        document.body.append(dialog);
        dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.closest("a")) dialog.close(); });
        dialog.input = input;
      }
      dialog.showModal();
      dialog.input.select();
    };
    const link = document.querySelector(".hs-bar__search");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open();
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input:not([type=radio], [type=checkbox], [type=range]), textarea, select, [contenteditable]");
      if ((event.key === "/" && !typing) || (event.key.toLowerCase() === "k" && (event.metaKey || event.ctrlKey))) {
        event.preventDefault();
        open();
      }
    });
  }

  // ---------------------------------------------------------------- copy, exercises, contents, scrolling
  function copying() {
    for (const block of document.querySelectorAll(".hs-text .highlight")) {
      if (block.closest(".cell_output")) continue;
      const button = make("button", "hs-copy", "Copy");
      button.type = "button";
      button.setAttribute("aria-label", "Copy the code");
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(block.querySelector("pre").textContent);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(block.querySelector("pre"));
          button.textContent = "Selected";
        }
        setTimeout(() => { button.textContent = "Copy"; }, 1600);
      });
      block.append(button);
    }
  }
  function exercises() {
    const done = new Set(JSON.parse(store.get("done") ?? "[]"));
    for (const box of document.querySelectorAll("div[data-exercise].hs-exercise")) {
      const key = box.dataset.exercise;
      const label = make("label", "hs-done", "Done");
      const input = make("input");
      input.type = "checkbox";
      input.checked = done.has(key);
      input.addEventListener("change", () => {
        if (input.checked) done.add(key);
        else done.delete(key);
        store.set("done", JSON.stringify([...done]));
      });
      label.prepend(input);
      box.querySelector(".hs-exercise__title")?.append(label);
    }
    const items = [...document.querySelectorAll("li[data-exercise]")];
    for (const item of items) if (done.has(item.dataset.exercise)) item.dataset.done = "";
    if (items.length) {
      const count = items.filter((item) => "done" in item.dataset).length;
      items[0].closest("section").before(make("p", "hs-progress", `You have ticked off ${count} of ${items.length}.`));
    }
  }
  function whereAmI() {
    const links = [...document.querySelectorAll(".hs-toc a")];
    const places = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
    if (!places.some(Boolean)) return;
    const update = () => {
      let now = -1;
      places.forEach((place, i) => { if (place && place.getBoundingClientRect().top < innerHeight * 0.3) now = i; });
      links.forEach((link, i) => (i === now ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    };
    let waiting = false;
    addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; update(); });
    }, { passive: true });
    update();
  }
  function scrollers() {
    // What scrolls sideways can be reached from the keyboard; what does not is no extra stop.
    const update = () => {
      for (const node of document.querySelectorAll(".hs-text pre, .hs-scroll, .hs-equation, .hs-figure__scroll")) {
        if (node.scrollWidth > node.clientWidth + 1) node.tabIndex = 0;
        else node.removeAttribute("tabindex");
      }
    };
    update();
    addEventListener("resize", update, { passive: true });
    document.addEventListener("toggle", update, true);
  }
  // A link to a place inside a folded part unfolds it.
  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    let moved = false;
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) {
      moved ||= !box.open;
      box.open = true;
    }
    if (moved) target.scrollIntoView();
  }

  document.addEventListener("DOMContentLoaded", () => {
    unfoldNew(parsing.takeRecords());
    parsing.disconnect();
    for (const start of [bar, formulas, explanations, search, copying, exercises, whereAmI, scrollers, reveal]) start();
    addEventListener("hashchange", reveal);
  });
})();
