"""After the decision: out-of-sample probabilities, weak parts, the pieces of the page, and the model's card."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from transferlib.course.intervals import Interval
from transferlib.datasets.collection import Collection
from transferlib.own_data.after import after
from transferlib.own_data.checks import Check
from transferlib.own_data.choice import Choice
from transferlib.own_data.compare import Compared
from transferlib.own_data.decision import Decision
from transferlib.own_data.draws import Draws
from transferlib.own_data.mistakes import mistakes
from transferlib.own_data.model_card import licence, model_card, plain
from transferlib.own_data.outside import outside
from transferlib.own_data.scan import Scan
from transferlib.own_data.slices import slices

ODD = "b|<i> *x*"


def made(classes: int = 2, n: int = 60) -> tuple[Check, Compared]:
    """Texts with a mislabelled one, row 0, and two draws that never tested the last ten."""
    g = torch.Generator().manual_seed(0)
    truth = torch.arange(n) % classes
    y = truth.clone()
    y[0] = 1
    test = {s: torch.cat([torch.zeros(1).long(), 1 + torch.randperm(n - 11, generator=g)[:30]]) for s in (0, 1)}
    scores = {s: torch.randn(31, classes, generator=g) + 5 * torch.eye(classes)[truth[t]] for s, t in test.items()}
    rows = [{"strategy": "probe", "n": n_, "seed": s, "scores": scores[s].numpy() * (1 if n_ == 4 else -9),
             "accuracy": 0.5, "right": np.ones(31)} for s in (1, 0) for n_ in (2, 4)]  # fmt: skip
    train = {s: torch.tensor([i for i in range(n) if i not in set(test[s].tolist())]) for s in test}
    compared = Compared(pd.DataFrame(rows), Draws(y, train, test, [2, 4], [4], 2), {"probe": "linear probe"}, 0.5)
    names = ["a", ODD, "c"][:classes]
    found = Collection("texts", Path(), [f"text {i} <b>" for i in range(n)], y.tolist(), names,
                       ["g", "h"] * (n // 2), [], ["1 file <cannot> be read."])  # fmt: skip
    alike = pd.DataFrame({"a": [], "b": [], "similarity": [], "same_label": []})
    table = pd.DataFrame({"class": names, "examples": y.bincount().numpy()})
    return Check(Scan(found, [], torch.randn(n, 5, generator=g), [], 0, 32), table, alike, np.arange(n)), compared


def test_each_tested_example_has_the_mean_over_the_draws_that_tested_it() -> None:
    _, compared = made()
    out = outside(compared, "probe", 0.5)
    tests = {s: rows.tolist() for s, rows in compared.draws.test.items()}
    assert out.rows.tolist() == sorted(set(tests[0]) | set(tests[1]))
    runs = compared.runs[compared.runs["n"] == 4].set_index("seed")
    for i, row in enumerate(out.rows.tolist()):
        each = [torch.tensor(runs.loc[s, "scores"][t.index(row)] * 0.5).double().softmax(0)
                for s, t in tests.items() if row in t]  # fmt: skip
        assert torch.allclose(out.probability[i], torch.stack(each).mean(0)) and out.y[i] == compared.draws.y[row]


def test_nothing_that_was_learned_from_is_judged() -> None:
    _, compared = made()
    learned = [set(compared.draws.rows(4, s).tolist()) for s in (0, 1)]
    tested = [set(compared.draws.test[s].tolist()) for s in (0, 1)]
    assert not learned[0] & tested[0] and not learned[1] & tested[1]
    assert set(outside(compared, "probe", 1.0).rows.tolist()) == tested[0] | tested[1]


def test_the_interval_of_a_part_is_wilsons_and_the_worst_comes_first() -> None:
    right = torch.tensor([True] * 9 + [False] + [True, False])
    table = slices(right, ["a"] * 10 + ["b"] * 2)
    assert table.index.tolist() == ["b", "a"] and table["tested"].tolist() == [2, 10]
    z, p, n = 1.959964, 0.9, 10
    middle, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z * np.sqrt(p * 0.1 / n + z**2 / 4 / n**2) / (1 + z**2 / n)
    assert table.loc["a", ["low", "high"]].tolist() == pytest.approx([100 * (middle - half), 100 * (middle + half)])


@pytest.mark.parametrize("classes", [2, 3])
def test_the_parts_of_the_page(classes: int) -> None:
    checked, compared = made(classes)
    parts = after(checked, outside(compared, "probe", 1.0), "a:c=3" if classes == 3 else "")
    pages = {head: "".join(pieces) for head, pieces in parts}
    assert list(pages) == ["Where it fails, part by part", "Labels that may be wrong", "What to label next",
                           "What errors cost"]  # fmt: skip
    assert "right answers by class" in pages["Where it fails, part by part"]
    assert "right answers by group" in pages["Where it fails, part by part"]
    assert "text 0 &lt;b&gt;" in pages["Labels that may be wrong"].split("<figure>")[1], "the mislabelled one is first"
    assert pages["What to label next"].count("<figure>") == 12
    assert ("answers change" in pages["What errors cost"]) == (classes == 3)
    assert pages["What errors cost"].count("<tr") == (1 + 7 if classes == 2 else 0)
    assert not any("<b>" in page or "<i>" in page for page in pages.values())


def test_where_no_label_is_contradicted_that_is_said() -> None:
    checked, compared = made()
    out = outside(compared, "probe", 1.0)
    calm = out._replace(probability=torch.eye(2).double()[out.y])
    pages = dict(after(checked, calm))
    assert "None of the" in pages["Labels that may be wrong"][0]


def test_the_card_says_what_it_must_and_a_name_is_no_markup() -> None:
    checked, compared = made()
    decision = Decision("probe", {"probe": Interval(0, -1, 1, 5)}, True, "Use the linear probe.")
    gain = Interval(1, -1, 3, 5)
    choice = Choice(decision, 4, Interval(60, 50, 70, 5), 2, 4, gain, 8, gain, "probe")
    card = model_card("my <data>", checked, compared, choice, mistakes(compared, "probe"), 60, 7)
    for part in ("# Model card: my &lt;data&gt;", "linear probe", "all-MiniLM-L6-v2, weights under Apache-2.0",
                 "60 examples, seed 7", f"| {plain(ODD)} | 31 |", "2 random splits", "so do the given groups",
                 "95 % interval 50.0 to 70.0", "1 file &lt;cannot&gt; be read.", "Python 3", "torch 2"):  # fmt: skip
        assert part in card, part
    assert "<" not in card and plain("a\n# b") == "a \\# b"
    assert "trained here" in licence("small-cnn") and "its own source" in licence("resnet18")
