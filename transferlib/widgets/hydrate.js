// Brings the widgets of a static page to life: the same modules that JupyterLab runs through
// anywidget get a model object with the same four methods, but no kernel behind it.

function pageModel(values) {
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
    const widget = window.hsWidgets?.[el.dataset.widget];
    if (!widget) continue;
    const fallback = [...el.childNodes];
    el.dataset.live = "true";
    try {
      // Traits other than the state start undefined: each widget has its own beginning.
      widget.render({ model: pageModel({ state: JSON.parse(el.dataset.state) }), el });
      for (const node of fallback) node.remove();
    } catch (error) {
      // The table that was in the page becomes readable again when a chart cannot be drawn.
      console.error(`widget ${el.dataset.widget}:`, error);
    }
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", hydrate);
else hydrate();
