"""A learner's number against the reference run."""

import json
from pathlib import Path

import pytest

from transferlib.course import chapter, reading
from transferlib.course.intervals import Interval

REFERENCE = {
    "profile": "cpu",
    "metrics": {"lead": {"mean": 18.0, "low": 15.0, "high": 21.0}, "few": 5},
    "claims": [{"id": "lead", "value": {"mean": 18.0, "low": 15.0, "high": None}}],
    "provenance": {"processor": "a <fast> one"},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> chapter.Run:
    monkeypatch.setattr(reading, "REFERENCE", tmp_path)
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path))
    reading.reference.cache_clear()
    (tmp_path / "77.json").write_text(json.dumps(REFERENCE))
    return chapter.begin("77", "cpu", 0, "cpu")


def test_a_learner_reads_whether_a_number_lies_inside(run: chapter.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_RECORD", "somewhere")
    box = run.claim("lead", "{value}", Interval(14.0, 12.0, 16.0, 5), above=0).data
    assert "outside the spread of the reference run, 15.0 to ∞ on a &lt;fast&gt; one" in box
    run.value("lead", Interval(14.0, 12.0, 16.0, 5))
    run.value("few", 5)
    assert "0 of 1 values lie inside" in (said := run.save()) and "lead = 14 (15 to 21)" in said


def test_the_book_itself_compares_with_nothing(run: chapter.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFERLIB_RECORD", raising=False)
    assert "reference run" not in run.claim("lead", "{value}", Interval(14.0, 12.0, 16.0, 5), above=0).data
    assert "reference run" not in run.save()
