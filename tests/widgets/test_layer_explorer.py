import base64
import copy
import io
import json
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

from transferlib.errors import UserError
from transferlib.widgets.layer_explorer import check_state, html, layer_explorer, sheet


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_a_sheet_lays_tiles_out_and_stretches_each():
    got = pixels(sheet([[[0.0, 5.0]], [[-1.0, 1.0]], [[3.0, 3.0]]], columns=2))
    assert got.shape == (3, 5, 4)
    assert got[0, :, 0].tolist() == [0, 255, 0, 0, 255]
    assert got[0, :, 3].tolist() == [255, 255, 0, 255, 255]  # the gap is clear
    assert set(got[2, :2, 0].tolist()) <= {123, 131, 127, 128}  # a constant tile is grey
    assert got[2, 3:, 3].tolist() == [0, 0]


def test_a_sheet_refuses_what_it_cannot_show():
    for bad in (np.zeros((0, 3, 3)), np.full((1, 3, 3), np.nan), np.zeros((3, 3))):
        with pytest.raises(UserError, match="finite tiles"):
            sheet(bad, 2)


@pytest.fixture
def state():
    png = sheet(np.eye(3)[None], 1)
    span = {"mean": 0.5, "lo": 0.4, "hi": 0.6}
    layer = {"id": "stem", "label": "<b>stem", "shape": "3 × 3", "filters": png, "note": "three by three"}
    one = {"id": "a", "label": "A", "chance": 0.1, "seeds": 3, "trained": [span] * 2, "random": [span] * 2}
    one["pictures"] = [{"label": "shoe", "src": png, "maps": [png, png]}]
    return {"title": "Layers", "start": 1, "layers": [layer, layer | {"filters": None}], "sets": [one]}


def test_the_page_twin_holds_the_state_and_a_table_as_text(state):
    text = html(state)
    assert json.loads(unescape(re.search(r'data-state="([^"]*)"', text).group(1))) == state
    assert "50.0 (40.0 to 60.0)" in text
    assert "<b>" not in text


def test_the_widget_shows_the_same_page_twin(state):
    widget = layer_explorer(state)
    assert widget.layer == 1
    bundle = widget._repr_mimebundle_()
    assert (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"] == html(state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(layers=[]), "one or more 'layers'"),
        (lambda s: s["sets"][0]["random"].pop(), "each of the 2 layers"),
        (lambda s: s["sets"][0].update(pictures=[]), "needs a picture"),
        (lambda s: s["sets"][0]["pictures"][0]["maps"].pop(), "each of the 2 layers"),
        (lambda s: s["sets"][0]["trained"][0].update(hi=float("inf")), "not finite"),
        (lambda s: s["layers"][0].update(filters="https://elsewhere.test/a.png"), "PNG data URI"),
        (lambda s: s.update(title="x" * 300_000), "more than 300000"),
    ],
)
def test_a_state_that_cannot_be_drawn_gets_one_sentence(state, change, words):
    state = copy.deepcopy(state)
    change(state)
    with pytest.raises(UserError, match=words):
        check_state(state)
