"""Where the chosen way is wrong, against scikit-learn and by hand; what is said about it; how it is drawn."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import confusion_matrix

from transferlib.course.intervals import Interval
from transferlib.datasets.collection import Collection
from transferlib.own_data import plots, summary
from transferlib.own_data.cautions import cautions
from transferlib.own_data.checks import Check
from transferlib.own_data.choice import Choice
from transferlib.own_data.compare import Compared
from transferlib.own_data.decision import Decision
from transferlib.own_data.draws import Draws
from transferlib.own_data.mistakes import mistakes
from transferlib.own_data.scan import Scan

CLASSES = ["a $1", "b $2 <i>", "c"]


def compared(scores: dict[int, torch.Tensor], y: torch.Tensor, test: dict[int, torch.Tensor]) -> Compared:
    rows = [{"strategy": "probe", "n": 4, "seed": s, "scores": scores[s].numpy(), "accuracy": 0.5,
             "right": np.ones(len(test[s]))} for s in reversed(scores)]  # fmt: skip
    draws = Draws(y, {s: torch.arange(len(y)) for s in test}, test, [4], [4], 2)
    return Compared(pd.DataFrame(rows), draws, {"probe": "linear probe"}, 0.5)


@pytest.fixture
def made() -> Compared:
    g = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    test = {s: torch.randperm(60, generator=g)[:40] for s in (0, 1)}
    scores = {s: torch.randn(40, 3, generator=g) + torch.eye(3)[y[rows]] for s, rows in test.items()}
    return compared(scores, y, test)


def test_the_confusion_is_scikit_learns_in_percent_of_the_true_class(made: Compared) -> None:
    wrong = mistakes(made, "probe")
    runs = made.runs.sort_values("seed")
    truth = np.concatenate([made.draws.y[made.draws.test[s]].numpy() for s in runs["seed"]])
    guess = np.concatenate([scores.argmax(1) for scores in runs["scores"]])
    ours = confusion_matrix(truth, guess, normalize="true")
    assert np.allclose(wrong.confusion, 100 * ours)
    np.fill_diagonal(ours, 0)
    assert [share for *_, share in wrong.mixed] == pytest.approx(sorted(100 * ours.ravel(), reverse=True)[:5])
    assert all(share == pytest.approx(100 * ours[i, j]) for i, j, share in wrong.mixed)


def test_the_surest_mistakes_come_first_and_each_example_once() -> None:
    y = torch.tensor([0, 1, 2, 0])
    both = torch.tensor([[9.0, 0, 0], [3.0, 0, 0], [0, 5.0, 0], [1.0, 0, 0]])
    wrong = mistakes(compared({0: both, 1: both}, y, {0: torch.arange(4), 1: torch.arange(4)}), "probe")
    assert wrong.hardest["row"].tolist() == [2, 1] and wrong.hardest["guess"].tolist() == [1, 0]
    assert wrong.mixed == [(1, 0, 100.0), (2, 1, 100.0)]


def data(y: torch.Tensor, counts: list[int], **changes: object) -> Check:
    found = Collection("texts", None, [f"text {i}" for i in range(len(y))], y.tolist(), CLASSES, [], [], [])  # type: ignore[arg-type]
    alike = pd.DataFrame({"a": [0], "b": [1], "similarity": [0.95], "same_label": [False]})
    seen = Scan(found, [], torch.zeros(0), [], 0)
    return Check(seen, pd.DataFrame({"class": CLASSES, "examples": counts}), alike, np.arange(len(y)))._replace(
        **changes
    )


def choice(low: float, certain: bool, most: int) -> Choice:
    decision = Decision("probe", {"partial": Interval(0, -1, 1, 5)}, certain, "Use it.")
    return Choice(
        decision, 4, Interval(60, low, 80, 5), 2, most, Interval(1, -1, 3, 5), 8, Interval(1, -1, 3, 5), "partial"
    )


def test_every_reason_to_doubt_has_its_sentence(made: Compared) -> None:
    wrong = mistakes(made, "probe")
    off = wrong._replace(after=wrong.after._replace(error=0.5, luck=0.1))
    said = cautions(data(made.draws.y, [4, 20, 20]), made, choice(20, False, 4), off)
    parts = ("classes are uneven (20 against 4)", "Fewer than 20 examples: a $1.",
             "Nearly equal pairs: 1. A random split", "Nearly equal pairs with different labels: 1.",
             "reaches down to guessing", "are not told apart", "Probabilities stay off", "no column 'group'",
             "at most 4 labels per class; there are up to 20")  # fmt: skip
    assert len(said) == len(parts) and all(part in sentence for part, sentence in zip(parts, said, strict=True))


def test_where_there_is_no_reason_that_is_said(made: Compared) -> None:
    wrong = mistakes(made, "probe")
    calm = wrong._replace(after=wrong.after._replace(error=0.0, luck=0.1))
    checked = data(made.draws.y, [20, 20, 20])
    found = checked.scan.found.keep(range(60))
    grouped = Collection(found.kind, found.root, found.items, found.y, CLASSES, ["g"] * 60, [], [])
    checked = checked._replace(alike=checked.alike.iloc[:0], scan=checked.scan._replace(found=grouped))
    assert cautions(checked, made, choice(50, True, 20), calm) == ["Nothing that this report can see."]
    split = Collection(found.kind, found.root, found.items, found.y, CLASSES, [], ["train", "test"] * 30, [])
    checked = data(made.draws.y, [20, 20, 20])
    checked = checked._replace(scan=checked.scan._replace(found=split))
    assert any("except across your own split." in s for s in cautions(checked, made, choice(50, True, 20), calm))
    assert "Your split is kept. Nearly equal pairs on both sides of it: 1." in summary.facts(checked)


def test_groups_are_counted_and_those_on_both_sides_of_a_given_split_named(made: Compared) -> None:
    def told(splits: list[str]) -> str:
        found = Collection("texts", None, ["a", "b", "c", "d"], [0, 1, 2, 0], CLASSES, ["p", "p", "q", "q"], splits, [])  # type: ignore[arg-type]
        checked = data(made.draws.y, [2, 1, 1])
        return " ".join(summary.facts(checked._replace(scan=checked.scan._replace(found=found))))

    assert "They are of 2 groups, each on one side of every split." in told([])
    torn = told(["train", "test", "test", "test"])
    assert (
        "1 groups lie on both sides of your split, so that it flatters: 'p'." in torn and "each on one side" not in torn
    )
    assert "both sides of your split, so" not in told(["train", "train", "test", "test"])


def test_a_name_in_a_figure_is_no_formula_and_no_markup(made: Compared) -> None:
    from transferlib.course import figures

    figure, alt, caption = plots.confusion(mistakes(made, "probe"), [r"$\frac$", "b $2 <i>", "c"])
    html = figures.html(figure, alt, "confusion", caption)
    assert r"$\frac$" in html and "b $2 &lt;i&gt;" in html and "<i>" not in html


def test_numbers_have_one_name_each(made: Compared) -> None:
    names = [
        name
        for name, *_ in summary.measured(
            data(made.draws.y, [20] * 3), made, choice(50, True, 4), mistakes(made, "probe")
        )
    ]
    assert len(names) == len(set(names)) and {"probe_at_4", "chosen", "ece_luck", "examples of c"} <= set(names)
