"""The report: one file that fetches nothing, the chapter's numbers, and one sentence for whatever goes wrong."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jupytext
import numpy as np
import pytest
from PIL import Image

from transferlib.errors import UserError
from transferlib.own_data import report as reporting
from transferlib.own_data.report import report
from transferlib.own_data.saved import load_model

ROOT = Path(__file__).resolve().parents[2]
ODD, DOLLAR = "<script>alert(1)<", r"red 'fox' & $\frac$"
NOTEBOOKS = ("jupytext", "papermill", "nbformat", "nbconvert", "ipykernel", "IPython", "myst_nb")


def photographs(folder: Path) -> Path:
    """Twenty pictures of two classes that differ in colour, and one file that is none."""
    rng = np.random.default_rng(0)
    for label, tint in ((DOLLAR, (200, 60, 40)), (ODD, (40, 60, 200))):
        (folder / label).mkdir(parents=True)
        for i in range(10):
            pixels = np.clip(rng.normal(tint, 90, (40, 50, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i} \"<img src=x onerror=alert(2)>'.jpg")
    (folder / ODD / "cut <b>off.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(data, report) from a process, and processes below it, in which nothing of notebooks can be imported."""
    place = tmp_path_factory.mktemp("report")
    photos, out = photographs(place / "photos & more"), place / "out"
    (place / "site").mkdir()
    (place / "site" / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({NOTEBOOKS}))\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(place / "site"), str(ROOT)]))
        patch.setenv("TRANSFERLIB_WORKERS", "2")
        for name in NOTEBOOKS:
            patch.setitem(sys.modules, name, None)
        assert report(photos, out, profile="smoke") == out / "report.html"
    return photos, out


def test_there_are_a_page_numbers_a_model_and_figures_and_nothing_else(made: tuple[Path, Path]) -> None:
    photos, out = made
    assert sorted(file.name for file in out.iterdir()) == [
        "figures", "metrics.json", "model", "provenance.json", "report.html"
    ]  # fmt: skip
    assert sorted(file.name for file in (out / "figures").iterdir()) == [
        "15-budgets.svg", "15-confusion.svg", "15-gaps.svg"
    ]  # fmt: skip
    numbers = json.loads((out / "metrics.json").read_text())["metrics"]
    assert numbers["examples"] == 20 and numbers["chosen"] and {"mean", "low", "high"} <= set(numbers["accuracy"])
    model = load_model(out / "model")
    assert list(model.about["classes"]) == sorted([ODD, DOLLAR])
    answers = model.predict([next((photos / DOLLAR).iterdir()), sorted((photos / ODD).iterdir())[0]])
    assert list(answers["class"]) == [DOLLAR, ODD]


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_fetches_nothing_and_runs_nothing(made: tuple[Path, Path]) -> None:
    html = (made[1] / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://(?!www\.w3\.org/(?:2000/svg|1999/xlink)\")[^\"]*", html)
    assert re.sub(r"xmlns(?::\w+)?=\"[^\"]*\"", "", html).count("://") == 0
    assert not re.search(r"@import|url\((?!#)|srcset|<base|//\w+\.\w+/", html)
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "b", "embed"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/png;base64,") for name, value in page.attributes if name == "src")
    assert all(value.startswith("#") for name, value in page.attributes if name.endswith("href"))


def test_names_are_shown_as_they_are(made: tuple[Path, Path]) -> None:
    page = Page((made[1] / "report.html").read_text(encoding="utf-8"))
    words = " ".join(page.words)
    assert "Report: photos & more" in page.words
    for name in (ODD, DOLLAR, "cut <b>off.jpg", "1 of 21 files cannot be read"):
        assert name in words
    assert [w for w in page.words if w == f"{DOLLAR[:17]}…" or w == DOLLAR], "the figure has the name and no formula"


def test_the_decision_comes_first_and_every_part_is_there(made: tuple[Path, Path]) -> None:
    html = (made[1] / "report.html").read_text(encoding="utf-8")
    heads = re.findall(r"<h2>(.*?)</h2>", html)
    assert heads == ["What to do next", "What is in the data", "How many labels, and which way", "The decision",
                     "What it costs", "Where it is wrong", "Where it fails, part by part", "Labels that may be wrong",
                     "What to label next", "What errors cost", "What to watch out for on this data",
                     "Take it along"]  # fmt: skip
    assert html.index("<h1>") < html.index('class="hs-decision"') < html.index("<h2>")
    assert html.count("<svg") == 3 and html.count("<table") == 7


def test_the_chapters_own_cells_give_the_reports_numbers(made: tuple[Path, Path], tmp_path, monkeypatch) -> None:
    """Chapter 15's code, run on the same folder up to where its values are recorded."""
    photos, out = made
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path))
    notebook = jupytext.read(ROOT / "notebooks" / "15_your_own_data.md")
    space: dict[str, Any] = {"SEED": 0}
    for cell in (c for c in notebook.cells if c.cell_type == "code"):
        source = cell.source.replace('PROFILE = "cpu"', 'PROFILE = "smoke"')
        exec(compile(source, "<chapter 15>", "exec"), space)
        if "example" in space:
            space["example"] = lambda: photos
        if "summary.measured" in source:
            break
    told = json.loads((out / "metrics.json").read_text())["metrics"]
    run = space["run"]
    run.save()
    chapter = json.loads((tmp_path / "metrics" / "15.json").read_text())["metrics"]
    assert chapter == {name: value for name, value in told.items() if not name.endswith("_cost")}
    assert len(chapter) > 15


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photographs(tmp_path / "photos")


def test_a_cost_of_a_class_that_the_check_leaves_out_is_said_before_anything_is_trained(
    photos: Path, tmp_path: Path
) -> None:
    for i in range(3):  # one picture, three times: the class is there until contents are compared
        (photos / "fox").mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), (9, 9, 9)).save(photos / "fox" / f"{i}.png")
    with pytest.raises(UserError, match=r"names the class 'fox'.*too small was left out after reading") as stopped:
        report(photos, tmp_path / "out", profile="smoke", cost=f"fox:{ODD}=5")
    assert not (tmp_path / "out" / "sweeps").exists() and "\n" not in str(stopped.value)


def test_a_cost_of_a_class_that_is_not_there_is_said_before_anything_is_computed(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names the class 'cat'"):
        report(photos, tmp_path / "out", profile="smoke", cost=f"cat:{ODD}=5")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            """print('noise\\n["UserError", "Class \\'a\\' has nothing to test on."]'); exit(1)""",
            "Class 'a' has nothing",
        ),
        ("""print('["MemoryError", ""]'); exit(1)""", "needs more memory than there is"),
        ("""print('["TerminatedWorkerError", "killed"]'); exit(1)""", "needs more memory than there is"),
        ("""print('["RuntimeError", "DefaultCPUAllocator: no"]'); exit(1)""", "needs more memory than there is"),
        ("""print('["OSError", "[Errno 28] No space left on device"]'); exit(1)""", "The disk is full"),
        ("""print('["KeyError", "q"]'); exit(1)""", "The report stopped: KeyError: q."),
        ("import os; os.kill(os.getpid(), 9)", "needs more memory than there is"),
        ("import os; os.abort()", "The report stopped: its process ended with status -6."),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_sentence(script, said, photos: Path, tmp_path: Path, monkeypatch) -> None:
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda told, **kwargs: real([sys.executable, "-c", script], **kwargs))
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        report(photos, tmp_path / "out")
    assert "\n" not in str(caught.value) and not list((tmp_path / "out").iterdir())


def test_an_interrupted_process_interrupts_the_one_that_waits(photos: Path, tmp_path: Path, monkeypatch) -> None:
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda told, **kw: real([sys.executable, "-c", "exit(130)"], **kw))
    with pytest.raises(KeyboardInterrupt):
        report(photos, tmp_path / "out")


def test_an_error_is_handed_on_with_its_story(tmp_path: Path, monkeypatch, capsys) -> None:
    def fail(place: str) -> None:
        raise {"user": UserError("a sentence"), "key": KeyError("q"), "stop": KeyboardInterrupt()}[kind]

    monkeypatch.setattr(reporting, "write", fail)
    monkeypatch.setattr(reporting, "_end_with_parent", lambda: None)
    told = json.dumps({"place": str(tmp_path)})
    for kind, status, words in (("user", 1, ["UserError", "a sentence"]), ("key", 1, ["KeyError", "'q'"])):
        assert reporting.main(told) == status
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) == words
        assert (tmp_path / reporting.LOG).exists() == (kind == "key")
    assert "The whole story is in" in reporting._sentence("KeyError", "'q'", tmp_path)
    story = (tmp_path / reporting.LOG).read_text()
    assert "KeyError: 'q'" in story and "in fail" in story
    kind = "stop"
    assert reporting.main(told) == 130 and capsys.readouterr().out == ""


def test_a_report_ends_with_the_one_who_waits_for_it() -> None:
    script = (
        "import time\nfrom transferlib.own_data import report\nreport.write = lambda: time.sleep(600)\n"
        "raise SystemExit(report.main('{}'))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert child.stdin
    child.stdin.close()
    assert child.wait(timeout=240) == 130


def test_what_cannot_be_begun_is_one_sentence(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is nothing at"):
        report(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UserError, match="PROFILE"):
        report(photos, tmp_path / "out", profile="huge")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Nothing can be written to .*choose another folder"):
        report(photos, tmp_path / "file" / "out")
