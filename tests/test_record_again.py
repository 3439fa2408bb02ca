"""The kept record against today's code and this machine: a random sample of a chapter's results is measured again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = "10_continual"  # its recorded results take seconds to measure again


def test_a_sample_of_the_record_comes_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = Path(os.environ.get("TRANSFERLIB_CACHE", Path.home() / ".cache" / "transferlib")) / "weights"
    if weights.is_dir():  # the weights are on this machine already; results and features are measured here
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "weights").symlink_to(weights)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "TRANSFERLIB_", "HS_"))}
    asked = {
        "TRANSFERLIB_CACHE": str(tmp_path / "cache"), "TRANSFERLIB_RECORD": str(ROOT / "book" / "record"),
        "TRANSFERLIB_RECORD_SAMPLE": "1", "TRANSFERLIB_WORKERS": "1", "TRANSFERLIB_BUILD": str(tmp_path / "build"),
        "TRANSFERLIB_PARAMETERS": "cpu 0 cpu ",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "scripts/book.py", "execute", CHAPTER],
        cwd=ROOT,
        env={**own, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{CHAPTER}: {done.stderr[-2000:]}"
    ran = json.loads((tmp_path / "build" / "provenance" / f"{CHAPTER[:2]}.json").read_text())
    # One of each sweep, and what the record lacks: had the code changed, hundreds would have been measured.
    assert 10 <= ran["cells_computed"] <= 60 < ran["cells_kept"], ran
