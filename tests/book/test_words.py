"""Words that the book explains, and sources that it names: each once, and none that leads nowhere. Nothing is built."""

import re
import subprocess
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


KEPT = [line.split(maxsplit=1) for line in read(Path(__file__).with_name("kept_words.txt")).splitlines()[1:]]
WRITTEN = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "RELEASING.md"))]


def american() -> dict[str, str]:
    """American spelling → British spelling, from codespell's own list read backwards."""
    codespell = pytest.importorskip("codespell_lib", reason="codespell is not installed: spelling is not checked")
    listed = read(Path(codespell.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt")
    pairs = [line.split("->") for line in listed.splitlines() if "->" in line]
    kept = {word for word, reason in KEPT if reason.startswith("us:")}
    return {word.strip(): british for british, us in pairs for word in us.split(",") if word.strip() not in {"", *kept}}


def prose(page: str) -> str:
    """A page without its code, formulas, citations and addresses."""
    page = re.sub(r"^(`{3,})(?:\{code-cell\}|\w*\n).*?^\1\s*$", "", page, flags=re.M | re.S)
    return re.sub(r"\{cite[^`]*`[^`]*`|`[^`\n]*`|\$[^$]*\$|https?://\S+", "", page)


def foreign(page: str, spelt: dict[str, str]) -> list[str]:
    words = re.findall(r"[A-Za-z]+", prose(page))
    return [f"{word}: write {spelt[word.lower()]}" for word in words if spelt.get(word.lower())]


def misspelt(*paths: Path) -> list[str]:
    """What codespell finds in some files or folders, the kept words aside."""
    pytest.importorskip("codespell_lib", reason="codespell is not installed: spelling is not checked")
    flags = ["--builtin", "clear,rare", "--quiet-level", "3", "--skip", "*.npz,*.json,*.js,*.css,*.svg,embedded,vendor"]
    kept = ["--ignore-words-list", ",".join(word for word, _ in KEPT)]
    done = subprocess.run([sys.executable, "-m", "codespell_lib", *flags, *kept, *map(str, paths)],
                          capture_output=True, text=True, cwd=ROOT)  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_every_word_is_spelt_right() -> None:
    folders = [ROOT / name for name in ("transferlib", "scripts", "book/_ext", "book/references.bib", "NOTICE")]
    assert not misspelt(*WRITTEN, *folders)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_prose_is_british(path: Path) -> None:
    assert not foreign(read(path), american())


def test_the_spelling_tests_see_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("Teh regresion of Frome.\n")
    assert [line.split(": ")[-1] for line in misspelt(tmp_path)] == ["Teh ==> The", "regresion ==> regression"]
    page = "The color of `color` and $color$.\n\n```{code-cell}\ncenter = 1\n```\n\nIt has practice.\n"
    assert foreign(page, american()) == ["color: write colour"]
