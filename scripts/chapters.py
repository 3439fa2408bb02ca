"""What ``make lint`` and ``make format`` call for the chapters: ruff reads their cells as those of one notebook.

ruff knows notebooks: names live on from cell to cell, a cell may end in an expression and begin with imports.
So a chapter's cells are handed to it as a notebook, and what it says is brought back to the line of the ``.md``.
Jupytext's own ``--pipe`` would name the lines of a temporary file, and write the prose anew.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import typer
from entry import main

import book
from transferlib.errors import UserError
from transferlib.runs.files import write
from transferlib.runs.provenance import meaning

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


class Cell(NamedTuple):
    """A code cell's source, without the empty lines around it, and where it begins in the chapter's text."""

    source: str
    start: int
    line: int


def cells(text: str) -> list[Cell]:
    r"""The code cells of a chapter's ``text``.

    >>> cells("Words.\n```{code-cell} ipython3\n:tags: [a]\n\nx = 1\n```\n")
    [Cell(source='x = 1', start=43, line=5)]
    """
    found = []
    for match in book.CELL.finditer(text):
        start = match.start(2) + len(match.group(2)) - len(match.group(2).lstrip("\n"))
        found.append(Cell(match.group(2).strip("\n"), start, text.count("\n", 0, start) + 1))
    return found


def spliced(text: str, sources: list[str]) -> str:
    """``text`` with other sources in its cells; every other character is as it was."""
    for cell, source in reversed(list(zip(cells(text), sources, strict=True))):
        text = text[: cell.start] + source + text[cell.start + len(cell.source) :]
    return text


def shown(path: Path) -> str:
    """The chapter's path as it is read in a message: from the folder above the chapters."""
    return path.relative_to(book.NOTEBOOKS.parent).as_posix()


def ruff(path: Path, sources: list[str], *arguments: str) -> Any:
    """What ``ruff *arguments`` answers for the sources as the cells of a notebook, with the chapters' settings.

    Raises ``UserError`` when ruff could not do its work.
    """
    empty: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    listed = [{**empty, "id": f"cell-{number}", "source": source} for number, source in enumerate(sources)]
    notebook = json.dumps({"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    name = str(book.NOTEBOOKS / f"{path.stem}.ipynb")  # decides which settings hold; no such file is there
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", name, "-"]
    done = subprocess.run(command, input=notebook, capture_output=True, encoding="utf-8")
    if done.returncode > 1 or not done.stdout:
        raise UserError(f"{shown(path)}: ruff stopped: {done.stderr.strip()}")
    return json.loads(done.stdout)


def laid_out(path: Path, sources: list[str]) -> list[str]:
    """The sources as the formatter lays them out. Raises ``UserError`` if it changed the meaning of one."""
    made = ["".join(cell["source"]) for cell in ruff(path, sources, "format")["cells"]]
    for before, after in zip(sources, made, strict=True):
        if meaning(before) != meaning(after):
            raise UserError(f"{shown(path)}: the formatter would change what this cell does:\n{before}")
    return made


def read(path: Path) -> tuple[str, list[Cell]]:
    """A chapter's text and its cells. Raises ``UserError`` for a cell that is no plain Python."""
    text = path.read_text(encoding="utf-8")
    for cell in cells(text):
        try:
            meaning(cell.source)
        except SyntaxError as error:
            line = cell.line + (error.lineno or 1) - 1
            raise UserError(
                f"{shown(path)}:{line}: Python cannot read this cell: {error.msg}. "
                "A chapter's cells are plain Python, without magics."
            ) from None
    return text, cells(text)


def complaints(path: Path) -> list[str]:
    """What ruff and its formatter have to say about a chapter: ``notebooks/06_lora.md:57:1: I001 …``."""
    _, parts = read(path)
    sources, found = [cell.source for cell in parts], []
    for one in ruff(path, sources, "check", "--output-format", "json"):
        line = parts[one["cell"] - 1].line + one["location"]["row"] - 1
        found.append((line, one["location"]["column"], f"{one['code']} {one['message']}"))
    for cell, after in zip(parts, laid_out(path, sources), strict=True):
        pairs = list(zip(cell.source.split("\n"), after.split("\n"), strict=False))
        if cell.source != after:
            row = next((i for i, (old, new) in enumerate(pairs) if old != new), len(pairs) - 1)
            found.append((cell.line + row, 1, "the formatter would lay this cell out differently: run `make format`"))
    return [f"{shown(path)}:{line}:{column}: {words}" for line, column, words in sorted(found)]


def chosen(only: str) -> list[Path]:
    """The chapters whose names begin as one of ``only`` does (``"01,05"``); all of them when it is empty."""
    wanted = tuple(only.replace(",", " ").split()) or ("",)
    return [path for path in book.chapters() if path.stem.startswith(wanted)]


@app.command()
def check(only: str = "") -> None:
    """Print what ruff finds in the chapters, with the chapter's own lines; exit status 1 when it finds something."""
    found = [line for path in chosen(only) for line in complaints(path)]
    print("\n".join([*found, f"{len(found)} complaints about the chapters." if found else "All chapters passed!"]))
    raise typer.Exit(1 if found else 0)


@app.command(name="format")
def lay_out(only: str = "", imports: bool = False) -> None:
    """Lay the chapters' cells out in place, each with its meaning as it was; ``--imports`` also sorts their imports."""
    for path in chosen(only):
        text, parts = read(path)
        sources = [cell.source for cell in parts]
        if imports:
            sorted_ = ruff(path, sources, "check", "--select", "I", "--fix-only", "--quiet")
            sources = ["".join(cell["source"]) for cell in sorted_["cells"]]
        if write(path, spliced(text, laid_out(path, sources))):
            print(f"{shown(path)} laid out")


if __name__ == "__main__":
    main(app)
