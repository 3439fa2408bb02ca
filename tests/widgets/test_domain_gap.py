import copy
import json
import re
from html import unescape

import pytest

from transferlib.errors import UserError
from transferlib.widgets.domain_gap import check_state, domain_gap_map, html


def way(name, gain=None):
    span = {"mean": 0.5, "lo": 0.4, "hi": 0.6, "seeds": 3}
    points = {"s": [[0.0, 1.0], [1.0, 0.5]], "t": [[0.2, 0.2]]}
    return {"id": name, "label": name.upper(), **points, "wrong": [0], "apart": 0.9, "accuracy": span, "gain": gain}


@pytest.fixture
def state():
    gain = {"mean": 0.1, "lo": 0.0, "hi": 0.2, "seeds": 3}
    pair = {"id": "a-b", "label": "a → <b>", "source": "a", "target": "<b>", "ways": [way("none"), way("mmd", gain)]}
    return {"title": "Gap", "unit": "target accuracy", "pairs": [pair]}


def test_the_page_twin_holds_the_state_and_a_table_as_text(state):
    text = html(state)
    assert json.loads(unescape(re.search(r'data-state="([^"]*)"', text).group(1))) == state
    assert "50.0 (40.0 to 60.0)" in text
    assert "<b>" not in text


def test_the_widget_shows_the_same_page_twin(state):
    widget = domain_gap_map(state)
    assert widget.after == 0
    bundle = widget._repr_mimebundle_()
    assert (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"] == html(state)


def broken(state, change):
    state = copy.deepcopy(state)
    change(state["pairs"][0]["ways"])
    return state


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ways: ways.pop(), "one or more after"),
        (lambda ways: ways[1]["t"].append([0.0, 0.0]), "same examples"),
        (lambda ways: ways[1]["s"][0].__setitem__(0, float("nan")), "not finite"),
        (lambda ways: ways[1]["gain"].update(lo=float("-inf")), "not finite"),
    ],
)
def test_a_state_that_cannot_be_drawn_gets_one_sentence(state, change, words):
    with pytest.raises(UserError, match=words):
        check_state(broken(state, change))
    with pytest.raises(UserError, match="no pair"):
        check_state({"pairs": []})
