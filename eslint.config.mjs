// The linter of the JavaScript: what ESLint recommends, and the house's few habits.
import js from "@eslint/js";

const BROWSER = [
  "CSS", "DocumentFragment", "HTMLElement", "MutationObserver", "ResizeObserver", "URLSearchParams", "addEventListener",
  "clearTimeout", "console", "document", "getSelection", "history", "innerHeight", "localStorage", "location", "matchMedia",
  "navigator", "performance", "requestAnimationFrame", "scrollX", "scrollY", "setTimeout", "window",
];
const LAB = [
  "Blob", "DecompressionStream", "File", "ImageData", "OffscreenCanvas", "Response", "URL", "VideoFrame", "Worker", "atob",
  "WebAssembly", "XMLSerializer", "createImageBitmap", "getComputedStyle", "indexedDB",
];

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2022, globals: Object.fromEntries(BROWSER.map((name) => [name, "readonly"])) },
    rules: {
      "eqeqeq": ["error", "always", { null: "ignore" }],
      "no-shadow": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  { files: ["book/_static/*.js", "scripts/*.js"], languageOptions: { sourceType: "script" } },
  {
    files: ["book/_static/lab/*.js"],
    languageOptions: { sourceType: "script", globals: Object.fromEntries(LAB.map((name) => [name, "readonly"])) },
  },
];
