"""Drift: a metric that left its interval, a claim that broke, a value that appeared or went."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import verify

from transferlib.errors import UserError
from transferlib.runs.record import packed


def body(**metrics: object) -> dict[str, object]:
    return {"chapter": "01", "profile": "cpu", "seed": 0, "claims": [], "metrics": metrics}


SPAN = {"mean": 70.0, "low": 68.0, "high": 72.0, "seeds": 5}
POINT = {"mean": 4.0, "low": 4.0, "high": 4.0, "seeds": 5}


def test_what_drifts_is_named_and_what_does_not_is_not() -> None:
    old = body(a=SPAN, b=10, c="probe", d={**SPAN, "low": None, "high": None}, e=POINT, gone=1)
    same = body(a={**SPAN, "mean": 71.9}, b=10.1, c="probe", d={**SPAN, "mean": 5.0}, e={**POINT, "mean": 4.00001},
                gone=1, widget={})  # fmt: skip
    assert list(verify.drift(old, same)) == []
    new = body(a={**SPAN, "mean": 72.5}, b=11, c="tune", d=SPAN, e={**POINT, "mean": 4.01}, fresh=2)
    new["claims"] = [{"id": "lead", "verdict": "weaker", "spoken": "claim 'lead' is weaker here: It leads."}]
    said = "\n".join(verify.drift(old, new))
    for part in ("gone is no longer measured", "fresh is new", "a = 72.5 lies outside [68, 72]", "e = 4.01 lies",
                 "b = 11 instead of 10",
                 "c = 'tune' instead of 'probe'",
                 "claim 'lead' is weaker here: It leads."):  # fmt: skip
        assert part in said
    assert said.count("\n") == 6


def test_a_run_becomes_the_reference_only_when_its_claims_hold(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(verify, "REFERENCE", tmp_path / "reference")
    for folder in ("metrics", "provenance"):
        (tmp_path / folder).mkdir()
    today = tmp_path / "metrics" / "01.json"
    (tmp_path / "provenance" / "01.json").write_text('{"commit": "abc", "cells_kept": 0, "sweeps": []}')
    with pytest.raises(UserError, match="no reference in"):
        verify.check(tmp_path)
    today.write_text(json.dumps({**body(a=SPAN), "claims": [{"id": "x", "verdict": "weaker", "spoken": "x"}]}))
    with pytest.raises(UserError, match="Chapter 01 is no reference"):
        verify.keep(tmp_path)
    today.write_text(json.dumps(body(a=SPAN, widget={"much": 1})))
    verify.keep(tmp_path)
    (tmp_path / "reference" / "speed.json").write_text("{}")  # no chapter
    kept = json.loads((tmp_path / "reference" / "01.json").read_text())
    assert kept["provenance"]["commit"] == "abc" and kept["provenance"]["whole"] and "widget" not in kept["metrics"]
    verify.check(tmp_path)
    assert capsys.readouterr().out == "0 of 1 metrics drifted.\n"
    today.write_text(json.dumps(body(a={**SPAN, "mean": 1.0})))
    with pytest.raises(verify.typer.Exit):
        verify.check(tmp_path)
    said = capsys.readouterr().out
    assert "chapter 01: a = 1 lies outside [68, 72]" in said
    assert "of another processor (unknown; here " in said
    today.write_text(json.dumps({**body(a=SPAN), "profile": "smoke"}))
    with pytest.raises(UserError, match="PROFILE=cpu SEED=0"):
        verify.check(tmp_path)


def test_a_run_that_kept_results_of_another_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(packed({"{}": {"x": 1}, "{1}": {"x": 2}}))
    run = {"cells_computed": 2, "cells_kept": 1, "sweeps": ["a"]}  # one of them was asked for twice
    assert verify.whole(run, tmp_path)
    assert not verify.whole(run | {"cells_computed": 1}, tmp_path)
    assert verify.whole({"cells_computed": 1, "cells_kept": 0, "sweeps": ["a"]}, tmp_path)
