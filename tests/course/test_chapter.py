import json
from pathlib import Path

import numpy as np
import pytest
import torch

from transferlib.course import chapter, figures
from transferlib.course.intervals import Interval
from transferlib.errors import UserError


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path))
    return tmp_path


def record(profile: str = "cpu") -> chapter.Run:
    run = chapter.begin("99", profile, 3, "cpu")
    run.value("lead", Interval(0.182, 0.15, 0.214, 20), unit="points", scale=100)
    run.value("noise", float(torch.rand(1)))
    run.claim("lead", "A lead of {value}.", Interval(18.2, -np.inf, np.inf, 1), above=0)
    return run


def test_the_same_seed_writes_the_same_bytes(build: Path) -> None:
    texts = []
    for _ in range(2):
        record().save()
        texts.append((build / "metrics" / "99.json").read_bytes())
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["metrics"]["lead"]["mean"] == pytest.approx(18.2)
    assert json.loads((build / "provenance" / "99.json").read_text())["commit"]


def test_infinite_ends_become_null_and_a_broken_claim_is_named(build: Path) -> None:
    assert "1 claims, of which 'lead' weaker" in record().save()
    claim = json.loads((build / "metrics" / "99.json").read_text())["claims"][0]
    assert claim["value"]["low"] is None and claim["verdict"] == "weaker"


def test_smoke_does_not_judge_claims(build: Path) -> None:
    run = record("smoke")
    run.save()
    assert json.loads((build / "metrics" / "99.json").read_text())["claims"][0]["verdict"] == "unchecked"


def test_names_are_used_once_and_parameters_are_checked() -> None:
    run = record()
    with pytest.raises(UserError, match="'lead' is recorded twice"):
        run.value("lead", 1.0)
    with pytest.raises(UserError, match="claim 'lead' is made twice"):
        run.claim("lead", "{value}", Interval(0, 0, 0, 2), above=-1)
    with pytest.raises(UserError, match="SEED=-1"):
        chapter.begin("99", "cpu", -1, "cpu")


def test_a_figure_is_written_and_shown_with_its_alt_text(build: Path) -> None:
    run = chapter.begin("99", "cpu", 0, "cpu")
    figure, ax = figures.canvas()
    figures.curve(ax, [1, 2], np.random.rand(5, 2), "probe", "probe")
    shown = run.figure(figure, "curve", "Accuracy rises & falls")
    assert (build / "figures" / "99-curve.svg").read_text().startswith("<?xml")
    assert 'aria-label="Accuracy rises &amp; falls"' in shown.data and "currentColor" in shown.data


@pytest.mark.parametrize("text", ["2,304", "0.10", "18.4 points", "31", "[3, 5]"])
def test_the_book_prints_a_text_as_it_was_recorded(text: str) -> None:
    from myst_nb.core.variables import format_plain_text

    assert format_plain_text(repr(chapter._Text(text)), "") == text


def test_the_last_sentence_of_a_chapter_is_prose_on_the_page() -> None:
    from IPython.core.formatters import DisplayFormatter

    shown, _ = DisplayFormatter().format(chapter.Said("a < b"))
    assert shown["text/html"] == '<p class="hs-fine">a &lt; b</p>'
