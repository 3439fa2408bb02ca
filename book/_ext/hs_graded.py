"""Exercises with kind, hardness and time: ``{graded} 06`` for teachers, and ``{exercises}``, those of all chapters."""

from collections.abc import Iterable
from html import escape
from typing import Any

from docutils import nodes
from hs_chapters import NAMES, Task
from hs_pages import _Page, link
from hs_reading import Exercise, box, text
from sphinx.application import Sphinx

KINDS = ("", *Exercise.KINDS)
HARDNESS = ("", "easy", "easy", "medium", "medium", "hard", "hard")  # of each kind


def graded(found: Iterable[Task]) -> list[Task]:
    """By kind, in the order of ``Exercise.KINDS``; those without a kind stand first."""
    return sorted(found, key=lambda task: KINDS.index(task.kind))


def about(task: Task) -> str:
    """``"derive · medium · 10 min"``."""
    hardness = HARDNESS[KINDS.index(task.kind)]
    return " · ".join(filter(None, [task.kind, hardness, f"{task.minutes} min" if task.minutes else ""]))


class Graded(_Page):
    """A numbered list of the chapter's exercises; nothing where the chapter was not executed."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        number = self.arguments[0]
        if number not in NAMES:
            raise self.error(f"graded: chapter {number!r} is unknown; write 01 to 15.")
        chapter = next((c for c in self.chapters() if c.number == number), None)
        if chapter is None:
            return self.nothing(f"The exercises appear here once chapter {number} has been executed.")
        items = []
        for task in graded(chapter.exercises):
            target = link(task.title or f"Exercise {task.number}", chapter.docname, f"exercise-{task.number}")
            target["refdoc"] = self.env.docname
            told = text("span", "hs-graded__about", f" {about(task)}".rstrip())
            items.append(box("li", "hs-graded__item", target, told))
        return [box("p", "hs-graded__head", nodes.Text("Exercises")), box("ul", "hs-graded", *items)]


class Exercises(_Page):
    """Every exercise in the order of its chapter, with the reader's progress where JavaScript runs."""

    def run(self) -> list[nodes.Node]:
        blocks = []
        for chapter in (c for c in self.chapters() if c.exercises):
            items = "".join(
                f'<li data-exercise="{chapter.docname}#exercise-{task.number}">'
                f'<a href="{chapter.docname}.html#exercise-{task.number}">'
                f"{escape(task.title or f'Exercise {task.number}')}</a>"
                f' <span class="hs-graded__about">{about(task)}</span></li>'
                for task in chapter.exercises
            )
            blocks.append(
                f'<section class="hs-exercises"><h2 id="exercises-{chapter.number}">{chapter.number} '
                f"{escape(chapter.title)}</h2><ol>{items}</ol></section>"
            )
        return [self.raw("".join(blocks))] if blocks else self.nothing("No chapter has been executed yet.")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("graded", Graded)
    app.add_directive("exercises", Exercises)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
