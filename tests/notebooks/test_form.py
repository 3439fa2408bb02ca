"""How a chapter's code looks: short cells, and ruff's complaints with the chapter's own lines."""

import json
import sys
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import chapters  # noqa: E402
from lab import FOLDED  # noqa: E402

import book  # noqa: E402
from transferlib.errors import UserError  # noqa: E402

VISIBLE, HIDDEN = 15, 40  # lines of a cell at most, as the formatter lays it out
# Cells that are too long: visible, hidden. A number may only shrink; the second edition brings each to 0.
TOO_LONG = {
    "01_head_start": (1, 0),
    "02_why_it_works": (1, 0),
    "03_probe_or_fine_tune": (1, 0),
    "04_watch_out": (0, 0),
    "05_domain_gap": (1, 0),
    "06_lora": (1, 0),
    "07_adapters_prompts": (1, 0),
    "08_without_forgetting": (0, 0),
    "09_foundation_models": (1, 0),
    "10_continual": (0, 0),
    "11_in_the_prompt": (0, 0),
    "13_meta": (3, 1),
    "14_preferences": (0, 0),
}


def too_long(path: Path) -> tuple[int, int]:
    """How many visible and how many hidden cells of a chapter have too many lines."""
    cells = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    hidden = [bool(FOLDED & set(cell.metadata.get("tags", []))) for cell in cells]
    lines = [source.count("\n") + 1 for source in chapters.laid_out(path, [cell.source for cell in cells])]
    over = [n > (HIDDEN if out_of_sight else VISIBLE) for n, out_of_sight in zip(lines, hidden, strict=True)]
    return (
        sum(o and not h for o, h in zip(over, hidden, strict=True)),
        sum(o and h for o, h in zip(over, hidden, strict=True)),
    )


@pytest.mark.parametrize("path", book.chapters(), ids=lambda path: path.stem)
def test_a_chapters_long_cells_only_become_fewer(path: Path) -> None:
    found, allowed = too_long(path), TOO_LONG.get(path.stem, (0, 0))
    kinds = (f"visible cells of more than {VISIBLE} lines", f"hidden cells of more than {HIDDEN} lines")
    for count, most, kind in zip(found, allowed, kinds, strict=True):
        assert count <= most, f"{path.name} has {count} {kind}, {most} are allowed: shorten one"
        assert count == most, f"{path.name} has {count} {kind}: write {count} instead of {most} into TOO_LONG"


def test_the_table_names_no_chapter_that_is_gone() -> None:
    assert set(TOO_LONG) <= {path.stem for path in book.chapters()}


CHAPTER = """# Tiny

Some  prose,   laid out   by hand.

```{code-cell} ipython3
:tags: [hide-input]


import os

x = {  'a' : 1 }
```

:::{solution}
```python
y = {  'b' : 2 }
```
:::

```{code-cell} ipython3
print( x , os.name )
x
```"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of chapters with the settings of ours."""
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for name in ("pyproject.toml", "notebooks/ruff.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(book, "NOTEBOOKS", notebooks)
    return notebooks


def write(folder: Path, text: str) -> Path:
    path = folder / "01_tiny.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_formatter_changes_cells_and_leaves_every_other_byte(folder: Path) -> None:
    path = write(folder, CHAPTER)
    chapters.lay_out()
    wanted = CHAPTER.replace("x = {  'a' : 1 }", 'x = {"a": 1}').replace("print( x , os.name )", "print(x, os.name)")
    assert path.read_bytes() == wanted.encode()
    assert chapters.complaints(path) == []


def test_a_chapter_that_was_not_asked_for_stays(folder: Path) -> None:
    path = write(folder, CHAPTER)
    chapters.lay_out(only="02,3")
    assert path.read_bytes() == CHAPTER.encode()


def test_a_complaint_names_the_chapter_and_its_own_line(folder: Path) -> None:
    long = f"unknown({'1 + ' * 25}1)"
    path = write(folder, CHAPTER.replace("\nx\n", f"\nx\n{long}\n"))
    line = path.read_text(encoding="utf-8").split("\n").index(long) + 1
    found = chapters.complaints(path)
    assert f"notebooks/01_tiny.md:{line}:1: F821 Undefined name `unknown`" in found
    assert any(words.startswith(f"notebooks/01_tiny.md:{line}:101: E501") for words in found)
    assert "notebooks/01_tiny.md:11:1: the formatter would lay this cell out differently: run `make format`" in found


def test_names_live_on_from_cell_to_cell_and_a_cell_may_end_in_an_expression(folder: Path) -> None:
    cell = "```{{code-cell}} ipython3\n{}\n```\n"
    path = write(folder, "\n".join(map(cell.format, ("import json", "import os\n\nx = os.name", "json.dumps(x)\nx"))))
    assert chapters.complaints(path) == []


def test_the_limit_is_100_columns(folder: Path) -> None:
    for columns, complaints in ((100, 0), (101, 1)):
        path = write(folder, f"```{{code-cell}} ipython3\n# {'words ' * 15}{'x' * (columns - 92)}\n```\n")
        assert len(chapters.complaints(path)) == complaints


def test_check_ends_with_status_one_when_ruff_complains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, status in ((CHAPTER, 1), ("```{code-cell} ipython3\nx = 1\n```\n", 0)):
        write(folder, text)
        with pytest.raises(chapters.typer.Exit) as end:
            chapters.check()
        assert end.value.exit_code == status
    assert "2 complaints about the chapters." in capsys.readouterr().out


@pytest.mark.parametrize("line", ["%timeit 1", "!ls", "x = (1"])
def test_a_cell_that_is_no_python_is_named_with_its_line(folder: Path, line: str) -> None:
    path = write(folder, f"Words.\n\n```{{code-cell}} ipython3\nx = 1\n{line}\n```\n")
    for work in (lambda: chapters.complaints(path), chapters.lay_out):
        with pytest.raises(UserError, match=r"notebooks/01_tiny\.md:5: Python cannot read this cell"):
            work()


def test_a_formatter_that_changes_what_a_cell_does_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, CHAPTER)
    wrong = {"cells": [{"source": "import os\nx = 2"}, {"source": "print(x, os.name)\nx"}]}
    monkeypatch.setattr(chapters, "ruff", lambda *_: json.loads(json.dumps(wrong)))
    with pytest.raises(UserError, match="would change what this cell does"):
        chapters.lay_out()
    assert path.read_bytes() == CHAPTER.encode()
