"""Two valleys and a spring: where the weight rests, what the state accepts, and the numbers without JavaScript."""

import json
import re
from html import unescape

import pytest
from scipy.optimize import minimize_scalar

from transferlib.errors import UserError
from transferlib.widgets.spring import check_state, example, html, rest, spring


@pytest.mark.parametrize("strength", [0, 0.3, 7])
@pytest.mark.parametrize("stiffness", [0.1, 4])
def test_the_weight_rests_where_a_search_finds_the_lowest_sum(strength, stiffness):
    def loss(at):
        return 2.5 / 2 * (at - 3) ** 2 + strength * stiffness / 2 * (at + 1) ** 2

    found = minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9}).x
    assert rest(strength, stiffness, bend=2.5, goal=3, old=-1) == pytest.approx(found, abs=1e-6)


def test_the_numbers_are_those_that_the_chapter_works_out_by_hand():
    assert rest(0, 4) == 3
    assert rest(1, 1) == 1.5
    assert rest(1, 4) == 0.6
    assert rest(1, 0.1) == pytest.approx(2.73, abs=0.005)


def test_the_twin_carries_the_state_and_a_table_for_each_weight():
    page = html(example())
    assert json.loads(unescape(re.search(r'data-state="([^"]*)"', page).group(1))) == example()
    assert page.count("<table>") == 2 and page.count("<tr>") == 2 * (1 + len(example()["strengths"]))
    # λ = 1, stiffness 4: at 0.6, old loss ½ · 4 · 0.36 = 0.72, new loss ½ · 2.4² = 2.88.
    assert '<th scope="row">1</th><td>0.60</td><td>0.72</td><td>2.88</td>' in page
    assert spring(example()).place == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": []}, "needs a 'title', 'strengths', and 'weights'"),
        ({"weights": [{"stiffness": 4}]}, "with a 'label' each"),
        ({"strengths": [0, 1, 1]}, "must rise, from 0 or more"),
        ({"strengths": [-1, 0, 1]}, "must rise, from 0 or more"),
        ({"bend": 0}, "above 0"),
        ({"weights": [{"label": "a", "stiffness": 0}]}, "above 0"),
        ({"old": 3}, "left of 'goal'"),
        ({"goal": None}, "not finite"),
        ({"start": 9}, "'start' 9 is no place among 9 strengths"),
    ],
)
def test_bad_states_are_said_in_one_sentence(change, message):
    with pytest.raises(UserError, match=message):
        check_state({**example(), **change})
