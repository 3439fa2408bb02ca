"""``{number}`06 near-full```: what a chapter measured, with its interval, linked to the claim that it belongs to."""

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from hs_chapters import NAMES, chapters
from hs_pages import link
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from transferlib.course.printing import number
from transferlib.errors import nearest

ODD = {"weaker": "weaker in this run", "contradicted": "contradicted in this run"}


def printed(claim: dict[str, Any]) -> str:
    """A claim's value as a page prints it: ``"14.4 points [11.6, 17.2]"``; a count or an identity has no interval."""
    value, digits = claim["value"], claim["digits"]
    shown = number(value["mean"], digits) + (f" {claim['unit']}" if claim["unit"] else "")
    if claim["kind"] != "fact":
        shown += f" [{number(value['low'], digits)}, {number(value['high'], digits)}]"
    if claim["verdict"] in ODD:
        shown += f" ({ODD[claim['verdict']]})"
    return shown.replace(" ", "\u00a0").replace("\u00a0[", " [").replace("\u00a0(", " (")


class Number(SphinxRole):
    """The value of a claim. A chapter that was not executed is named instead; a name that it lacks stops the build."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found = re.fullmatch(r"(\d\d) ([\w-]+)", self.text.strip())
        if not found or found.group(1) not in NAMES:
            return self.refused(f"{self.text!r} names no claim; write a chapter and a claim, as in '06 near-full'.")
        chapter, key = found.groups()
        path = Path(self.env.srcdir) / "_data" / "metrics" / f"{chapter}.json"
        self.env.note_dependency(str(path))
        page = next((c for c in chapters(self.env.srcdir) if c.number == chapter), None)
        if not path.is_file() or page is None:
            return [nodes.emphasis("", f"a number that chapter {int(chapter)} has not measured yet")], []
        claims = {claim["id"]: claim for claim in json.loads(path.read_text(encoding="utf-8"))["claims"]}
        if key not in claims:
            return self.refused(f"chapter {chapter} makes no claim {key!r}; {nearest(key, claims)}")
        node = link(printed(claims[key]), page.docname, f"claim-{key}", css="hs-number")
        node["refdoc"] = self.env.docname
        return [node], []

    def refused(self, sentence: str) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        return [], [self.inliner.reporter.error(f"number: {sentence}", line=self.lineno)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("number", Number())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
