import copy
import json
import re
from html import unescape

import numpy as np
import pytest

from transferlib.errors import UserError
from transferlib.widgets.domain_gap import HALF, check_state, domain_gap_map, html, two_clouds


@pytest.fixture(scope="module")
def state():
    return two_clouds(steps=3, points=6)


def test_the_page_twin_holds_the_state_and_a_table_as_text(state):
    changed = copy.deepcopy(state)
    changed["kinds"][0]["label"] = "Look <b>"
    text = html(changed)
    assert json.loads(unescape(re.search(r'data-state="([^"]*)"', text).group(1))) == changed
    assert "<b>" not in text and "<caption>Label shift: right in the target, in %</caption>" in text


def test_the_widget_shows_the_same_page_twin(state):
    widget = domain_gap_map(state)
    assert widget.at == 1
    bundle = widget._repr_mimebundle_()
    assert (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"] == html(state)


def sampled(kind, step, n=200_000):
    """How often upright lines are right on points drawn as the widget says, and labels of the points."""
    rng = np.random.default_rng(1)
    own = rng.random(n) < step["share"]
    x = rng.normal(size=n) + np.where(own, HALF, -HALF)
    y = rng.normal(size=n)
    turned = np.where(own, y > step["above"], y < -step["above"])
    label = own ^ turned
    x = x + step["move"][0]
    return {way: float(((x > at) == label).mean()) for way, at in step["lines"].items()}


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_the_accuracies_are_those_of_points_drawn_from_the_clouds(state, kind):
    for step in state["kinds"][kind]["steps"]:
        drawn = sampled(kind, step)
        assert {way: step["accuracy"][way] for way in drawn} == pytest.approx(drawn, abs=0.005)
        # A line with labels is never worse than one without.
        assert step["accuracy"]["labels"] >= max(step["accuracy"].values()) - 0.005


def test_each_remedy_cures_its_own_shift_and_harms_elsewhere(state):
    look, shares, rule = (kind["steps"][-1]["accuracy"] for kind in state["kinds"])
    assert look["mean"] == look["labels"] > look["old"] + 0.2 and look["shares"] < look["old"]
    assert shares["shares"] == pytest.approx(shares["labels"], abs=1e-3) and shares["mean"] < shares["old"] - 0.2
    assert rule["old"] == rule["mean"] == rule["shares"] < rule["labels"] - 0.3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state["kinds"].clear(), "one or more kinds"),
        (lambda state: state["clouds"].pop(), "two clouds"),
        (lambda state: state["kinds"][1]["steps"].pop(), "as many steps"),
        (lambda state: state["kinds"][2]["steps"][0]["accuracy"].update(old=float("nan")), "not finite"),
        (lambda state: state["clouds"][0][0].__setitem__(0, float("inf")), "not finite"),
    ],
)
def test_a_state_that_cannot_be_drawn_gets_one_sentence(state, change, words):
    broken = copy.deepcopy(state)
    change(broken)
    with pytest.raises(UserError, match=words):
        check_state(broken)
