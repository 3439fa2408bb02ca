// @ts-check
// Brings the widgets of a static page to life: the same modules that JupyterLab runs through
// anywidget get a model object with the same four methods, but no kernel behind it.

/** @type {Window & {hsWidgets?: Record<string, {render: (home: import("./kit.js").Home) => unknown}>}} */
const page = window;

/** @param {Record<string, unknown>} values @returns {import("./kit.js").Model} */
function pageModel(values) {
  /** @type {Map<string, (() => void)[]>} */
  const listeners = new Map();
  return {
    get: (key) => values[key],
    set(key, value) {
      if (values[key] === value) return;
      values[key] = value;
      for (const listener of listeners.get(`change:${key}`) ?? []) listener();
    },
    on(event, listener) {
      listeners.set(event, [...(listeners.get(event) ?? []), listener]);
    },
    off(event, listener) {
      listeners.set(event, (listeners.get(event) ?? []).filter((known) => known !== listener));
    },
    save_changes() {},
  };
}

function hydrate() {
  for (const el of document.querySelectorAll("[data-widget]:not([data-live])")) {
    if (!(el instanceof HTMLElement)) continue;
    const { widget: name = "", state = "" } = el.dataset;
    const widget = page.hsWidgets?.[name];
    if (!widget) continue;
    const fallback = [...el.childNodes];
    el.dataset.live = "true";
    try {
      // Traits other than the state start undefined: each widget has its own beginning.
      widget.render({ model: pageModel({ state: JSON.parse(state) }), el });
      for (const node of fallback) node.remove();
    } catch (error) {
      // The table that was in the page becomes readable again when a chart cannot be drawn.
      console.error(`widget ${name}:`, error);
    }
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", hydrate);
else hydrate();
