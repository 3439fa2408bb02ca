"""Formulas become HTML and MathML while the book is built: readers need no script and no network."""

import json
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.application import Sphinx
from sphinx.util import logging

VENDOR = Path(__file__).parent / "vendor"
log = logging.getLogger(__name__)

# trust only \htmlData: hs_terms marks the symbols of a formula with it.
RENDER = """function hsRender(tex, display) { return katex.renderToString(tex, {displayMode: display,
throwOnError: true, output: 'htmlAndMathml', strict: false, trust: (c) => c.command === '\\\\htmlData'}); } 0"""


@cache
def _engine() -> MiniRacer:
    """One JavaScript engine per build, with KaTeX loaded."""
    engine = MiniRacer()
    # The trailing 0 keeps the engine from handing the module object back to Python.
    engine.eval((VENDOR / "katex.min.js").read_text(encoding="utf-8") + "\n;0")
    engine.eval(RENDER)
    return engine


@cache
def render(tex: str, display: bool = False) -> str:
    """Render one LaTeX formula; raises ``ValueError`` with KaTeX's own sentence when it cannot."""
    try:
        return str(_engine().eval(f"hsRender({json.dumps(tex)}, {json.dumps(display)})"))
    except JSEvalException as error:
        found = str(error).partition("ParseError: ")[2].splitlines()
        raise ValueError(f"formula {tex!r}: {found[0] if found else error}") from None


def mathml(rendered: str) -> str:
    """The MathML inside what KaTeX wrote: e-readers and slides draw it without a font of ours."""
    return re.search(r"<math.*?</math>", rendered, flags=re.S)[0]  # type: ignore[index]


def _safe(tex: str, display: bool, node: nodes.Node, builder: str) -> str:
    try:
        return mathml(render(tex, display)) if builder == "epub" else render(tex, display)
    except ValueError as error:
        log.warning("%s", error, location=node)
        return f"<code>{escape(tex)}</code>"


def visit_inline(translator: Any, node: nodes.math) -> None:
    """``<span class="hs-math">`` with the formula set in the line."""
    translator.body.append(f'<span class="hs-math">{_safe(node.astext(), False, node, translator.builder.name)}</span>')
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """A display formula, with its number when it has a label."""
    tex = node.astext()
    if "&" in tex or "\\\\" in tex:
        if "\\begin" not in tex:  # Sphinx's convention: & and \\ mean an aligned display
            tex = "\\begin{aligned}" + tex + "\\end{aligned}"
    # tabindex: a formula wider than a phone scrolls sideways, also from the keyboard.
    translator.body.append(translator.starttag(node, "div", CLASS="hs-equation", tabindex="0", role="group"))
    translator.body.append(_safe(tex, True, node, translator.builder.name))
    number = node.get("number")
    if number:
        translator.body.append(f'<span class="hs-equation__number">({number})</span>')
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("hs_katex", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
