"""The affordable part of `make trust`: one quick chapter, killed, starved, and kept from its cache."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import trust  # noqa: E402

CHAPTER, SECONDS = "15", 15.0


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    if not shutil.which("make") or not (ROOT / ".venv" / ".ready").is_file():
        pytest.skip("this needs make, and the environment that `make setup` makes")


@pytest.fixture(scope="module")
def done() -> Iterator[tuple[Path, Path]]:
    with trust.place() as (build, cache):
        assert trust.finish(trust.make(build, cache, CHAPTER))[0]
        yield build, cache


def test_nothing_runs_when_nothing_changed(done):
    assert trust.unchanged(*done, CHAPTER)


def test_a_killed_run_goes_on_and_gives_the_same_bytes(done):
    assert trust.hunted(CHAPTER, 2, trust.metrics(done[0]), SECONDS)


def test_a_full_disk_stops_a_run_and_room_lets_it_go_on(done):
    largest = max(path.stat().st_size for path in (done[0] / "executed").glob("*.ipynb"))
    assert trust.starved(CHAPTER, trust.metrics(done[0]), largest)


def test_a_read_only_cache_is_no_hindrance(done):
    assert trust.read_only(CHAPTER, trust.metrics(done[0]))
