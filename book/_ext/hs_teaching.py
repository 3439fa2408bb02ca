"""Directives that teach: ``drawing`` (a mechanism), ``guess`` (before the result shows), ``hint``, and ``cost``.

``drawings`` shows the drawings of all chapters on one page.

All of them are plain HTML, so that the page reads without JavaScript and by keyboard.
"""

import json
import re
import time
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from hs_pages import _Page, link
from hs_reading import _Directive, box, text
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from transferlib.backbones.weights import MANIFEST

LARGEST = 20_000  # bytes of a drawing


def checked(path: Path) -> str:
    """The drawing's SVG. Raises ``ValueError`` with a sentence when it is not fit for a page."""
    if not path.is_file():
        raise ValueError(f"there is no file {path.name!r} in _static/drawings")
    svg = path.read_text(encoding="utf-8")
    if len(svg.encode()) > LARGEST:
        raise ValueError(f"{path.name} has {len(svg.encode()):,} bytes, above {LARGEST:,}: draw it with fewer points")
    for part in ("title", "desc"):
        if not re.search(rf"<{part}[^>]*>\s*[^<\s]", svg):
            raise ValueError(f"{path.name} has no <{part}>: say what it shows, for those who cannot see it")
    if "<text" not in svg:
        raise ValueError(f"{path.name} holds no text as text: do not turn letters into paths")
    if foreign := re.search(r"<script|<image|<foreignObject|\bon\w+=|(?:href|src)=[\"'](?!#)", svg):
        raise ValueError(f"{path.name} holds {foreign.group()!r}: a drawing is shapes and text only")
    if not re.search(r"var\(--hs-", svg):
        raise ValueError(f"{path.name} uses no colour of the theme: take var(--hs-ink) and its like")
    return svg


def figure(directive: SphinxDirective, name: str, caption: str) -> nodes.Node:
    """The SVG of ``_static/drawings`` with its caption."""
    path = Path(directive.env.srcdir) / "_static" / "drawings" / f"{name}.svg"
    directive.env.note_dependency(str(path))
    try:
        svg = checked(path)
    except ValueError as error:
        raise directive.error(f"drawing: {error}.") from None
    node = box("figure", "hs-drawing", nodes.raw("", svg, format="html"))
    if caption:
        inline = directive.parse_inline(caption, lineno=directive.lineno)[0]
        node += box("figcaption", "hs-drawing__caption", *inline)
    return node


class Drawing(_Directive):
    """``{drawing} 01-features`` with ``:caption:``; the drawing inside the page."""

    required_arguments = 1
    has_content = False
    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        return [figure(self, self.arguments[0], self.options.get("caption", ""))]


class Drawings(_Page):
    """Every drawing of the chapters, with its caption and a link to the chapter that it belongs to."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for chapter in (c for c in self.chapters() if c.drawings):
            head = link(f"{chapter.number} {chapter.title}", chapter.docname)
            head["refdoc"] = self.env.docname
            found.append(box("p", "hs-shelf__from", nodes.Text("From "), head))
            found += [figure(self, name, caption) for name, caption in chapter.drawings]
        return found or self.nothing("No chapter with a drawing has been executed yet.")


class Guess(_Directive):
    """``:::{guess} Question?`` and a line ``- [x] choice :: reason`` for the right choice, ``- [ ]`` for the others.

    Each choice unfolds its reason; opening one closes the others.
    """

    required_arguments = 1
    CHOICE = re.compile(r"^- \[([ x])\] (.+?) :: (.+)$")

    def run(self) -> list[nodes.Node]:
        lines = [line for line in self.content if line.strip()]
        found = [self.CHOICE.match(line.strip()) for line in lines]
        if not all(found) or len(found) < 2 or sum(f.group(1) == "x" for f in found if f) != 1:
            raise self.error(
                "guess: write two or more lines '- [ ] choice :: reason', and '- [x]' before the one that is right."
            )
        number = self.env.new_serialno("guess") + 1
        node = box("div", "hs-guess", box("p", "hs-guess__question", *self.inline(self.arguments[0])))
        for match in filter(None, found):
            right = match.group(1) == "x"
            summary = box("summary", "hs-guess__choice", *self.inline(match.group(2)))
            told = text("strong", "hs-guess__verdict", "Yes. " if right else "Not quite. ")
            reason = box("p", "hs-guess__reason", told, *self.inline(match.group(3)))
            state = "right" if right else "wrong"
            node += box("details", "hs-guess__option", summary, reason, name=f"guess-{number}", data_guess=state)
        return [node]


class Hint(_Directive):
    """``:::{hint}`` inside an exercise; several of them are steps."""

    def run(self) -> list[nodes.Node]:
        summary = text("summary", "hs-hint__summary", "A hint")
        body = box("div", "hs-hint__body", *self.parse_content_to_nodes())
        return [box("details", "hs-hint", summary, body)]


def badge(number: str, needs: list[str], reference: Path) -> str:
    """What a chapter costs, from its reference run; before there is one, only what it downloads.

    Raises ``ValueError`` for weights that are not packaged.
    """
    if unknown := [name for name in needs if name not in MANIFEST]:
        raise ValueError(f"the weights {unknown[0]!r} are not packaged; known are {', '.join(MANIFEST)}")
    size = sum(file["bytes"] for name in needs for file in MANIFEST[name]["files"].values()) / 1e6
    parts = [f"{size:.0f} MB of weights" if needs else "no weights"]
    file = reference / f"{number}.json"
    run = json.loads(file.read_text(encoding="utf-8"))["provenance"] if file.is_file() else {}
    if run.get("whole"):  # a run that found results of another on the disk says nothing on what they cost
        minutes = run["processor_seconds"] / 60
        parts.insert(0, f"{minutes:.0f} min of processor" if minutes >= 1 else f"{60 * minutes:.0f} s of processor")
        parts.insert(1, f"{run['peak_memory_mb'] / 1000:.1f} GB of memory")
    if run:
        day = time.strftime("%d %B %Y", time.gmtime(run["finished"])).lstrip("0")
        versions = ", ".join(f"{name} {run['versions'][name]}" for name in ("torch", "timm", "transformers"))
        parts.append(f"last measured on {day} with {versions}")
    return " · ".join(parts)


class Cost(_Directive):
    """``{cost}`` with ``:needs:``, the packaged weights that the chapter reads."""

    has_content = False
    option_spec: ClassVar[dict[str, Any]] = {"needs": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        needs = self.options.get("needs", "").replace(",", " ").split()
        number = Path(self.env.docname).name[:2]
        reference = Path(self.env.srcdir) / "reference"
        self.env.note_dependency(str(reference / f"{number}.json"))
        try:
            return [text("p", "hs-cost", badge(number, needs, reference))]
        except ValueError as error:
            raise self.error(f"cost: {error}.") from None


def setup(app: Sphinx) -> dict[str, bool]:
    for name, directive in [
        ("drawing", Drawing),
        ("drawings", Drawings),
        ("guess", Guess),
        ("hint", Hint),
        ("cost", Cost),
    ]:
        app.add_directive(name, directive, override=True)  # docutils has an admonition called hint
    return {"parallel_read_safe": True, "parallel_write_safe": True}
