"""The dial: measured lines over one setting, an anywidget in JupyterLab, an HTML twin in the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transferlib.course.intervals import mean_interval
from transferlib.errors import UserError
from transferlib.widgets import base

PARTS = ("mean", "lo", "hi")


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
            lists = [line.get(part, []) for part in PARTS]
            if any(len(values) != length for values in lists):
                raise UserError(f"{name}, {line.get('label')!r}: mean, lo and hi must have {length} values.")
            numbers = [value for values in lists for value in values]
            base.check_finite(f"{name}, {line.get('label')!r}", numbers, ": run more seeds")
    return state


def table(data: dict[str, Any]) -> str:
    """The numbers of one tab as an HTML table, for readers without JavaScript."""
    series = data["series"]
    rows = (
        [x, *(base.with_interval(*(s[part][i] for part in PARTS)) for s in series)] for i, x in enumerate(data["x"])
    )
    caption = f"{data['label']}: {data['y_label']}, mean (95 % interval)"
    return base.table(caption, [data["x_label"], *(s["label"] for s in series)], rows)


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    return base.twin("dial", state, state["title"], map(table, state["datasets"]))


def dial(state: dict[str, Any]) -> Any:
    """Show measured lines over one setting; see :func:`check_state`. Raises ``UserError`` for what cannot be drawn."""
    check_state(state)
    return base.widget("dial", html, state, n=int(state.get("start_n", 0)))
