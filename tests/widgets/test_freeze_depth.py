"""The freezing-depth explorer: a state it can draw, an HTML twin that is only data and text."""

import copy
import json
import math
import re
from html import unescape

import pytest

from transferlib.errors import UserError
from transferlib.widgets.freeze_depth import check_state, freeze_depth_explorer, html


@pytest.fixture
def state():
    """Two depths at one budget."""
    points = [
        {"k": 0, "mean": 0.5, "lo": 0.4, "hi": 0.6, "train": 1.0, "gain": None},
        {"k": 2, "mean": 0.625, "lo": 0.6, "hi": 0.65, "train": 0.9, "gain": {"mean": 0.1, "lo": -0.1, "hi": 0.3}},
    ]
    depths = [{"k": k, "trainable": 10 + k, "memory": 1_500_000, "stored": 40} for k in (0, 2)]
    return {"title": "How <b>deep?", "start_n": 5, "start_k": 2, "chance": 0.1, "layers": ["stem", "blocks.0"],
            "depths": depths, "budgets": [{"n": 5, "seeds": 4, "points": points}]}  # fmt: skip


def test_a_good_state_passes_unchanged(state):
    assert check_state(copy.deepcopy(state)) == state


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda s: s.update(depths=[]), "needs 'layers', 'depths' and 'budgets'"),
        (lambda s: s["depths"][1].update(k=3), "must rise and lie in 0 … 2"),
        (lambda s: s["depths"].reverse(), "must rise"),
        (lambda s: s["depths"][0].update(memory=None), "needs trainable, memory, stored as whole numbers"),
        (lambda s: s["budgets"][0]["points"].pop(), "must have one point for each k in [0, 2]"),
        (
            lambda s: s["budgets"][0]["points"][1].update(train=math.nan),
            "n = 5, k = 2 holds a number that is not finite",
        ),
        (lambda s: s["budgets"][0]["points"][1]["gain"].update(lo=-math.inf), "not finite"),
        (lambda s: s["budgets"][0]["points"][1].pop("train"), "not finite"),
        (lambda s: s["budgets"][0].update(level={"label": "best", "mean": 0.5, "lo": 0.4}), "n = 5, best holds"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(state, spoil, sentence):
    spoil(state)
    with pytest.raises(UserError, match=re.escape(sentence)):
        html(state)


def test_the_twin_carries_the_state_and_a_table_and_no_markup_of_others(state):
    page = html(state)
    assert json.loads(unescape(re.search(r'data-state="([^"]*)"', page).group(1))) == state
    assert "<td>62.5 (60.0 to 65.0)</td><td>90.0</td>" in page
    assert "<b>" not in page


def test_a_way_that_trains_nothing_is_told_and_what_was_not_measured_is_not_made_up(state):
    state["budgets"][0]["points"][1]["train"] = None
    state["budgets"][0]["level"] = {"label": "an earlier layer", "mean": 0.7, "lo": 0.6, "hi": 0.8}
    page = html(state)
    assert "<td>62.5 (60.0 to 65.0)</td><td>not measured</td>" in page
    assert "an earlier layer, n = 5: 70.0." in page


def test_in_jupyterlab_it_is_a_widget_with_the_same_twin(state):
    pytest.importorskip("anywidget", reason="anywidget is not installed: pip install -e .[book]")
    widget = freeze_depth_explorer(state)
    assert (widget.n, widget.k) == (5, 2)
    bundle, _ = widget._repr_mimebundle_()
    assert bundle["text/html"] == html(state)
    assert str(widget._esm).rstrip().endswith("export default { render };")
