"""Two spaces: what the state accepts, and the numbers without JavaScript."""

import json
import re
from html import unescape

import pytest

from transferlib.errors import UserError
from transferlib.widgets.two_spaces import check_state, example, good, html, right, two_spaces


def test_the_good_space_is_distance_and_direction():
    assert good([0.5, 0, 0]) == (0, 0)
    assert good([0, -1, 0]) == (1, -0.5)


def test_the_cut_is_halfway_between_the_means():
    state = {"title": "t", "start": 0, "labelled": [[0, 0, 0], [1, 0, 1]], "new": [[0.4, 0.9, 0], [0.4, 0, 1]]}
    assert right(state, 1, featured=False) == 0.5


def test_the_example_is_hopeless_in_one_space_and_easy_in_the_other():
    state = example()
    assert right(state, 8, featured=False) < 0.7 < 0.9 < right(state, 8, featured=True)


def test_the_twin_carries_the_state_and_a_table():
    page = html(example())
    assert json.loads(unescape(re.search(r'data-state="([^"]*)"', page).group(1))) == example()
    assert page.count("<tr>") == 9
    assert two_spaces(example()).few == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labelled": []}, "'labelled' needs points"),
        ({"labelled": [[0, 0, 1], [0, 0, 0]]}, "the classes 0, 1"),
        ({"new": [[0, float("nan"), 0], [0, 0, 1]]}, "not finite"),
        ({"start": 8}, "no number of labels"),
    ],
)
def test_bad_states_are_said_in_one_sentence(change, message):
    with pytest.raises(UserError, match=message):
        check_state({**example(), **change})
