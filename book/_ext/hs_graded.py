"""``{graded} 06``: the exercises of a chapter for teachers, from a guess to an open project, each with a link."""

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from hs_chapters import NAMES, _plain, chapters
from hs_pages import _Page, link
from hs_reading import Exercise, box, text
from sphinx.application import Sphinx

START = re.compile(r"^(:{3,})\{exercise\} *(.*)\n((?::\w+:.*\n)*)", flags=re.M)


def exercises(prose: str) -> list[tuple[int, str, str, int]]:
    """(number, title, kind, minutes) of each exercise; kind is empty and minutes are 0 where the chapter names none."""
    found = []
    for number, match in enumerate(START.finditer(prose), 1):
        told = dict(re.findall(r"^:(\w+): *(.*)$", match[3], flags=re.M))
        found.append((number, _plain(match[2]), told.get("kind", ""), int(told.get("minutes", 0))))
    return found


def graded(found: list[tuple[int, str, str, int]]) -> list[tuple[int, str, str, int]]:
    """By kind, in the order of ``Exercise.KINDS``; those without a kind stand first."""
    return sorted(found, key=lambda one: ("", *Exercise.KINDS).index(one[2]))


class Graded(_Page):
    """A numbered list of the chapter's exercises; nothing where the chapter was not executed."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        number = self.arguments[0]
        if number not in NAMES:
            raise self.error(f"graded: chapter {number!r} is unknown; write 01 to 15.")
        self.chapters()
        chapter = next((c for c in chapters(Path(self.env.srcdir)) if c.number == number), None)
        if chapter is None:
            return self.nothing(f"The exercises appear here once chapter {number} has been executed.")
        notebook = Path(self.env.srcdir) / f"{chapter.docname}.ipynb"
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        prose = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        items = []
        for i, title, kind, minutes in graded(exercises(prose)):
            target = link(title or f"Exercise {i}", chapter.docname, f"exercise-{i}")
            target["refdoc"] = self.env.docname
            about = " · ".join(filter(None, [kind, f"{minutes} min" if minutes else ""]))
            items.append(box("li", "hs-graded__item", target, text("span", "hs-graded__about", f" {about}".rstrip())))
        return [box("p", "hs-graded__head", nodes.Text("Exercises")), box("ul", "hs-graded", *items)]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("graded", Graded)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
