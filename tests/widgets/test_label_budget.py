"""The label-budget explorer: a state it can draw, an HTML twin that is only data and text."""

import copy
import json
import math
import re
from html import unescape

import pytest

from transferlib.errors import UserError
from transferlib.widgets.label_budget import check_state, html, label_budget_explorer


def series(name, mean):
    return {
        "id": name,
        "label": name,
        "n": [1, 5],
        "mean": mean,
        "lo": [m - 0.01 for m in mean],
        "hi": [m + 0.01 for m in mean],
    }


@pytest.fixture
def state():
    """Two strategies on one data set."""
    data = {
        "id": "a",
        "label": "A & <b>",
        "chance": 0.1,
        "strategies": [series("probe", [0.5, 0.625]), series("scratch", [0.2, 0.3])],
    }
    return {"title": "What a head start buys", "start_n": 5, "datasets": [data]}


def test_a_good_state_passes_unchanged(state):
    assert check_state(copy.deepcopy(state)) == state


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda s: s.update(datasets=[]), "has no data set"),
        (lambda s: s["datasets"][0].update(strategies=[]), "needs a 'label' and one or more 'strategies'"),
        (lambda s: s["datasets"][0]["strategies"][0].update(lo=[0.1]), "must be lists of one length"),
        (lambda s: s["datasets"][0]["strategies"][1].update(mean=[0.1, math.nan]), "not finite"),
        (lambda s: s["datasets"][0].update(gaps=[{"a": "probe", "n": [1]}]), "must be lists of one length"),
        (lambda s: s["datasets"][0].update(strategies=[{**series("probe", []), "n": []}]), "no measured label budget"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(state, spoil, sentence):
    spoil(state)
    with pytest.raises(UserError, match=re.escape(sentence)):
        html(state)


def test_the_twin_carries_the_state_and_a_table_to_read_without_a_script(state):
    page = html(state)
    carried = re.search(r'data-state="([^"]*)"', page).group(1)
    assert json.loads(unescape(carried)) == state
    assert "<td>62.5 (61.5 to 63.5)</td>" in page
    assert '<th scope="row">5</th>' in page


def test_labels_are_text_and_never_markup(state):
    page = html(state)
    assert "<b>" not in page
    assert "A &amp; &lt;b&gt;" in page


def test_in_jupyterlab_it_is_a_widget_with_the_same_twin(state):
    pytest.importorskip("anywidget", reason="anywidget is not installed: pip install -e .[book]")
    widget = label_budget_explorer(state)
    assert widget.n == 5
    bundle, _ = widget._repr_mimebundle_()
    assert bundle["text/html"] == html(state)
    assert str(widget._esm).rstrip().endswith("export default { render };")
