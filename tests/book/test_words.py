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


def blocks(glossary: str) -> list[list[str]]:
    """The names of each entry of a glossary: the lines of its block that are not indented, up to one that is."""
    inside = glossary.partition("```{glossary}")[2].partition("```")[0]
    heads = re.split(r"\n(?:[ ]+\S.*\n?)+", inside)
    return [names for head in heads if (names := [line.strip() for line in head.split("\n") if line.strip()])]


def entries(glossary: str) -> list[str]:
    """Every name that a glossary explains, small letters."""
    return [name.lower() for names in blocks(glossary) for name in names]


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


GLOSSARY_PAGE = ROOT / "book" / "glossary.md"
GLOSSARY = entries(read(GLOSSARY_PAGE))
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


def without_code(page: str) -> str:
    """A page without its front matter and its listings; what stands in a directive stays."""
    page = re.sub(r"\A---\n.*?\n---\n", "", page, flags=re.S)
    fence = re.compile(r"^(`{3,})(.*)\n((?:.*\n)*?)\1\s*$", flags=re.M)
    return fence.sub(lambda f: "" if re.match(r"\{code-cell\}|\w|$", f[2].strip()) else f[3], page)


def read_in_a_row(page: str) -> str:
    """What a reader reads in a row: no headings, formulas, tables, titles or sources; roles stay as they are."""
    page = without_code(page).partition("\n## Sources")[0]
    page = re.sub(r"^(:{3,})\{(?:formula|notation)\}.*\n(?:.*\n)*?\1\s*$", "", page, flags=re.M)
    return re.sub(r"^(?:#|\||:\w+:|:{3,}\{exercise\}).*$", "", page, flags=re.M)


def unmistakable(name: str) -> bool:
    """Two words, a hyphen, or several capitals: nobody writes that by chance, as one does *head* or *source*."""
    return bool(re.search(r"[A-Z].*[A-Z]|[- ]|³", name))


def place(name: str, plain: str) -> int:
    """Where a name first stands, in one or in many; the length of the text where it does not."""
    flags = re.NOFLAG if re.search("[A-Z]", name) else re.IGNORECASE
    found = re.search(rf"(?<![\w-]){re.escape(name)}(?:e?s)?(?![\w-])", plain, flags)
    return found.start() if found else len(plain)


def unexplained(pages: Iterable[str], glossary: str) -> list[str]:
    """The entries that pages, read in this order, use before one of them links to the entry."""
    left, found = blocks(glossary), []
    for page in map(read_in_a_row, pages):
        plain = re.sub(r"\{[\w:]+\}`[^`]*`|`[^`\n]*`|\$[^$]*\$", lambda role: " " * len(role[0]), page)
        links = [(" ".join(m[1].split()).lower(), m.start()) for m in TERM.finditer(page)]
        for entry in list(left):
            linked = min((at for name, at in links if name in map(str.lower, entry)), default=len(page))
            if min((place(name, plain) for name in entry if unmistakable(name)), default=linked) < linked:
                found.append(entry[0])
            if linked < len(page):
                left.remove(entry)
    return found


def test_a_reader_of_the_chapters_meets_no_term_before_it_is_linked_to_its_entry() -> None:
    assert unexplained([read(path) for path in PAGES if path.parent.name == "notebooks"], read(GLOSSARY_PAGE)) == []


@pytest.mark.parametrize("name", ["one-page", "decision-guide", "how-to-read", "try-it"])  # read by themselves
def test_a_page_around_the_chapters_links_each_term_where_it_first_stands(name: str) -> None:
    assert unexplained([read(ROOT / "book" / f"{name}.md")], read(GLOSSARY_PAGE)) == []


def test_a_term_that_comes_before_its_link_is_seen() -> None:
    glossary = "```{glossary}\nlinear probe\nprobe\n  One.\n\nLoRA\n  Two.\n\nhead\n  Three.\n```"
    early = "# A linear probe\n\nLinear probes, then a {term}`probe`. The head.\n\n```{code-cell}\nLoRA\n```\n"
    assert unexplained([early], glossary) == ["linear probe"]
    assert unexplained(["A {term}`linear probe <probe>` with `LoRA`.", "A linear probe, LoRA."], glossary) == ["LoRA"]


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
    return re.sub(r"\{cite[^`]*`[^`]*`|`[^`\n]*`|\$[^$]*\$|https?://\S+", "", without_code(page))


def foreign(page: str, spelt: dict[str, str]) -> list[str]:
    words = re.findall(r"[A-Za-z]+", prose(page))
    return [f"{word}: write {spelt[word.lower()]}" for word in words if spelt.get(word.lower())]


def misspelt(*paths: Path) -> list[str]:
    """What codespell finds in some files or folders, the kept words aside."""
    pytest.importorskip("codespell_lib", reason="codespell is not installed: spelling is not checked")
    flags = ["--builtin", "clear,rare", "--quiet-level", "3", "--skip", "*.npz,*.json,*.js,*.css,*.svg,embedded,vendor"]
    kept = ["--ignore-words-list", ",".join(word for word, _ in KEPT), "--ignore-regex", "Teh, Yee Whye"]
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
    page = "```{drawing} a\n```\n\nA color.\n\n```python\ncenter = 1\n```\n\n:::{guess} A center?\n:::\n"
    assert foreign(page, american()) == ["color: write colour", "center: write centre"]
