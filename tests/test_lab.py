"""A chapter in JupyterLab: plain prose, collapsed code, and a file that saving leaves as it was."""

import asyncio
import re
import shutil
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import lab  # noqa: E402
from plain_markdown import plain  # noqa: E402

import book  # noqa: E402


@pytest.fixture
def chapters(tmp_path: Path) -> Any:
    """The server's side of JupyterLab, on copies of the chapters."""
    for file in [*book.chapters(), ROOT / "notebooks" / "jupytext.toml"]:
        shutil.copy2(file, tmp_path)
    return lab.Chapters(root_dir=str(tmp_path))


def awaited(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: a browser test before this one may have left its loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def get(chapters: Any, name: str) -> dict[str, Any]:
    return awaited(chapters.get(name, type="notebook", content=True))


@pytest.mark.parametrize("path", book.chapters(), ids=lambda path: path.stem)
def test_a_chapter_that_was_opened_and_saved_is_the_same_file(chapters: Any, path: Path, tmp_path: Path) -> None:
    model = get(chapters, path.name)
    assert any("as_written" in cell["metadata"] for cell in model["content"]["cells"])
    awaited(chapters.save({"type": "notebook", "format": "json", "content": model["content"]}, path.name))
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("path", book.chapters(), ids=lambda path: path.stem)
def test_no_directive_is_left_and_no_word_of_the_prose_is_lost(path: Path) -> None:
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "markdown":
            text = plain(cell.source)
            assert not re.search(r"\{[a-z:]+\}`|^\s*(:{3,}|`{3,}\{)", text, re.M)
            words = re.sub(
                r"^\s*(:{3,}|`{3,})\{.*?\}|^:[a-z]+:.*$|\{[a-z:]+\}`[^`]*`|- \[[ x]\]|::", "", cell.source, flags=re.M
            )
            assert set(re.findall(r"[A-Za-z]{4,}", words)) <= set(re.findall(r"[A-Za-z]{4,}", text))


def test_folded_code_is_collapsed_and_drawings_are_pictures(chapters: Any) -> None:
    cells = get(chapters, "01_head_start.md")["content"]["cells"]
    hidden = [c for c in cells if c["metadata"].get("jupyter", {}).get("source_hidden")]
    assert {"experiment", "hide-input"} <= {tag for c in hidden for tag in c["metadata"]["tags"]}
    assert not any("exercise" in c["metadata"]["tags"] for c in hidden)
    pictures = re.findall(r"!\[.*\]\((.*)\)", "".join(c["source"] for c in cells if c["cell_type"] == "markdown"))
    assert len(pictures) == 2 and all((ROOT / "notebooks" / picture).is_file() for picture in pictures)


def test_what_the_learner_writes_is_saved(chapters: Any, tmp_path: Path) -> None:
    model = get(chapters, "01_head_start.md")
    cells = model["content"]["cells"]
    cells[0]["source"] += "\n\nMy own note."
    awaited(chapters.save({"type": "notebook", "format": "json", "content": model["content"]}, "01_head_start.md"))
    text = (tmp_path / "01_head_start.md").read_text(encoding="utf-8")
    assert "My own note." in text and "source_hidden" not in text and "as_written" not in text
    assert "{term}`features`" in text  # cells that were not edited keep the book's own words


def test_a_formula_and_a_guess() -> None:
    text = plain(":::{formula}\n:symbols: W = weights\ny = W x\n---\nA *sum*.\n:::")
    assert text == "$$\ny = W x\n$$\n\nA *sum*.\n\n$W$ = weights"
    text = plain(":::{guess} Which?\n- [ ] This. :: It is not.\n- [x] That. :: It is.\n:::")
    assert text.startswith("**Guess.** Which?\n\n- This.\n- That.\n") and "- **Yes**: That. It is." in text
