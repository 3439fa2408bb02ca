"""The layer explorer: pick a depth, see its filters, what it does to a picture, and what a probe reads there."""

import base64
import io
import json
import math
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transferlib.errors import UserError, needs

HERE = Path(__file__).parent
SPAN = ("mean", "lo", "hi")
LIMIT = 300_000  # bytes of state: it stands in the page twice


def sheet(tiles: ArrayLike, columns: int, gap: int = 1) -> str:
    """Small pictures side by side as one PNG data URI, each stretched to its own range of brightness.

    Arguments: ``tiles`` (N, h, w), or (N, h, w, 3) for colour; ``columns`` in a row; ``gap`` clear pixels between.

    Raises:
        UserError: no tiles, or a number that is not finite.
    """
    from PIL import Image

    x = np.asarray(tiles, dtype=float)
    if x.ndim not in (3, 4) or len(x) == 0 or not np.isfinite(x).all():
        raise UserError(f"A sheet needs finite tiles (N, h, w) or (N, h, w, 3): got shape {x.shape}.")
    x = x[..., None].repeat(3, axis=-1) if x.ndim == 3 else x  # (N, h, w) → (N, h, w, 3)
    low, high = x.min((1, 2, 3), keepdims=True), x.max((1, 2, 3), keepdims=True)
    grey = np.where(high > low, (x - low) / np.where(high > low, high - low, 1), 0.5)
    steps = np.rint(grey * 31) * 255 / 31  # 32 levels are enough to see, and the file is half the size
    n, h, w, _ = x.shape
    rows = math.ceil(n / columns)
    canvas = np.zeros((rows * (h + gap) - gap, columns * (w + gap) - gap, 4), dtype=np.uint8)
    for i, tile in enumerate(steps):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        canvas[top : top + h, left : left + w, :3] = tile.astype(np.uint8)
        canvas[top : top + h, left : left + w, 3] = 255
    out = io.BytesIO()
    Image.fromarray(canvas).save(out, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state`` when the explorer can draw it.

    ``state`` is ``{"title", "start", "layers": [{"id", "label", "shape", "filters", "note"}], "sets": [{"id", "label",
    "chance", "seeds", "trained", "random", "pictures": [{"label", "src", "maps"}]}]}``. ``filters`` is a PNG data URI
    or None, ``maps`` one for each layer; ``trained`` and ``random`` hold ``{"mean", "lo", "hi"}``, fractions, for each
    layer.

    Raises:
        UserError: a part is missing or of the wrong length, a number is not finite, a picture is not a PNG data URI,
            or the whole is larger than 300 kB.
    """
    if not state.get("layers") or not state.get("sets"):
        raise UserError("layer_explorer: the state needs one or more 'layers' and one or more 'sets'.")
    pictures = [layer["filters"] for layer in state["layers"] if layer.get("filters")]
    for item in state["sets"]:
        name, parts = f"layer_explorer: set {item.get('label', '?')!r}", [item["trained"], item["random"]]
        parts += [picture["maps"] for picture in item["pictures"]]
        if not item["pictures"] or any(len(part) != len(state["layers"]) for part in parts):
            raise UserError(f"{name} needs a picture, and one entry for each of the {len(state['layers'])} layers.")
        if not all(math.isfinite(v[key]) for part in parts[:2] for v in part for key in SPAN):
            raise UserError(f"{name} holds a number that is not finite.")
        pictures += [src for picture in item["pictures"] for src in (picture["src"], *picture["maps"])]
    if any(not str(src).startswith("data:image/png;base64,") for src in pictures):
        raise UserError("layer_explorer: every picture must be a PNG data URI: make it with sheet().")
    if (size := len(json.dumps(state))) > LIMIT:
        raise UserError(
            f"layer_explorer: the state has {size} bytes, more than {LIMIT}: show fewer or smaller pictures."
        )
    return state


def table(state: dict[str, Any]) -> str:
    """The accuracy at every layer as an HTML table, for readers without JavaScript."""
    rows = []
    for i, layer in enumerate(state["layers"]):
        cells = []
        for item in state["sets"]:
            for kind in ("trained", "random"):
                mean, lo, hi = (100 * item[kind][i][key] for key in SPAN)
                cells.append(f"<td>{mean:.1f} ({lo:.1f} to {hi:.1f})</td>")
        rows.append(f'<tr><th scope="row">{escape(str(layer["label"]))}</th>{"".join(cells)}</tr>')
    heads = "".join(
        f'<th scope="col">{escape(str(item["label"]))}, {kind}</th>'
        for item in state["sets"]
        for kind in ("pretrained", "random")
    )
    return (
        "<table><caption>Test accuracy of a probe after each layer in %, mean (95 % interval)</caption>"
        f'<thead><tr><th scope="col">layer</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    data = escape(json.dumps(state, separators=(",", ":"), allow_nan=False), quote=True)
    return (
        f'<div class="hs-widget" data-widget="layer_explorer" data-state="{data}">'
        '<div class="hs-widget__fallback" role="region" tabindex="0"'
        f' aria-label="{escape(str(state.get("title", "Layer explorer")), quote=True)}">{table(state)}</div></div>'
    )


@cache
def _widget_class() -> type:
    # Imported here: the static page and the tests of the state need no Jupyter.
    needs("anywidget", "book", "A widget in a notebook")
    import anywidget
    import traitlets

    class LayerExplorer(anywidget.AnyWidget):
        """The same module as in the page; ``layer`` follows the slider, 0 is the first layer."""

        _esm = HERE / "layer_explorer.js"
        # The frame, tabs and slider look like the label-budget explorer's; a page has both style sheets anyway.
        _css = "".join(
            (HERE / f"{name}.css").read_text(encoding="utf-8") for name in ("label_budget", "layer_explorer")
        )
        state = traitlets.Dict().tag(sync=True)
        layer = traitlets.Int(0).tag(sync=True)

        def _repr_mimebundle_(self, **kwargs: Any) -> Any:
            bundle = super()._repr_mimebundle_(**kwargs)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
            return {**data, "text/html": html(dict(self.state))}, metadata

    return LayerExplorer


def layer_explorer(state: dict[str, Any]) -> Any:
    """Show a network layer by layer.

    Args:
        state: see :func:`check_state`.

    Returns:
        An anywidget with traits ``state`` and ``layer`` whose ``text/html`` twin draws the same in the page.

    Raises:
        UserError: the state cannot be drawn.
    """
    check_state(state)
    return _widget_class()(state=state, layer=int(state.get("start", 0)))
