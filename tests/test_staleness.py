"""What is executed again after an edit, on the real chapters: those that use what changed, and no other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository's code and chapters, as if every chapter had just been executed."""
    for part in ("notebooks", "transferlib", "scripts"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "embedded"))
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    executed = tmp_path / "build" / "executed"
    executed.mkdir(parents=True)
    keys = (
        "import sys; sys.path.insert(0, 'scripts'); import book\n"
        "for p in book.chapters(): print(p.stem, book.key(p, book.parse('cpu 0 cpu ')))"
    )
    for line in run(tmp_path, ["-c", keys], "").splitlines():
        name, key = line.split()
        (executed / f"{name}.ipynb").write_text("{}")
        (executed / f"{name}.key").write_text(f"{key}\n")
    assert stale(tmp_path) == []
    return tmp_path


def stale(place: Path, parameters: str = "cpu 0 cpu ") -> list[str]:
    return [name[:2] for name in run(place, ["scripts/book.py", "stale"], parameters).split()]


def run(place: Path, words: list[str], parameters: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(place), "TRANSFERLIB_BUILD": str(place / "build")}
    done = subprocess.run(
        [sys.executable, *words], cwd=place, capture_output=True, text=True, check=True,
        env={**environment, "TRANSFERLIB_PARAMETERS": parameters},
    )  # fmt: skip
    return done.stdout


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} no longer holds {old!r}: give the test another line"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_words_and_comments_execute_nothing(copy: Path) -> None:
    edit(copy / "notebooks" / "13_meta.md", "## Watch out", "More words.\n\n## Watch out")
    edit(copy / "transferlib" / "tuning" / "training.py", "# dropout", "# another comment")
    assert stale(copy) == []


def test_a_technique_executes_the_chapters_that_use_it(copy: Path) -> None:
    edit(copy / "transferlib" / "meta" / "prototypes.py", "def prototypes(", "EXTRA = 1\n\n\ndef prototypes(")
    assert stale(copy) == ["13"]
    edit(copy / "transferlib" / "own_data" / "calibration.py", "bins: int = 10", "bins: int = 12")
    assert stale(copy) == ["13", "15"]


def test_a_cell_executes_its_chapter_and_a_parameter_all(copy: Path) -> None:
    edit(copy / "notebooks" / "07_adapters_prompts.md", "run = chapter.begin(", "extra = 1\nrun = chapter.begin(")
    assert stale(copy) == ["07"]
    everything = sorted(path.stem[:2] for path in (copy / "notebooks").glob("[0-9]*.md"))
    assert stale(copy, "cpu 1 cpu ") == everything
