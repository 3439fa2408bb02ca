"""Words that the book explains, and sources that it names: each once, and none that leads nowhere. Nothing is built."""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from hs_symbols import parse  # noqa: E402

PAGES = sorted([*(ROOT / "notebooks").glob("[0-9]*.md"), *(ROOT / "book").glob("*.md")])
TERM = re.compile(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`")
CITE = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
ENTRY = re.compile(r"^@\w+\{([^,\s]+),", flags=re.M)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def entries(glossary: str) -> list[str]:
    """Every name that a glossary explains, small letters: the lines of its block that are not indented."""
    inside = glossary.partition("```{glossary}")[2].partition("```")[0]
    return [line.strip().lower() for line in inside.split("\n") if line.strip() and not line.startswith(" ")]


def twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def terms(page: str) -> set[str]:
    """The glossary entries that a page links to: in its prose, its notation tables and the symbols of its formulas."""
    linked = {" ".join(name.split()).lower() for name in TERM.findall(page)}
    blocks = re.findall(r"^:{3,}\{notation\}.*\n((?:(?!:{3}).*\n)*)", page, flags=re.M)
    linked |= {s.term.lower() for s in parse([line for b in blocks for line in b.split("\n") if line[:1] != ":"])}
    for option in re.findall(r"^:symbols: (.*)$", page, flags=re.M):
        linked |= {part.partition(" | ")[2].strip().lower() for part in option.split(";")}
    return linked - {""}


def cited(page: str) -> set[str]:
    return {key.strip() for keys in CITE.findall(page) for key in keys.split(",")}


GLOSSARY = entries(read(ROOT / "book" / "glossary.md"))
SOURCES = ENTRY.findall(read(ROOT / "book" / "references.bib"))


def test_the_glossary_explains_each_name_once() -> None:
    assert not twice(GLOSSARY)


def test_the_notation_gives_each_symbol_one_meaning() -> None:
    blocks = re.findall(r"^:{3}\{notation\}.*\n((?:(?!:{3}).*\n)*)", read(ROOT / "book" / "notation.md"), flags=re.M)
    assert not twice(s.tex for s in parse("".join(blocks).split("\n")))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_term_that_is_linked_is_explained(path: Path) -> None:
    assert not terms(read(path)) - set(GLOSSARY)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_source_that_is_named_is_in_the_bibliography(path: Path) -> None:
    assert not cited(read(path)) - set(SOURCES)


def test_the_bibliography_holds_each_source_once_and_none_that_no_page_names() -> None:
    assert not twice(SOURCES)
    assert not set(SOURCES) - set().union(*(cited(read(path)) for path in PAGES))


def test_the_readers_of_this_file_find_what_they_look_for() -> None:
    page = ":::{notation} A\nx | input | features\n:::\n\n{term}`Probes <probe>`, {term}`LoRA`, {cite:t}`a2020,b2021`."
    assert terms(page + "\n:symbols: r = rank | rank; q = query") == {"features", "probe", "lora", "rank"}
    assert cited(page) == {"a2020", "b2021"}
    assert twice(entries("```{glossary}\nAdam\n  One.\n\nadam\n  Two.\n```")) == ["adam"]
