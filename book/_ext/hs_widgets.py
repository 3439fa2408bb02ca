"""``:::{widget} label_budget`` and the script that brings every widget on a page to life.

The modules in ``transferlib/widgets`` are the only source. A page opened from disk may not import
modules, so the build joins them into one classic script.
"""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from hs_reading import text
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from transferlib.widgets import base

ASSETS = base.HERE
# Whole lines for editors and type checkers, which no browser needs.
COMMENT = re.compile(r"^[ \t]*(?://.*|/\*\*.*\*/)\n", re.M)


def classic(name: str, source: str) -> str:
    """A widget's module as a function that runs at once, beside the constant ``kit``, and names what it exports."""
    body, _, exported = base.joined(name, source).partition("export default ")
    return f"(() => {{\n{body}window.hsWidgets[{json.dumps(name)}] = {exported.rstrip()}\n}})();\n"


def bundle() -> str:
    """The kit, every widget and the hydrator, as one script."""
    modules = [path for path in sorted(ASSETS.glob("*.js")) if path.stem not in ("kit", "hydrate")]
    parts = "".join(classic(path.stem, path.read_text(encoding="utf-8")) for path in modules)
    hydrate = (ASSETS / "hydrate.js").read_text(encoding="utf-8")
    script = f'(() => {{\n"use strict";\nwindow.hsWidgets ??= {{}};\n{base.kit()}{parts}{hydrate}}})();\n'
    return COMMENT.sub("", script)


def styles() -> str:
    """The style sheet of every widget; the kit's stands first, the others build on it."""
    return base.styles(*sorted(path.stem for path in ASSETS.glob("*.css") if path.stem != "kit"))


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
    """Put the bundle and the style sheets where Sphinx collects static files; an e-book runs no script."""
    if app.tags.has("ebook"):
        return
    folder = Path(app.doctreedir) / "hs_static"
    folder.mkdir(parents=True, exist_ok=True)
    files = {"hs-widgets.js": bundle(), "hs-widgets.css": styles()}
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
    config.html_static_path.append(str(folder))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("widget", Widget)
    app.connect("config-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
