"""Directives for readers: ``depth``, ``formula``, ``exercise`` and ``solution``.

All of them are plain HTML (native ``<details>``), so the page reads without JavaScript.
Code cells cannot stand inside a directive: MyST-NB reads them at the top level only. A folded section that holds some
begins with ``depth-start`` and stops at ``depth-end``.
"""

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from hs_symbols import Symbol, book_symbols, mark, override
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
LEVELS = {2: "Deeper", 3: "Research"}


class hs_box(nodes.General, nodes.TextElement):  # noqa: N801, docutils names nodes in lower case
    """Any HTML element: attributes ``tag`` and ``attrs``. A text element, because it may hold links."""


def box(tag: str, css: str, *children: nodes.Node, **attrs: str) -> hs_box:
    """An ``hs_box`` with its class, children and further HTML attributes (``data_depth="2"``)."""
    node = hs_box("", "", *children, tag=tag, classes=[css])
    node["attrs"] = {key.replace("_", "-"): value for key, value in attrs.items()}
    return node


def _visit(translator: Any, node: hs_box) -> None:
    translator.body.append(translator.starttag(node, node["tag"], "", **node["attrs"]))


def _depart(translator: Any, node: hs_box) -> None:
    translator.body.append(f"</{node['tag']}>\n")


def _skip(translator: Any, node: hs_box) -> None:
    """Other builders (text, LaTeX) print the children in place."""


def text(tag: str, css: str, content: str, **attrs: str) -> hs_box:
    """An ``hs_box`` around plain text, which is always escaped."""
    return box(tag, css, nodes.Text(content), **attrs)


def term_link(inner: list[nodes.Node], term: str, docname: str) -> addnodes.pending_xref:
    """A link to a glossary entry; the build says so when there is no such term."""
    return addnodes.pending_xref(
        "", nodes.inline("", "", *inner), refdomain="std", reftype="term", reftarget=term, refexplicit=True,
        refdoc=docname, refwarn=True,
    )  # fmt: skip


class _Directive(SphinxDirective):
    has_content = True
    final_argument_whitespace = True

    def inline(self, source: str) -> list[nodes.Node]:
        """Parse a title that may hold emphasis or a formula."""
        return self.parse_inline(source, lineno=self.lineno)[0]


class Depth(_Directive):
    """``::::{depth} 2`` with ``:title:``; a folded section for readers who want more."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "title": directives.unchanged_required,
        "name": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        level = self.arguments[0].strip()
        if level not in ("2", "3"):
            raise self.error(f"depth {level!r} is unknown; write 2 (Deeper) or 3 (Research).")
        title = self.inline(self.options.get("title", "One level down"))
        summary = box(
            "summary",
            "hs-depth__summary",
            text("span", "hs-depth__level", LEVELS[int(level)]),
            text("span", "hs-depth__ask", "Too dense? Fold it."),
            box("span", "hs-depth__title", *title),
        )
        body = box("div", "hs-depth__body", *self.parse_content_to_nodes())
        node = box("details", "hs-depth", summary, body, data_depth=level)
        self.add_name(node)
        return [node]


class DepthStart(Depth):
    """``:::{depth-start} 2`` with ``:title:``; what follows, up to ``depth-end``, is the folded section."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        (node,) = super().run()
        node["started"] = self.get_location()
        return [node]


class DepthEnd(_Directive):
    """Where the section that ``depth-start`` began is over."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        return [nodes.comment("", "", classes=["hs-depth-end"], stopped=self.get_location())]


def fold(app: Sphinx, doctree: nodes.document) -> None:
    """Move what stands between a ``depth-start`` and its ``depth-end`` into the folded body."""
    for end in [node for node in doctree.findall(nodes.comment) if "hs-depth-end" in node["classes"]]:
        siblings = end.parent.children
        stop = siblings.index(end)
        start = next((i for i in reversed(range(stop)) if "started" in getattr(siblings[i], "attributes", ())), None)
        if start is None:
            logger.warning("depth-end: there is no depth-start before it in this section.", location=end["stopped"])
            continue
        del siblings[start]["started"]
        siblings[start].children[-1].extend(siblings[start + 1 : stop])
        del siblings[start + 1 : stop + 1]
    for node in doctree.findall(hs_box):
        if "started" in node:
            logger.warning("depth-start: no depth-end follows in this section.", location=node["started"])


class Formula(_Directive):
    """A formula in symbols, then a line ``---``, then the same in words; ``:label:`` numbers it.

    The symbols that notation.md names are explained below the formula. ``:symbols: r = reward; x = prompt``
    gives symbols another meaning for this formula; ``r =`` leaves one out.
    """

    option_spec: ClassVar[dict[str, Any]] = {
        "label": directives.unchanged_required,
        "symbols": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        lines = list(self.content)
        cut = next((i for i, line in enumerate(lines) if line.strip() == "---"), None)
        if cut is None:
            raise self.error("formula: put a line '---' between the LaTeX and the words.")
        tex = "\n".join(lines[:cut]).strip()
        if not tex or not "".join(lines[cut + 1 :]).strip():
            raise self.error("formula: give the LaTeX above the line '---' and the words below it.")
        try:
            symbols = override(book_symbols(self.env), self.options.get("symbols", ""))
        except ValueError as error:
            raise self.error(f"formula: {error}") from None
        tex, used = mark(tex, symbols)
        block = nodes.math_block(tex, tex, docname=self.env.docname, number=None, nowrap=False)
        block["no-wrap"] = False
        self.set_source_info(block)
        found: list[nodes.Node] = [block]
        label = self.options.get("label")
        if label:
            math = self.env.domains.math_domain
            block["label"] = label
            math.note_equation(self.env.docname, label, location=block)
            block["number"] = math.get_equation_number_for(label)
            target = nodes.target("", "", ids=[nodes.make_id(f"equation-{label}")])
            self.state.document.note_explicit_target(target)
            found.insert(0, target)
        words = nodes.container(classes=["hs-formula__text"])
        self.state.nested_parse(self.content[cut + 1 :], self.content_offset + cut + 1, words)
        symbols_side = box("div", "hs-formula__symbols", *found)
        if used:
            symbols_side += self.legend(used)
        return [box("div", "hs-formula", symbols_side, box("div", "hs-formula__words", words))]

    def legend(self, used: list[Symbol]) -> nodes.Node:
        """The symbols of the formula, each with its name and a link to its glossary entry."""
        items = []
        for symbol in used:
            name = box("span", "hs-symbol__name", *self.inline(symbol.words))
            shown = [nodes.math("", symbol.tex), name]
            if symbol.term:
                shown = [term_link(shown, symbol.term, self.env.docname)]
            items.append(box("li", "hs-symbol", *shown, data_sym=symbol.key))
        return box("ul", "hs-formula__legend", *items, aria_label="Symbols of the formula")


class Exercise(_Directive):
    """``::::{exercise} Title``; the task, with a ``solution`` after it or inside it.

    ``:kind:`` is one of ``KINDS``; ``:minutes:`` how long it takes.
    """

    KINDS = ("predict", "compute", "repair", "derive", "criticise", "project")
    optional_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "name": directives.unchanged,
        "kind": lambda value: directives.choice(value, Exercise.KINDS),
        "minutes": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        title = self.inline(self.arguments[0]) if self.arguments else []
        number = self.env.new_serialno("exercise") + 1
        head = box(
            "p",
            "hs-exercise__title",
            text("span", "hs-exercise__label", f"Exercise {number}"),
            box("span", "hs-exercise__name", *title),
        )
        about = [self.options.get("kind", ""), f"{m} min" if (m := self.options.get("minutes")) else ""]
        if any(about):
            head += text("span", "hs-exercise__about", " · ".join(filter(None, about)))
        node = box(
            "div",
            "hs-exercise",
            head,
            *self.parse_content_to_nodes(),
            data_exercise=f"{self.env.docname}#exercise-{number}",
        )
        node["ids"].append(f"exercise-{number}")
        self.add_name(node)
        return [node]


class Solution(_Directive):
    """``::::{solution}``; folded until the reader asks for it."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        label = self.inline(self.arguments[0]) if self.arguments else [nodes.Text("Show a solution")]
        summary = box("summary", "hs-solution__summary", *label)
        body = box("div", "hs-solution__body", *self.parse_content_to_nodes())
        return [box("details", "hs-solution", summary, body)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(hs_box, html=(_visit, _depart), text=(_skip, _skip), latex=(_skip, _skip))
    for name, directive in [
        ("depth", Depth),
        ("depth-start", DepthStart),
        ("depth-end", DepthEnd),
        ("formula", Formula),
        ("exercise", Exercise),
        ("solution", Solution),
    ]:
        app.add_directive(name, directive)
    app.connect("doctree-read", fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
