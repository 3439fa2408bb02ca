"""Formulas become HTML and MathML while the book is built: readers need no script and no network."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import quickjs
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

VENDOR = Path(__file__).parent / "vendor"
log = logging.getLogger(__name__)


@cache
def _engine() -> quickjs.Context:
    """One JavaScript engine per build, with KaTeX loaded."""
    context = quickjs.Context()
    # The trailing 0 keeps the engine from handing the module object back to Python.
    context.eval((VENDOR / "katex.min.js").read_text(encoding="utf-8") + "\n;0")
    context.eval(
        "function hsRender(tex, display) { return JSON.stringify(katex.renderToString(tex,"
        " {displayMode: display, throwOnError: true, output: 'htmlAndMathml'})); } 0"
    )
    return context


@cache
def render(tex: str, display: bool = False) -> str:
    """Render one LaTeX formula; raises ``ValueError`` with KaTeX's own sentence when it cannot."""
    try:
        return str(
            json.loads(_engine().eval(f"hsRender({json.dumps(tex)}, {json.dumps(display)})"))
        )
    except quickjs.JSException as error:
        raise ValueError(f"formula {tex!r}: {str(error).splitlines()[0]}") from None


def _safe(tex: str, display: bool, node: nodes.Node) -> str:
    try:
        return render(tex, display)
    except ValueError as error:
        log.warning("%s", error, location=node)
        return f"<code>{nodes.unescape(tex)}</code>"


def visit_inline(translator: Any, node: nodes.math) -> None:
    """``<span class="hs-math">`` with the formula set in the line."""
    translator.body.append(f'<span class="hs-math">{_safe(node.astext(), False, node)}</span>')
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """A display formula, with its number when it has a label."""
    tex = node.astext()
    if "&" in tex or "\\\\" in tex:
        if "\\begin" not in tex:  # Sphinx's convention: & and \\ mean an aligned display
            tex = "\\begin{aligned}" + tex + "\\end{aligned}"
    # tabindex: a formula wider than a phone scrolls sideways, also from the keyboard.
    translator.body.append(
        translator.starttag(node, "div", CLASS="hs-equation", tabindex="0", role="group")
    )
    translator.body.append(_safe(tex, True, node))
    number = node.get("number")
    if number:
        translator.body.append(f'<span class="hs-equation__number">({number})</span>')
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def _styles(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Only a page with a formula loads the formula style sheet."""
    if 'class="katex' in context.get("body", ""):
        app.add_css_file("vendor/katex/katex.min.css", priority=150)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("hs_katex", (visit_inline, None), (visit_block, None))
    app.connect("html-page-context", _styles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
