"""What make calls: stale chapters, execution, staging, the verdict. Tiny chapters, a real kernel."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import book  # noqa: E402
from transferlib.course.claims import check_claim  # noqa: E402
from transferlib.course.intervals import Interval  # noqa: E402
from transferlib.errors import UserError  # noqa: E402

PAGE = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Tiny

```{{code-cell}} ipython3
:tags: [parameters]

PROFILE, SEED, DEVICE, DATA_ROOT = "cpu", 0, "cpu", ""
```

{prose}

```{{code-cell}} ipython3
{code}
```
"""
CPU = "cpu 0 cpu "


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(book, "NOTEBOOKS", tmp_path / "notebooks")
    (tmp_path / "notebooks").mkdir()
    page(tmp_path)
    return tmp_path


def page(place: Path, prose: str = "Words.", code: str = "print(PROFILE, SEED)", name: str = "01_tiny") -> None:
    (place / "notebooks" / f"{name}.md").write_text(PAGE.format(prose=prose, code=code))


def stale(place: Path, capsys: pytest.CaptureFixture[str], parameters: str = CPU, only: str = "") -> str:
    book.stale(place / "build", parameters, only)
    return capsys.readouterr().out.strip()


def test_prose_re_renders_without_execution_and_code_or_parameters_do_not(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = place / "build"
    assert stale(place, capsys) == "01_tiny"
    book.execute("01_tiny", build, CPU)
    assert stale(place, capsys) == ""
    time.sleep(0.02)
    page(place, prose="Other words.")
    assert stale(place, capsys) == ""
    text = book.merged(place / "notebooks" / "01_tiny.md", build / "executed" / "01_tiny.ipynb")
    assert "Other words." in text and "cpu 0" in text
    assert stale(place, capsys, "cpu 1 cpu ") == "01_tiny"
    page(place, code="print(SEED)")
    assert stale(place, capsys) == "01_tiny"
    with pytest.raises(
        UserError, match=r"01_tiny\.md has other code than its last execution: run `make execute CHAPTER=01`"
    ):
        book.merged(place / "notebooks" / "01_tiny.md", build / "executed" / "01_tiny.ipynb")


def test_a_failed_chapter_leaves_no_output_and_says_where_it_failed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page(place, code="1 / 0")
    with pytest.raises(book.typer.Exit):
        book.execute("01_tiny", place / "build", CPU)
    assert not (place / "build" / "executed" / "01_tiny.ipynb").exists()
    assert "division by zero" in (place / "build" / "failed" / "01_tiny.txt").read_text()
    with pytest.raises(book.typer.Exit):
        book.verdict(place / "build")
    assert "ZeroDivisionError" in capsys.readouterr().err
    page(place)
    book.execute("01_tiny", place / "build", CPU)
    book.verdict(place / "build")


def test_the_verdict_names_chapter_claim_and_value(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lead = Interval(1.0, -2.5, -0.5, 4)
    claim = check_claim("lead", "A lead of {value}.", lead, above=0, unit="points").as_dict()
    (place / "build" / "metrics").mkdir(parents=True)
    (place / "build" / "metrics" / "01.json").write_text(json.dumps({"chapter": "01", "claims": [claim]}))
    with pytest.raises(book.typer.Exit):
        book.verdict(place / "build")
    said = capsys.readouterr().err
    assert "chapter 01, claim 'lead' is contradicted: A lead of 1.0 points. Measured 1.00 points (95" in said
    assert "interval \u22122.50 to \u22120.50); claimed above 0 points." in said
    assert "`make html` renders it all the same" in said


def test_a_claim_that_is_only_weaker_here_is_listed_and_the_book_is_built(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = check_claim("rate", "It helps by {value}.", Interval(21.9, 1.3, 42.5, 3), above=5, unit="points").as_dict()
    (place / "build" / "metrics").mkdir(parents=True)
    (place / "build" / "metrics" / "08.json").write_text(json.dumps({"chapter": "08", "claims": [claim]}))
    book.verdict(place / "build")
    said = capsys.readouterr().err
    assert "chapter 08, claim 'rate' is weaker here: It helps by 21.9 points." in said
    assert "claimed above 5 points." in said and "1 of 1 claims are weaker here" in said
    with pytest.raises(book.typer.Exit):
        book.verdict(place / "build", strict=True)


def test_metrics_of_an_older_release_are_one_sentence(place: Path) -> None:
    (place / "build" / "metrics").mkdir(parents=True)
    old = {"chapter": "08", "claims": [{"id": "rate", "holds": True, "statement": "", "value": {}}]}
    (place / "build" / "metrics" / "08.json").write_text(json.dumps(old))
    with pytest.raises(UserError, match=r"chapter 08 were measured by an older release: run `make execute CHAPTER=08`"):
        book.verdict(place / "build")


def test_an_executed_chapter_counts_only_with_todays_key(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Dates do not count: a copied, restored or touched build is judged by the key that lies beside each chapter."""
    build = place / "build"
    book.execute("01_tiny", build, CPU)
    page(place, code="print(SEED)")
    for path in (build / "executed").iterdir():
        os.utime(path, (2**31, 2**31))
    assert stale(place, capsys) == "01_tiny"
    page(place)
    assert stale(place, capsys) == ""
    (build / "executed" / "01_tiny.key").unlink()
    assert stale(place, capsys) == "01_tiny"


def test_code_cells_are_the_ones_jupytext_sees() -> None:
    import jupytext

    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md")):
        ours = [found.group(2).strip() for found in book.CELL.finditer(path.read_text(encoding="utf-8"))]
        assert ours == [cell.source.strip() for cell in book.code_cells(jupytext.read(path))], path.name


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (["PROFILE=fast"], "PROFILE='fast' is unknown"),
        (["DEVICE=gpu"], "DEVICE='gpu' is unknown: use 'cpu', 'cuda'"),
        (["SEED=one"], "SEED='one' is not a seed"),
        (["CHAPTER=77"], "CHAPTER='77' is unknown"),
    ],
)
@pytest.mark.skipif(not (ROOT / ".venv" / ".ready").is_file(), reason="make would first make its environment here")
def test_make_says_what_is_wrong_in_one_sentence_and_writes_nothing(
    variables: list[str], sentence: str, tmp_path: Path
) -> None:
    run = subprocess.run(
        ["make", "--no-print-directory", "execute", f"BUILD={tmp_path / 'build'}", *variables],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode != 0 and sentence in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "build").exists()


def test_a_make_inside_of_a_make_knows_all_cores() -> None:
    """The outer one sets OMP_NUM_THREADS=1 for the processes, and nproc would answer that."""
    told = [
        subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, env=env).stdout
        for env in ({**os.environ, "OMP_NUM_THREADS": "1"}, {k: v for k, v in os.environ.items() if k[:4] != "OMP_"})
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert told[0] == told[1] and f"JOBS={cores}" in told[0]


def test_make_alone_lists_its_targets() -> None:
    run = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert all(f"make {name}" in run.stdout for name in ("setup", "execute", "book", "serve", "lab", "test", "clean"))
