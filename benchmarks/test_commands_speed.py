"""What a reader waits for: nothing changed, the pages built anew, the first paint. Needs a book that is up to date."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pairs import matrix_rate

from transferlib.runs.cache import cache_dir

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("TRANSFERLIB_BUILD") or ROOT / "build")


def make(goal: str) -> tuple[float, str]:
    # Not the settings of `make bench` itself: the book is looked at as its reader made it.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "OMP_"))}
    start = time.perf_counter()
    done = subprocess.run(
        ["make", "--no-print-directory", goal, f"BUILD={BUILD}"], cwd=ROOT, capture_output=True, text=True, env=clean
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - start, done.stdout


@pytest.fixture(scope="module")
def up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/book.py", "stale"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TRANSFERLIB_BUILD": str(BUILD), "TRANSFERLIB_PARAMETERS": "cpu 0 cpu "},
    )
    if done.stdout.split():
        pytest.skip(f"{len(done.stdout.split())} chapters are not executed: run `make book` first")


def test_the_commands(benchmark, tell, up_to_date):
    nothing = min(make("execute")[0] for _ in range(3))
    tell("make execute, nothing changed", "", nothing, "s", "fastest of 3", at_most=1)
    shutil.rmtree(BUILD / "doctrees", ignore_errors=True)
    tell("make html, all pages anew", "", make("html")[0], "s", "one run, two cores", at_most=60)
    benchmark.pedantic(lambda: make("execute"), rounds=1)


def test_the_book_from_its_record(benchmark, tell, tmp_path, monkeypatch):
    (tmp_path / "weights").symlink_to(cache_dir() / "weights")
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))  # only the weights: as on a machine that measured nothing
    shutil.rmtree(ROOT / "build" / "read", ignore_errors=True)
    took = benchmark.pedantic(lambda: make("read")[0], rounds=1)
    tell("make read, from the record", "", took, "s", "one run, two cores, nothing kept", at_most=90)


def test_the_whole_book(benchmark, tell, up_to_date):
    runs = [json.loads(path.read_text()) for path in sorted((BUILD / "provenance").glob("*.json"))]
    if any(run["cells_kept"] and not run["cells_computed"] for run in runs):
        pytest.skip("the chapters read results that they did not measure: run `make book` with an empty cache first")
    rate = benchmark.pedantic(matrix_rate, rounds=1)
    runs.sort(key=lambda run: run["finished"] - run["wall_seconds"])
    first, wall, late = runs[0]["finished"] - runs[0]["wall_seconds"], 0.0, 0.0
    for run in runs:  # one that began after all before it had ended was run apart: its time is added, the pause is not
        gap = max(run["finished"] - run["wall_seconds"] - first - late - wall, 0.0)
        late += gap if gap > 60 else 0.0
        wall = max(wall, run["finished"] - first - late)
    total = sum(run["wall_seconds"] for run in runs)
    longest = max(runs, key=lambda run: run["wall_seconds"])
    said = (
        f"{total / 60:.0f} minutes of one core; chapter {longest['chapter']} alone {longest['wall_seconds'] / 60:.0f}"
    )
    said += ", with a pause left out" * bool(late)
    tell("make execute, the whole book, cold", "", wall / 60, "min", said, at_most=35)
    counts = json.loads((ROOT / "book" / "reference" / "flops.json").read_text())["flops"]
    flops = sum(counts.values())
    against = f"{flops / 1e12:,.0f} TFLOP of products and convolutions at {rate / 1e9:.0f} GFLOP/s"
    ratio = total / (flops / rate)
    tell("the whole book beside its bare arithmetic", against, ratio, "× its time", f"{total / 60:.0f} min")


def test_the_first_paint(benchmark, tell, up_to_date):
    pytest.importorskip("playwright")
    done = subprocess.run(
        [sys.executable, "tests/book/measure.py", str(BUILD / "html")], cwd=ROOT, capture_output=True, text=True
    )
    benchmark.pedantic(lambda: None, rounds=1)
    paints = [float(number) for number in re.findall(r"^\S+\.html +\d+ +(\d+) ", done.stdout, flags=re.M)]
    if not paints:
        pytest.skip(f"no browser could measure: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    tell(
        "largest contentful paint, processor slowed 4 times",
        "",
        max(paints) / 1000,
        "s",
        f"slowest of {len(paints)} pages",
        at_most=0.6,
    )
