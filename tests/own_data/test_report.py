"""The report: what is dropped of the chapter, what one file holds, and what is said when it cannot be made."""

import json
import re
from itertools import pairwise
from pathlib import Path

import jupytext
import numpy as np
import papermill
import pytest
from nbclient.exceptions import DeadKernelError
from PIL import Image

from transferlib.datasets.collection import collect
from transferlib.errors import UserError
from transferlib.own_data import report as reporting
from transferlib.own_data.report import lean, listed, page, report, shown
from transferlib.own_data.saved import load_model

ODD = "<script>alert(1)<"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty pictures of two classes that differ in colour, and one file that is none."""
    rng = np.random.default_rng(0)
    for label, tint in (("red 'fox'", (200, 60, 40)), (ODD, (40, 60, 200))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(10):
            pixels = np.clip(rng.normal(tint, 60, (40, 50, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.jpg")
    (tmp_path / "photos" / ODD / "cut off.jpg").write_bytes(b"\xff\xd8\xff")
    return tmp_path / "photos"


def test_of_the_chapter_stay_the_cells_that_report_and_their_headings() -> None:
    notebook = lean(jupytext.read(reporting.NOTEBOOK))
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert prose[0] == "### What is in the data" and "### The decision" in prose
    assert all(re.fullmatch(r"### [^\n]+", text) for text in prose)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "run.claim(" not in code and 'check("15-' not in code and "save_model(" in code
    kinds = [cell.cell_type for cell in notebook.cells]
    assert ("markdown", "markdown") not in pairwise(kinds) and kinds[-1] == "code"


def test_names_are_text_on_the_page(photos: Path) -> None:
    found = collect(photos)
    assert listed([ODD]) == "<ul><li>&lt;script&gt;alert(1)&lt;</li></ul>"
    html = shown(found, [0, 11], [ODD, "b"])
    assert "<script" not in html and html.count("data:image/png;base64,") == 2


def test_twenty_pictures_become_one_file_a_model_and_numbers(photos: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_WORKERS", "2")
    out = tmp_path / "out"
    target = report(photos, out, profile="smoke")
    html = target.read_text(encoding="utf-8")
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|<link|@import|url\((?!#)", html)
    assert "cut off.jpg" in html and "1 of 21 files cannot be read" in html
    assert html.index("hs-decision") < html.index("What is in the data") < html.index("Take it along")
    assert html.count("<svg") >= 3 and "&lt;script&gt;alert(1)&lt;" in html
    numbers = json.loads((out / "metrics.json").read_text())["metrics"]
    assert numbers["examples"] == 20 and numbers["chosen"] and {"mean", "low", "high"} <= set(numbers["accuracy"])
    model = load_model(out / "model")
    assert list(model.about["classes"]) == sorted([ODD, "red 'fox'"])
    answers = model.predict([photos / "red 'fox'" / "0.jpg", photos / ODD / "0.jpg"])
    assert list(answers["class"]) == ["red 'fox'", ODD]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            papermill.PapermillExecutionError(3, 3, "x", "UserError", "Class 'a' has nothing to test on.", []),
            "Class 'a' has",
        ),
        (papermill.PapermillExecutionError(3, 3, "x", "MemoryError", "", []), "needs more memory than there is"),
        (
            papermill.PapermillExecutionError(3, 3, "x", "OSError", "[Errno 28] No space left on device", []),
            "disk is full",
        ),
        (papermill.PapermillExecutionError(3, 3, "x", "KeyError", "'q'", []), "stopped: KeyError: 'q'"),
        (OSError(28, "No space left on device"), "disk is full"),
        (DeadKernelError("Kernel died"), "needs more memory than there is"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_sentence(error, said, photos: Path, tmp_path: Path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(papermill, "execute_notebook", fail)
    with pytest.raises(UserError, match=re.escape(said)):
        report(photos, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*"))


def test_what_cannot_be_begun_is_one_sentence(photos: Path, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(UserError, match="There is nothing at"):
        report(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UserError, match="PROFILE"):
        report(photos, tmp_path / "out", profile="huge")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Nothing can be written to .*choose another folder"):
        report(photos, tmp_path / "file" / "out")
    monkeypatch.setattr(reporting, "NOTEBOOK", tmp_path / "none.md")
    with pytest.raises(UserError, match="install from a clone"):
        report(photos, tmp_path / "out")


def test_the_page_shows_results_and_nothing_else() -> None:
    import nbformat.v4 as v4

    cell = v4.new_code_cell("secret = 1", outputs=[
        v4.new_output("stream", name="stderr", text="progress"),
        v4.new_output("execute_result", data={"text/html": "<p>seen</p>"}, execution_count=1),
    ])  # fmt: skip
    html = page(v4.new_notebook(cells=[v4.new_markdown_cell("### Part"), cell]), "<b>")
    assert "seen" in html and "secret" not in html and "progress" not in html and "<h1>&lt;b&gt;</h1>" in html
    assert "http" not in html
