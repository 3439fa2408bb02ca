"""Each chapter runs headless with its solutions filled in, and has the parts a chapter needs."""

import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md"))
SOLUTION = re.compile(
    r"^:{3,}\{solution\}.*?\n(?:.*?\n)??```(?:python|\{code-block\} python)\n(.*?)^```", re.DOTALL | re.MULTILINE
)


def with_solutions(path: Path) -> tuple[Any, int]:
    """The notebook with each exercise cell's placeholder replaced by the folded solution that follows it."""
    notebook, count = jupytext.read(path), 0
    for position, cell in enumerate(notebook.cells):
        if "exercise" not in cell.metadata.get("tags", []):
            continue
        later = (c.source for c in notebook.cells[position + 1 :] if c.cell_type == "markdown")
        solution = next((found.group(1) for text in later if (found := SOLUTION.search(text))), None)
        assert solution, f"{path.name}: the exercise in cell {position} has no solution after it"
        assert "check(" in cell.source, f"{path.name}: the exercise in cell {position} does not check itself"
        placeholder, asked, rest = cell.source.partition("check(")
        assert "..." in placeholder, f"{path.name}: the exercise in cell {position} leaves nothing to fill in"
        cell.source = f"{placeholder}\n{solution}\n{asked}{rest}"
        count += 1
    return notebook, count


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_and_its_solutions_pass(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_STRICT_EXERCISES", "1")
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path / "build"))
    notebook, exercises = with_solutions(path)
    assert exercises >= 2
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    papermill.execute_notebook(
        tmp_path / "in.ipynb", tmp_path / "out.ipynb", {"PROFILE": "smoke"},
        kernel_name="python3", cwd=str(path.parent), progress_bar=False,
    )  # fmt: skip
    number = path.stem[:2]
    assert (tmp_path / "build" / "metrics" / f"{number}.json").is_file()
    assert list((tmp_path / "build" / "figures").glob(f"{number}-*.svg"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_parts_and_no_typed_in_result(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for part in (
        "## Reach for it when",
        "## Watch out",
        "## Exercises",
        "## Sources",
        "{formula}",
        "run.claim(",
        "run.save(",
    ):
        assert part in text, f"{path.name} lacks {part!r}"
    for depth in "23":
        assert re.search(rf"\{{depth(?:-start)?\}} {depth}", text), f"{path.name} has no section at depth {depth}"
    assert "{cite}`" in text and "{term}`" in text
    notebook = jupytext.read(path)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs never go into the repository"
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    prose = re.sub(r"`[^`]*`|```.*?```|95 % interval", "", prose, flags=re.DOTALL)
    typed = re.findall(r"[^.\n]*accuracy[^.\n]*\b\d{2}(?:\.\d)?\s?%[^.\n]*", prose)
    assert not typed, f"{path.name} types in a measured number: {typed}"
