"""``:::{widget} label_budget`` and the script that brings every widget on a page to life.

The modules in ``transferlib/widgets`` are the only source. A page opened from disk may not import
modules, so the build wraps each one into a classic script.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from hs_reading import text
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from transferlib import widgets

ASSETS = Path(widgets.__file__).parent


def classic(name: str, module: str) -> str:
    """Wrap an ES module that ends in ``export default { render };`` into a classic script."""
    body, found, rest = module.partition("export default ")
    if not found or "import " in body.split("\n", 1)[0]:
        raise ValueError(f"widget {name!r} must be one module with one 'export default'.")
    return (
        f"(window.hsWidgets ??= {{}}, (() => {{\n{body}window.hsWidgets[{json.dumps(name)}] = "
        f"{rest.rstrip().rstrip(';')};\n}})());\n"
    )


def bundle() -> str:
    """Every widget and the hydrator, as one script."""
    modules = [path for path in sorted(ASSETS.glob("*.js")) if path.stem != "hydrate"]
    parts = [classic(path.stem, path.read_text(encoding="utf-8")) for path in modules]
    return "".join(parts) + (ASSETS / "hydrate.js").read_text(encoding="utf-8")


class Widget(SphinxDirective):
    """Draw a widget from the ``widget`` metric that a chapter saved, or say that it is missing."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "chapter": directives.unchanged_required,
        "key": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        chapter = self.options.get("chapter", "")
        path = Path(self.env.srcdir) / "_data" / "metrics" / f"{chapter}.json"
        self.env.note_dependency(str(path))
        state = None
        if path.is_file():
            metrics = json.loads(path.read_text(encoding="utf-8"))["metrics"]
            state = metrics.get(self.options.get("key", "widget"))
        if not state:
            sentence = f"The chart appears here once chapter {chapter} has been executed with make execute."
            return [text("p", "hs-nothing", sentence)]
        html = import_module(f"transferlib.widgets.{self.arguments[0]}").html(state)
        return [nodes.raw("", html, format="html")]


def _write(app: Sphinx, config: Any) -> None:
    """Put the bundle and the style sheets where Sphinx collects static files."""
    folder = Path(app.doctreedir) / "hs_static"
    folder.mkdir(parents=True, exist_ok=True)
    files = {"hs-widgets.js": bundle()}
    # The label-budget sheet first: the others build on its frame, slider and rows.
    sheets = sorted(ASSETS.glob("*.css"), key=lambda path: (path.stem != "label_budget", path.stem))
    files["hs-widgets.css"] = "".join(path.read_text(encoding="utf-8") for path in sheets)
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
    config.html_static_path.append(str(folder))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("widget", Widget)
    app.connect("config-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
