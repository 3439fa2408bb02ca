"""Chapters as they were in the last release still run with today's package: a reader's own notebook does, too."""

import subprocess
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "93e5ba9"  # 0.1.0


@pytest.mark.parametrize("name", ["01_head_start", "10_continual"])
def test_a_chapter_of_the_last_release_still_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ["git", "-C", str(ROOT), "show", f"{RELEASE}:notebooks/{name}.md"]
    try:
        text = subprocess.run(told, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"there is no git history with the release {RELEASE} here")
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path / "build"))
    notebook = jupytext.reads(text, fmt="md:myst")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    papermill.execute_notebook(
        tmp_path / "in.ipynb", tmp_path / "out.ipynb", {"PROFILE": "smoke"},
        kernel_name="python3", cwd=str(tmp_path), progress_bar=False,
    )  # fmt: skip
    assert (tmp_path / "build" / "metrics" / f"{name[:2]}.json").is_file()
