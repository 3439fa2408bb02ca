"""``:::{notation}`` tables, and the glossary as a small script that explains a term where it stands."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from hs_reading import box, term_link
from hs_symbols import parse
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Notation(SphinxDirective):
    """A table of symbols: lines ``LaTeX | name | glossary term``."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        try:
            symbols = parse(list(self.content))
        except ValueError as error:
            raise self.error(str(error)) from None
        rows, told = [], self.env.temp_data.setdefault("hs-notation", {})
        for symbol in symbols:
            if symbol.tex in told:
                one, other = told[symbol.tex], symbol.words
                raise self.error(f"symbol {symbol.tex!r} is both {one!r} and {other!r}: give one another letter.")
            told[symbol.tex] = symbol.words
            words = self.parse_inline(symbol.words, lineno=self.lineno)[0]
            if symbol.term:
                words = [term_link(words, symbol.term, self.env.docname)]
            row = box("tr", "hs-notation__row", box("td", "", nodes.math("", symbol.tex)), box("td", "", *words))
            row["ids"].append(f"sym-{symbol.key}")
            rows.append(row)
        caption = box("caption", "", nodes.Text(self.arguments[0]))
        return [box("table", "hs-table", caption, box("tbody", "", *rows))]


def definitions(glossary: nodes.document) -> dict[str, tuple[str, str]]:
    """``{"term-LoRA": ("LoRA", "first paragraph of its entry")}`` for every term of a glossary page."""
    found = {}
    for item in glossary.findall(nodes.definition_list_item):
        terms = list(item.findall(nodes.term))
        first = next(iter(item.findall(nodes.paragraph)), None)
        for term in terms:
            for name in term["ids"]:
                found[name] = (terms[0].astext(), first.astext() if first else "")
    return found


def _write(app: Sphinx, error: Exception | None) -> None:
    """The script that a page loads when the reader first points at a term."""
    if error or app.builder.name != "html" or "glossary" not in app.env.found_docs:
        return
    terms = definitions(app.env.get_doctree("glossary"))
    target = Path(app.outdir) / "_static" / "hs-terms.js"
    text = json.dumps(terms, ensure_ascii=False, separators=(",", ":"))
    target.write_text(f"window.hsTerms={text};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("notation", Notation)
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
