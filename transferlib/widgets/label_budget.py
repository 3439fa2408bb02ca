"""The label-budget explorer: one state, an anywidget in JupyterLab, an HTML twin in the page."""

import json
import math
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from transferlib.errors import UserError, needs

HERE = Path(__file__).parent
SERIES = ("n", "mean", "lo", "hi")


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state`` when the explorer can draw it.

    ``state`` is ``{"title", "start_n", "datasets": [{"id", "label", "unit", "chance", "classes",
    "strategies": [{"id", "label", "n", "mean", "lo", "hi", "seeds"}], "gaps", "equivalents"}]}``;
    accuracies are fractions from 0 to 1, lists run over the budgets ``n`` in increasing order.

    Raises:
        UserError: a part is missing, lists differ in length, or a number is not finite.
    """
    datasets = state.get("datasets")
    if not datasets:
        raise UserError("label_budget: the state has no data set; give 'datasets' one or more.")
    for data in datasets:
        name = f"label_budget: data set {data.get('label', '?')!r}"
        if not data.get("label") or not data.get("strategies"):
            raise UserError(f"{name} needs a 'label' and one or more 'strategies'.")
        for part in [*data["strategies"], *data.get("gaps", [])]:
            what = f"{name}, {part.get('id') or part.get('a')!r}"
            lists = [part.get(key) for key in SERIES]
            if not all(isinstance(x, list) and len(x) == len(part["n"]) for x in lists):
                raise UserError(f"{what}: n, mean, lo and hi must be lists of one length.")
            if not all(math.isfinite(v) for x in lists if x for v in x):
                raise UserError(f"{what} holds a number that is not finite; leave that n out.")
        if not any(s["n"] for s in data["strategies"]):
            raise UserError(f"{name} has no measured label budget.")
    return state


def table(data: dict[str, Any]) -> str:
    """The numbers of one data set as an HTML table, for readers without JavaScript."""
    budgets = sorted({n for s in data["strategies"] for n in s["n"]})
    head = "".join(f'<th scope="col">{escape(str(s["label"]))}</th>' for s in data["strategies"])
    rows = []
    for n in budgets:
        cells = []
        for s in data["strategies"]:
            if n not in s["n"]:
                cells.append("<td>–</td>")
                continue
            i = s["n"].index(n)
            mean, lo, hi = (100 * s[key][i] for key in ("mean", "lo", "hi"))
            cells.append(f"<td>{mean:.1f} ({lo:.1f} to {hi:.1f})</td>")
        rows.append(f'<tr><th scope="row">{n}</th>{"".join(cells)}</tr>')
    unit = escape(str(data.get("unit", "test accuracy")))
    return (
        f"<table><caption>{escape(str(data['label']))}: {unit} in %, mean (95 % interval)</caption>"
        f'<thead><tr><th scope="col">labels per class</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    data = escape(json.dumps(state, separators=(",", ":"), allow_nan=False), quote=True)
    tables = "".join(table(item) for item in state["datasets"])
    return (
        f'<div class="hs-widget" data-widget="label_budget" data-state="{data}">'
        '<div class="hs-widget__fallback" role="region" tabindex="0"'
        f' aria-label="{escape(str(state.get("title", "Label budgets")), quote=True)}">'
        f"{tables}</div></div>"
    )


@cache
def _widget_class() -> type:
    # Imported here: the static page and the tests of the state need no Jupyter.
    needs("anywidget", "book", "A widget in a notebook")
    import anywidget
    import traitlets

    class LabelBudget(anywidget.AnyWidget):
        """The same module as in the page; ``n`` follows the slider in both directions."""

        _esm = HERE / "label_budget.js"
        _css = HERE / "label_budget.css"
        state = traitlets.Dict().tag(sync=True)
        n = traitlets.Int(20).tag(sync=True)

        def _repr_mimebundle_(self, **kwargs: Any) -> Any:
            bundle = super()._repr_mimebundle_(**kwargs)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
            return {**data, "text/html": html(dict(self.state))}, metadata

    return LabelBudget


def label_budget_explorer(state: dict[str, Any]) -> Any:
    """Show what a head start buys at n labels per class.

    Args:
        state: see :func:`check_state`; the slider starts at ``state["start_n"]``.

    Returns:
        An anywidget with traits ``state`` and ``n`` whose ``text/html`` twin draws the same chart
        in the static page.

    Raises:
        UserError: the state cannot be drawn.
    """
    check_state(state)
    return _widget_class()(state=state, n=int(state.get("start_n", 20)))
