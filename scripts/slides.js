// The deck: arrow keys, space and swipes turn the slides, N shows the notes, O all slides at once, Home and End.
(() => {
  "use strict";
  const slides = [...document.querySelectorAll(".slide")];
  const count = document.getElementById("count");
  let at = 0;
  function show(next, told = true) {
    at = Math.max(0, Math.min(slides.length - 1, next));
    slides.forEach((slide, i) => { slide.classList.toggle("now", i === at); });
    count.textContent = `${at + 1} / ${slides.length}`;
    if (told) history.replaceState(null, "", `#${at + 1}`);
  }
  const toggle = (name) => document.body.classList.toggle(name);
  const keys = {
    ArrowRight: () => show(at + 1), ArrowDown: () => show(at + 1), PageDown: () => show(at + 1), " ": () => show(at + 1),
    ArrowLeft: () => show(at - 1), ArrowUp: () => show(at - 1), PageUp: () => show(at - 1),
    Home: () => show(0), End: () => show(slides.length - 1), n: () => toggle("notes"), o: () => toggle("all"),
  };
  addEventListener("keydown", (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // A control of a chart keeps its own keys.
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, button, select, summary, a") || !keys[key]) return;
    event.preventDefault();
    keys[key]();
  });
  document.getElementById("back").addEventListener("click", () => show(at - 1));
  document.getElementById("on").addEventListener("click", () => show(at + 1));
  document.getElementById("tell").addEventListener("click", () => toggle("notes"));
  slides.forEach((slide, i) => slide.addEventListener("click", () => {
    if (!document.body.classList.contains("all")) return;
    toggle("all");
    show(i);
  }));
  let start = null;
  addEventListener("touchstart", (event) => { start = event.touches[0].clientX; }, { passive: true });
  addEventListener("touchend", (event) => {
    const moved = event.changedTouches[0].clientX - start;
    if (Math.abs(moved) > 60 && !event.target.closest("input, .hs-kit")) show(at - Math.sign(moved));
  });
  addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1, false));
  show(Number(location.hash.slice(1) || 1) - 1, false);
})();
