"""What to do next: labels to look at, what would settle the choice, what to label; and lines that run."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from transferlib.__main__ import app
from transferlib.course.intervals import Interval
from transferlib.datasets.found import Collection
from transferlib.own_data.checks import Check
from transferlib.own_data.choice import Choice
from transferlib.own_data.decision import Decision
from transferlib.own_data.next_steps import commands, next_steps
from transferlib.own_data.outside import Outside
from transferlib.own_data.scan import Scan


def said(*, low: float = 60, gap: float = 10, doubling: tuple[float, float] = (1, 3), groups: bool = False) -> str:
    from pathlib import Path

    y = torch.tensor([0, 1] * 20)
    found = Collection("texts", Path(), ["x"] * 40, y.tolist(), ["a", "b"], ["g"] * 40 if groups else [], [], [])
    checked = Check(Scan(found, [], torch.zeros(40, 2), [], 0), pd.DataFrame(), pd.DataFrame(), np.arange(40))
    gaps = {"partial": Interval(0, -gap / 100, gap / 100, 5)}
    gain = Interval(2, *doubling, 20)
    choice = Choice(Decision("probe", gaps, gap < 5, ""), 8, Interval(70, low, 80, 20), 2, 8, gain, 16, gain, "partial")
    p = torch.eye(2)[y] * 0.8 + 0.1
    p[0] = torch.tensor([0.05, 0.95])  # labelled a, surely b
    return " ".join(next_steps(checked, choice, Outside(torch.arange(40), y, p)))


def test_each_step_stands_where_it_is_needed_and_only_there() -> None:
    torn = said()
    assert "Look at the 1 labels that may be wrong" in torn and "transferlib next-labels" in torn
    needed = (Interval(0, -0.1, 0.1, 5).detectable / 0.05) ** 2
    assert f"about {needed:.2g} times as many labelled examples" in torn and "column 'group'" in torn
    calm = said(gap=1, doubling=(-1, 2), groups=True)
    for words in ("times as many", "next-labels", "column 'group'"):
        assert words not in calm
    assert "More labels of the same kind bring little" in calm and calm.endswith("that no report has seen.")
    hopeless = said(low=45)
    assert hopeless.startswith("Nothing has been shown to beat guessing") and "Look at the" not in hopeless


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_every_line_names_a_command_that_there_is_with_options_that_it_has(kind: str) -> None:
    lines = [line.split("\n")[1] for line in commands(kind, "all-MiniLM-L6-v2")]
    names = [line.split()[1] for line in lines if line.startswith("transferlib")]
    assert names == ["predict", "predict", "next-labels", "export", "serve"] and lines[-1].startswith("curl ")
    for line in lines[:-1]:
        told = CliRunner().invoke(app, [line.split()[1], "--help"]).output
        assert all(word in told for word in line.split() if word.startswith("--"))
    assert not any("export" in line for line in commands("texts", "words"))
