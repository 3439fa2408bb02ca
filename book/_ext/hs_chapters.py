"""The chapters that have been executed, read from their notebooks and provenance: no Sphinx in here."""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

PARTS = [
    ("The head start", range(1, 6)),
    ("Careful fine-tuning", range(6, 10)),
    ("Research depth", range(10, 15)),
    ("Practice", range(15, 100)),
]
ROMAN = ("I", "II", "III", "IV")
NAMES = {
    "01": "Head start", "02": "Why it works", "03": "Probe, fine-tune, or in between", "04": "Four ways to be wrong",
    "05": "Crossing a domain gap", "06": "LoRA", "07": "Adapters and prompts",
    "08": "Fine-tuning without forgetting", "09": "Foundation models, zero and few labels",
    "10": "Continual learning", "11": "Learning in the prompt", "12": "Many tasks at once",
    "13": "Learning to learn", "14": "Preferences", "15": "Your own data",
}  # fmt: skip


class Task(NamedTuple):
    """An exercise as its chapter announces it; no kind and 0 minutes where the chapter names none."""

    number: int
    title: str
    kind: str
    minutes: int


@dataclass(frozen=True)
class Chapter:
    """One executed chapter: its place in the book, its title and first sentence, and what it holds."""

    number: str
    slug: str
    title: str
    lead: str
    part: str
    exercises: tuple[Task, ...] = ()
    drawings: tuple[tuple[str, str], ...] = ()  # the name and the caption of each
    widgets: tuple[str, ...] = ()  # the HTML of each
    anchors: frozenset[str] = frozenset()
    claims: dict[str, str] = field(default_factory=dict, hash=False)  # id of the box: its HTML
    provenance: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def docname(self) -> str:
        """The Sphinx name of the chapter's page."""
        return f"chapters/{self.slug}"


def part_of(number: str) -> str:
    """``"Part I · The head start"`` for chapter 01."""
    for roman, (name, numbers) in zip(ROMAN, PARTS, strict=True):
        if int(number) in numbers:
            return f"Part {roman} · {name}"
    return "Further chapters"


def short(commit: object) -> str:
    """The first ten letters of a commit, and its ``+`` where files differed from it: ``"0123456789+"``."""
    text = str(commit or "–")
    return text[:10] + "+" * text.endswith("+")


def _plain(markdown: str) -> str:
    """Markdown without its marks: roles, links, emphasis."""
    plain = re.sub(r"\{[a-z:]+\}`([^`<]*?)\s*(?:<[^>`]*>)?`", r"\1", markdown)
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    return re.sub(r"[*_`]", "", plain).strip()


EXERCISE = re.compile(r"^:{3,}\{exercise\} *(.*)\n((?::\w+:.*\n)*)", flags=re.M)
DRAWING = re.compile(r"^[`:]{3,}\{drawing\} *(\S+)\n(?::caption: *(.*)\n)?", flags=re.M)


def tasks(prose: str) -> tuple[Task, ...]:
    """The exercises of a chapter, in its order."""
    found = []
    for number, match in enumerate(EXERCISE.finditer(prose + "\n"), 1):
        told = dict(re.findall(r"^:(\w+): *(.*)$", match[2], flags=re.M))
        found.append(Task(number, _plain(match[1]), told.get("kind", ""), int(told.get("minutes", 0))))
    return tuple(found)


def written(path: Path) -> tuple[int, int]:
    """When a file was last written and its size: what a kept reading of it stands for; zeros without the file."""
    return (found.st_mtime_ns, found.st_size) if path.is_file() and (found := path.stat()) else (0, 0)


def read_chapter(notebook: Path, provenance: Path) -> Chapter:
    """Read one executed notebook and, where it was written, its provenance."""
    return _read(notebook, provenance, written(notebook), written(provenance))


@lru_cache(maxsize=64)  # every page and every link to a chapter asks for all of them
def _read(notebook: Path, provenance: Path, *_written: tuple[int, int]) -> Chapter:
    number = notebook.stem[:2]
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    prose = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    head = re.search(r"^# +(.+)\n+([^#:`\n].*(?:\n(?!\n).+)*)?", prose, flags=re.M)
    title = _plain(head.group(1)) if head else NAMES.get(number, notebook.stem)
    outputs = [
        "".join(output.get("data", {}).get("text/html", "")) for cell in cells for output in cell.get("outputs", [])
    ]
    claims = [box for html in outputs for box in re.findall(r'<div class="hs-claim".*?</div>', html, flags=re.S)]
    return Chapter(
        number=number,
        slug=notebook.stem,
        title=re.sub(r"^\d+\W+", "", title),
        lead=_plain(" ".join((head.group(2) or "").split())) if head else "",
        part=part_of(number),
        exercises=tasks(prose),
        drawings=tuple(DRAWING.findall(prose)),
        widgets=tuple(html for html in outputs if 'class="hs-widget"' in html),
        anchors=frozenset(re.findall(r'\bid="([^"]+)"', "".join(outputs))),
        claims={found.group(1): box for box in claims if (found := re.search(r'\bid="([^"]+)"', box))},
        provenance=json.loads(provenance.read_text(encoding="utf-8")) if provenance.is_file() else {},
    )


def code_of(notebook: Path) -> str:
    """The source of a notebook's code cells."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


def chapters(source: Path) -> list[Chapter]:
    """Every chapter under ``source/chapters``, in order; none is an ordinary answer."""
    return [
        read_chapter(path, source / "_data" / "provenance" / f"{path.stem[:2]}.json")
        for path in sorted((source / "chapters").glob("[0-9][0-9]_*.ipynb"))
    ]
