"""Pages that write themselves: contents, provenance, claims and widgets.

Each is a directive that reads what the chapters left behind, so a page never repeats a number by hand.
"""

import json
import re
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from hs_chapters import NAMES, PARTS, ROMAN, Chapter, chapters, short
from hs_reading import box, text
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from transferlib.errors import nearest


class _Page(SphinxDirective):
    """A directive without content that reads the executed chapters."""

    def chapters(self) -> list[Chapter]:
        """The executed chapters; the page is built anew when one of their files changes."""
        source = Path(self.env.srcdir)
        found = chapters(source)
        self.env.glob_toctrees.add(self.env.docname)  # Sphinx reads these again when a page appears or goes
        for chapter in found:
            self.env.note_dependency(str(source / f"{chapter.docname}.ipynb"))
            self.env.note_dependency(str(source / "_data" / "provenance" / f"{chapter.number}.json"))
        return found

    def nothing(self, sentence: str) -> list[nodes.Node]:
        return [text("p", "hs-nothing", sentence)]

    def raw(self, html: str) -> nodes.raw:
        return nodes.raw("", html, format="html")


def link(label: str | list[nodes.Node], docname: str, anchor: str = "", css: str = "") -> nodes.Node:
    """A link to a page, resolved by Sphinx when the page is written."""
    inner = nodes.inline("", "", *([nodes.Text(label)] if isinstance(label, str) else label), classes=[css])
    return addnodes.pending_xref(
        "", inner, refdomain="", reftype="hs-page", reftarget=docname, hs_anchor=anchor, refexplicit=True
    )


def _resolve(app: Sphinx, env: Any, node: addnodes.pending_xref, inner: nodes.Node) -> nodes.Node | None:
    """Turn an ``hs-page`` link into a reference."""
    if node.get("reftype") != "hs-page":
        return None
    address = app.builder.get_relative_uri(node["refdoc"] if "refdoc" in node else env.docname, node["reftarget"])
    anchor = f"#{node['hs_anchor']}" if node["hs_anchor"] else ""
    return nodes.reference("", "", inner, internal=True, refuri=(address + anchor) or "#")


class ChapterRole(SphinxRole):
    """``{chapter}`06``` or ``{chapter}`the count <06#claim-params>```: a link once the chapter exists."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found = re.fullmatch(r"(?:(.+?)\s*<)?(\d\d)(?:#([\w-]+))?>?", self.text.strip())
        if not found or (found.group(2) not in NAMES):
            message = f"chapter role: {self.text!r} names no chapter; write 01 to 15, or 'label <06#claim-id>'."
            return [], [self.inliner.reporter.error(message, line=self.lineno)]
        label, number, anchor = found.groups()
        anchor = anchor or ""
        self.env.glob_toctrees.add(self.env.docname)
        chapter = next((c for c in chapters(self.env.srcdir) if c.number == number), None)
        if chapter is None:
            return [nodes.inline("", label or f"chapter {int(number)}, {NAMES[number]}")], []
        if anchor and anchor not in chapter.anchors:
            message = f"chapter role: chapter {number} has no {anchor!r}; {nearest(anchor, chapter.claims)}"
            return [], [self.inliner.reporter.error(message, line=self.lineno)]
        node = link(label or f"{number} {chapter.title}", chapter.docname, anchor)
        node["refdoc"] = self.env.docname
        return [node], []


class Parts(_Page):
    """The hidden tables of contents of the four parts; a part without an executed chapter is left out."""

    def run(self) -> list[nodes.Node]:
        trees, found = [], self.chapters()
        for part in dict.fromkeys(c.part for c in found):
            names = [c.docname for c in found if c.part == part]
            tree = addnodes.toctree(
                parent=self.env.docname, entries=[(None, n) for n in names], includefiles=names, caption=part,
                rawcaption=part, maxdepth=1, glob=False, hidden=True, includehidden=False, numbered=0, titlesonly=True,
            )  # fmt: skip
            trees.append(nodes.compound("", tree, classes=["toctree-wrapper"]))
        return trees


class Contents(_Page):
    """The parts and their executed chapters, with the first sentence of each."""

    def run(self) -> list[nodes.Node]:
        found = self.chapters()
        if not found:
            return self.nothing("No chapter has been executed yet: run `make execute`, then `make book`.")
        blocks = []
        for roman, (name, numbers) in zip(ROMAN, PARTS, strict=True):
            items = []
            for chapter in (c for c in found if int(c.number) in numbers):
                target = link(chapter.title, chapter.docname, css="hs-contents__title")
                target["refdoc"] = self.env.docname
                items.append(
                    box(
                        "li",
                        "hs-contents__item",
                        text("span", "hs-contents__number", chapter.number, aria_hidden="true"),
                        box("span", "hs-contents__text", target, text("span", "hs-contents__lead", chapter.lead)),
                    )
                )
            if items:
                head = box(
                    "p",
                    "hs-contents__part",
                    text("span", "hs-contents__roman", f"Part {roman} "),
                    text("span", "hs-contents__name", name),
                )
                blocks.append(box("div", "hs-contents__block", head, box("ol", "hs-contents__list", *items)))
        return [box("div", "hs-contents", *blocks)]


def duration(seconds: float) -> str:
    """``"1 min 04 s"``."""
    return f"{seconds:.0f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


class Provenance(_Page):
    """One row a chapter: seed, profile, device, commit, duration; versions and processor, once where they are alike."""

    def run(self) -> list[nodes.Node]:
        rows, told = [], list[str]()
        for chapter in self.chapters():
            facts = chapter.provenance
            if not facts:
                continue
            seconds = facts.get("wall_seconds")
            versions = ", ".join(f"{k} {v}" for k, v in sorted(facts.get("versions", {}).items()))
            where = f"{facts.get('processor', 'a processor without a name')}, {facts.get('cores', '–')} cores"
            told.append(f"{where}; {versions}")
            cells = [
                facts.get("profile", "–"),
                facts.get("seed", "–"),
                facts.get("device", "–"),
                "–" if seconds is None else duration(float(seconds)),
                short(facts.get("commit")),
            ]
            more = f'<tr class="hs-table__more"><td colspan="6">{escape(told[-1])}</td></tr>'
            rows.append(
                f'<tr><th scope="row"><a href="{chapter.docname}.html">{chapter.number} {escape(chapter.title)}</a>'
                f"</th>{''.join(f'<td>{escape(str(c))}</td>' for c in cells)}</tr>{more * (told[-1] != told[0])}"
            )
        if not rows:
            return self.nothing("No chapter has been executed yet, so there is nothing to account for.")
        heads = "".join(f'<th scope="col">{h}</th>' for h in ("Chapter", "Profile", "Seed", "Device", "Took", "Commit"))
        table = scrolling(f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>", "Provenance")
        return [self.raw(f"{table}<p>Where a row says nothing else: {escape(told[0])}.</p>")]


class Trust(_Page):
    """What was done to the runs of the last `make trust`, and how often they came out whole."""

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / "reference" / "trust.json"
        self.env.note_dependency(str(path))
        if not path.is_file():
            return self.nothing("`make trust` has not been run yet.")
        body = json.loads(path.read_text(encoding="utf-8"))
        about = body["provenance"]
        rows = "".join(
            f'<tr><th scope="row">{escape(row["what"])}</th><td>{int(row["passed"])} of {row["of"]}</td>'
            f"<td>{escape(row['note'])}</td></tr>"
            for row in body["rows"]
        )
        heads = "".join(f'<th scope="col">{h}</th>' for h in ("What was done", "Came out whole", "Measured"))
        table = scrolling(f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>", "Trust")
        told = f"Chapters: {about['chapters']}, smoke profile. {about['processor']}, commit {short(about['commit'])}."
        return [self.raw(f"{table}<p>{escape(told)}</p>")]


class Replicate(_Page):
    """How many claims hold, are weaker, are contradicted: a row a run of ``make replicate``, a row a chapter inside."""

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / "reference" / "replicate.json"
        self.env.note_dependency(str(path))
        runs = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not runs:
            return self.nothing("`make replicate` has not been run yet: no claim has been tried with other seeds.")
        rows = []
        for name, body in sorted(runs.items()):
            verdicts = ("holds", "weaker", "contradicted")
            counts = [sum(len(row[v]) for row in body["chapters"].values()) for v in verdicts]
            odd = [f"{number} {claim}" for number, row in sorted(body["chapters"].items())
                   for verdict in verdicts[1:] for claim in row[verdict]]  # fmt: skip
            commits = ", ".join(sorted({short(row["commit"]) for row in body["chapters"].values()}))
            made = Counter(row["processor"] for row in body["chapters"].values()).most_common()
            processors = ", ".join(f"{name} ({count})" if len(made) > 1 else name for name, count in made)
            cells = [*counts, len(body["chapters"]), processors, body["date"], commits]
            rows.append(
                f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(str(c))}</td>" for c in cells)}</tr>'
                f'<tr class="hs-table__more"><td colspan="8">{escape("not holding: " + ", ".join(odd) if odd else "")}'
                "</td></tr>"
            )
        names = ("Run", "Hold", "Weaker", "Contradicted", "Chapters", "Processor", "Date", "Commit")
        heads = "".join(f'<th scope="col">{name}</th>' for name in names)
        return [self.raw(scrolling(f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>", "Replication"))]


def scrolling(rows: str, label: str) -> str:
    """A table that scrolls sideways on its own, also from the keyboard."""
    return (
        f'<div class="hs-scroll" role="region" tabindex="0" aria-label="{escape(label)}">'
        f'<table class="hs-table">{rows}</table></div>'
    )


class Claims(_Page):
    """Every checked claim of every chapter, each with a link to the cell that measured it."""

    def run(self) -> list[nodes.Node]:
        blocks = []
        for chapter in self.chapters():
            if not chapter.claims:
                continue
            blocks.append(f'<h3 id="claims-{chapter.number}">{chapter.number} {escape(chapter.title)}</h3>')
            blocks += [linked(html, chapter, key) for key, html in chapter.claims.items()]
        return [self.raw("".join(blocks))] if blocks else self.nothing("No claim has been checked yet.")


def linked(claim: str, chapter: Chapter, key: str) -> str:
    """A claim's box without its id, with a link to the cell that computed it."""
    inner = re.sub(r'\s+id="[^"]*"', "", claim, count=1)
    where = f'<a class="hs-claim__source" href="{chapter.docname}.html#{key}">measured in chapter {chapter.number}</a>'
    return inner.removesuffix("</div>") + f'<p class="hs-claim__link">{where}</p></div>'


class Gallery(_Page):
    """Every widget of the book, alive, with a link to the chapter it comes from."""

    def run(self) -> list[nodes.Node]:
        out = []
        for chapter in self.chapters():
            for html in chapter.widgets:
                where = f'<a href="{chapter.docname}.html">{chapter.number} {escape(chapter.title)}</a>'
                out.append(f'<div class="hs-shelf"><p>From {where}</p>{html}</div>')
        return [self.raw("".join(out))] if out else self.nothing("No chapter with a widget has been executed yet.")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("chapter", ChapterRole())
    for name, directive in [
        ("parts", Parts),
        ("chapter-list", Contents),
        ("provenance", Provenance),
        ("trust", Trust),
        ("claims", Claims),
        ("replicate", Replicate),
        ("gallery", Gallery),
    ]:
        app.add_directive(name, directive)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
