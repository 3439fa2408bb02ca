"""The dial: measured lines over one setting, an anywidget in JupyterLab, an HTML twin in the page."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transferlib.course.intervals import mean_interval
from transferlib.errors import UserError, needs

HERE = Path(__file__).parent


def dataset(
    label: str,
    x: Sequence[str],
    series: Mapping[str, ArrayLike],
    *,
    x_label: str,
    y_label: str,
    say: Sequence[str] = (),
) -> dict[str, Any]:
    """One tab of the dial: ``series`` {label: values (seeds, len(x)) in percent}, ``say`` a sentence for each x."""
    lines = []
    for name, values in series.items():
        spans = [mean_interval(column) for column in np.asarray(values, dtype=float).T]
        parts = {"mean": [s.mean for s in spans], "lo": [s.low for s in spans], "hi": [s.high for s in spans]}
        lines.append({"label": name, **{k: [round(v, 3) for v in part] for k, part in parts.items()}})
    return {"label": label, "x": list(x), "x_label": x_label, "y_label": y_label, "series": lines, "say": list(say)}


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state``, ``{"title", "start_n": place of the slider, "datasets": [dataset(...)]}``, checked.

    Raises ``UserError`` when a part is missing, lists differ in length, or a number is not finite.
    """
    if not state.get("title") or not state.get("datasets"):
        raise UserError("dial: the state needs a 'title' that asks the question, and one or more 'datasets'.")
    for data in state["datasets"]:
        name, length = f"dial: data set {data.get('label', '?')!r}", len(data.get("x", []))
        if not length or not data.get("series"):
            raise UserError(f"{name} needs 'x' and one or more 'series'.")
        if data.get("say") and len(data["say"]) != length:
            raise UserError(f"{name} has {len(data['say'])} sentences for {length} settings: give one each, or none.")
        for line in data["series"]:
            lists = [line.get(key, []) for key in ("mean", "lo", "hi")]
            if any(len(values) != length for values in lists):
                raise UserError(f"{name}, {line.get('label')!r}: mean, lo and hi must have {length} values.")
            if not all(math.isfinite(value) for values in lists for value in values):
                raise UserError(f"{name}, {line.get('label')!r} holds a number that is not finite: run more seeds.")
    return state


def table(data: dict[str, Any]) -> str:
    """The numbers of one tab as an HTML table, for readers without JavaScript."""
    head = "".join(f'<th scope="col">{escape(str(s["label"]))}</th>' for s in data["series"])
    rows = []
    for i, x in enumerate(data["x"]):
        cells = "".join(f"<td>{s['mean'][i]:.1f} ({s['lo'][i]:.1f} to {s['hi'][i]:.1f})</td>" for s in data["series"])
        rows.append(f'<tr><th scope="row">{escape(str(x))}</th>{cells}</tr>')
    return (
        f"<table><caption>{escape(data['label'])}: {escape(data['y_label'])}, mean (95 % interval)</caption>"
        f'<thead><tr><th scope="col">{escape(data["x_label"])}</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    data = escape(json.dumps(state, separators=(",", ":"), allow_nan=False), quote=True)
    return (
        f'<div class="hs-widget" data-widget="dial" data-state="{data}">'
        f'<div class="hs-widget__fallback" role="region" tabindex="0"'
        f' aria-label="{escape(state["title"], quote=True)}">'
        f"{''.join(table(item) for item in state['datasets'])}</div></div>"
    )


@cache
def _widget_class() -> type:
    # Imported here: the static page and the tests of the state need no Jupyter.
    needs("anywidget", "book", "A widget in a notebook")
    import anywidget
    import traitlets

    class Dial(anywidget.AnyWidget):
        """The same module as in the page; ``n`` is the place of the slider, in both directions."""

        _esm = HERE / "dial.js"
        _css = (HERE / "label_budget.css").read_text("utf-8") + (HERE / "dial.css").read_text("utf-8")
        state = traitlets.Dict().tag(sync=True)
        n = traitlets.Int(0).tag(sync=True)

        def _repr_mimebundle_(self, **kwargs: Any) -> Any:
            bundle = super()._repr_mimebundle_(**kwargs)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
            return {**data, "text/html": html(dict(self.state))}, metadata

    return Dial


def dial(state: dict[str, Any]) -> Any:
    """Show measured lines over one setting; see :func:`check_state`. Raises ``UserError`` for what cannot be drawn."""
    check_state(state)
    return _widget_class()(state=state, n=int(state.get("start_n", 0)))
