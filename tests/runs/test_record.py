"""The record: what is kept, what is used, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from transferlib.errors import UserError
from transferlib.runs import record
from transferlib.runs.sweep import sweep

CELLS = [{"n": n, "seed": s} for n in (1, 5) for s in (0, 1)]


def measure(n: int, seed: int) -> dict[str, object]:
    return {"accuracy": n + seed / 3, "right": np.arange(11) % (n + 1) == seed, "words": "as said"}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of one sweep, and a cache that knows nothing."""
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path / "build"))
    record.NOTED.clear()
    record.manifest.cache_clear()
    sweep(measure, CELLS, n_jobs=1)
    record.collect(tmp_path / "build" / "sweeps", tmp_path / "record", list(record.NOTED))
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "empty"))
    return tmp_path / "record"


def test_a_recorded_sweep_is_read_and_says_so(kept: Path, monkeypatch, capsys) -> None:
    fresh = sweep(measure, CELLS, n_jobs=1)
    assert "recorded" not in capsys.readouterr().err
    monkeypatch.setenv("TRANSFERLIB_RECORD", str(kept))
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(kept.parent / "third"))
    before = dict(record.COUNTS)
    read = sweep(measure, CELLS, n_jobs=1, desc="toys")
    assert record.COUNTS["cells_computed"] == before["cells_computed"]
    said = capsys.readouterr().err
    assert "toys: 4 results recorded on 2" in said and "`make execute` measures them again" in said
    assert read["accuracy"].tolist() == fresh["accuracy"].tolist() and read["words"].tolist() == ["as said"] * 4
    for a, b in zip(read["right"], fresh["right"], strict=True):
        assert a.dtype == bool and np.array_equal(a, b)


def test_other_code_and_other_cells_are_measured(kept: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_RECORD", str(kept))
    before = record.COUNTS["cells_computed"]
    sweep(measure, [*CELLS, {"n": 7, "seed": 0}], n_jobs=1)
    assert record.COUNTS["cells_computed"] == before + 1

    def changed(n: int, seed: int) -> dict[str, object]:
        return {"accuracy": n - seed}

    assert sweep(changed, CELLS, n_jobs=1)["accuracy"].tolist() == [1, 0, 5, 4]


def test_an_edited_record_is_refused(kept: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_RECORD", str(kept))
    file = next(kept.glob("*.npz"))
    good = file.read_bytes()
    results = record.unpacked(good)
    next(iter(results.values()))["accuracy"] = 99.0
    file.write_bytes(record.packed(results))
    with pytest.raises(UserError, match="was edited after it was recorded"):
        sweep(measure, CELLS, n_jobs=1)
    file.unlink()
    with pytest.raises(UserError, match="is missing"):
        sweep(measure, CELLS, n_jobs=1)
    file.write_bytes(good)
    manifest = json.loads((kept / record.MANIFEST).read_text())
    (kept / record.MANIFEST).write_text(json.dumps(manifest | {"processor": "a faster one"}))
    record.manifest.cache_clear()
    with pytest.raises(UserError, match=r"manifest\.json' was edited after it was recorded"):
        sweep(measure, CELLS, n_jobs=1)


def test_a_sample_is_measured_again_and_a_false_record_is_noticed(kept: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_RECORD", str(kept))
    monkeypatch.setenv("TRANSFERLIB_RECORD_SAMPLE", "3")
    before = record.COUNTS["cells_computed"]
    sweep(measure, CELLS, n_jobs=1)
    assert record.COUNTS["cells_computed"] == before + 3
    with pytest.raises(UserError, match=r"the recorded 'accuracy' of .* does not come out again"):
        record.compare("toys", CELLS[0], {"accuracy": 0.9}, {"accuracy": 0.7})
    with pytest.raises(UserError, match="'right'"):
        record.compare("toys", CELLS[0], {"right": np.ones(20, bool)}, {"right": np.arange(20) > 2})
    record.compare("toys", CELLS[0], {"right": np.ones(20, bool)}, {"right": np.arange(20) > 1})
    halves = np.array([0.0, 0.5, 1.0, 0.5])  # half marks: one of four may come out otherwise, two may not
    record.compare("toys", CELLS[0], {"marks": halves}, {"marks": np.array([0.5, 0.5, 1.0, 0.5])})
    with pytest.raises(UserError, match="'marks'"):
        record.compare("toys", CELLS[0], {"marks": halves}, {"marks": np.array([0.5, 0.5, 1.0, 1.0])})


def test_a_measuring_run_does_not_read_the_record(kept: Path, monkeypatch) -> None:
    monkeypatch.delenv("TRANSFERLIB_RECORD", raising=False)
    before = record.COUNTS["cells_computed"]
    sweep(measure, CELLS, n_jobs=1)
    assert record.COUNTS["cells_computed"] == before + 4


def test_arrays_inside_of_lists_and_dictionaries_come_back() -> None:
    result = {"steps": [np.arange(3), np.array([0.5, np.inf])], "by": {"a": np.array([[True], [False]]), "b": None}}
    back = record.unpacked(record.packed({"{}": result}))["{}"]
    assert [part.tolist() for part in back["steps"]] == [[0, 1, 2], [0.5, float("inf")]]
    assert back["by"]["a"].tolist() == [[True], [False]] and back["by"]["b"] is None
    assert record.name({"sizes": np.array([1, 2]), "n": np.int64(3)}) == '{"n": 3, "sizes": [1, 2]}'
