"""The dial's state: what it accepts, what it shows without JavaScript."""

import json
import re
from html import unescape

import numpy as np
import pytest

from transferlib.errors import UserError
from transferlib.widgets.dial import check_state, dataset, dial, html


def state():
    values = np.array([[10.0, 20.0, 30.0], [12.0, 24.0, 33.0], [11.0, 19.0, 33.0]])
    tab = dataset(
        "Digits", ["0", "1", "<b>"], {"old & new": values}, x_label="λ", y_label="accuracy (%)", say=["a", "b", "c"]
    )
    return {"title": "What does λ do?", "start_n": 1, "datasets": [tab]}


def test_a_tab_holds_means_and_intervals():
    (line,) = state()["datasets"][0]["series"]
    assert line["mean"] == pytest.approx([11, 21, 32])
    assert line["lo"][0] == pytest.approx(11 - 4.303 / 3**0.5, abs=0.01)


def test_the_twin_carries_the_state_and_a_readable_table_with_words_as_text():
    page = html(state())
    assert json.loads(unescape(re.search(r'data-state="([^"]*)"', page).group(1))) == state()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "21.0 (" in page


def test_the_widget_starts_where_the_state_says_and_shows_the_twin():
    widget = dial(state())
    assert widget.n == 1
    assert widget._repr_mimebundle_()[0]["text/html"] == html(state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("title"), "needs a 'title'"),
        (lambda s: s["datasets"][0].update(series=[]), "one or more 'series'"),
        (lambda s: s["datasets"][0].update(say=["a"]), "1 sentences for 3 settings"),
        (lambda s: s["datasets"][0]["series"][0]["lo"].pop(), "must have 3 values"),
        (lambda s: s["datasets"][0]["series"][0].update(lo=[1, 2, float("inf")]), "not finite"),
    ],
)
def test_bad_states_are_said_in_one_sentence(change, message):
    bad = state()
    change(bad)
    with pytest.raises(UserError, match=message):
        check_state(bad)
