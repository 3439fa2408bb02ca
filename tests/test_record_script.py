"""`make record`: what it refuses, and that a refusal leaves the old record alone."""

import json
import sys
from pathlib import Path

import pytest

from transferlib.errors import UserError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import record as script


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two executed chapters, the second with a sweep above the limit, and a record from before."""
    monkeypatch.setattr(script, "RECORD", tmp_path / "record")
    for folder in ("record", "build/sweeps", "build/provenance"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "record" / "old.npz").write_bytes(b"old")
    for chapter, key, size in (("01", "a", 10), ("14", "b", script.LARGEST)):
        (tmp_path / "build" / "sweeps" / f"{key}.npz").write_bytes(b"0" * size)
        body = {"profile": "cpu", "sweeps": [key, "never"]}
        (tmp_path / "build" / "provenance" / f"{chapter}.json").write_text(json.dumps(body))
    return tmp_path / "build"


def test_a_record_that_is_too_large_is_refused_before_the_old_one_goes(build: Path) -> None:
    with pytest.raises(UserError, match=r"above 6; the largest sweep, of chapter 14, has 6\.0 MB"):
        script.keep(build)
    assert (build.parent / "record" / "old.npz").read_bytes() == b"old"


def test_chapters_can_be_chosen(build: Path) -> None:
    script.keep(build, "01")
    assert {file.name for file in (build.parent / "record").glob("*.npz")} == {"a.npz"}


def test_a_smoke_run_is_no_record(build: Path) -> None:
    (build / "provenance" / "01.json").write_text(json.dumps({"profile": "smoke", "sweeps": ["a"]}))
    with pytest.raises(UserError, match="PROFILE=smoke: record a run of PROFILE=cpu"):
        script.keep(build)
