"""What the README promises: commands that the Makefile has, and sizes and times that were measured."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from transferlib.backbones.weights import MANIFEST
from transferlib.datasets import named

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_makefile_has_each_command_that_is_named() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"read", "lab", "book"} <= named <= set(TARGETS)


def test_the_weights_are_as_large_as_it_says() -> None:
    (said,) = re.findall(r"(\d+) MB of weights", README)
    size = sum(file["bytes"] for weights in MANIFEST.values() for file in weights["files"].values()) / 1e6
    assert abs(int(said) - size) < 5


def test_the_experiments_take_no_longer_than_it_says() -> None:
    """On two cores, and on the processor of the reference run, which is one of those that were tried."""
    assert "half an hour on the fastest" in README and "an hour and a half on the slowest" in README
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "book" / "reference").glob("[01]?.json")]
    assert len(runs) == 15
    assert 30 < sum(run["provenance"]["processor_seconds"] for run in runs) / 60 / 2 < 90


def test_the_package_in_ten_lines_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert len([line for line in code.split("\n") if line.strip()]) == 10
    load = named.load

    def fewer(name: str, part: str) -> SimpleNamespace:
        whole = load(name, part)
        rows = slice(600 if part == "train" else 100)  # what it shows is that the lines run
        return SimpleNamespace(x=whole.x[rows], y=whole.y[rows])

    monkeypatch.setattr(named, "load", fewer)
    exec(compile(re.sub(r"epochs=\d+", "epochs=2", code), "README", "exec"), {})
    scores = [float(line) for line in capsys.readouterr().out.split("\n")[-3:-1]]
    assert len(scores) == 2 and min(scores) > 0.2
