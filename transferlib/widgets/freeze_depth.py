"""The freezing-depth explorer: how many layers to train at n labels per class, and what that costs."""

import json
import math
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from transferlib.errors import UserError, needs

HERE = Path(__file__).parent
COSTS = ("trainable", "memory", "stored")


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state`` when the explorer can draw it.

    ``state`` is ``{"title", "start_n", "start_k", "chance", "layers": [names, input first], "depths": [{"k",
    "trainable", "memory", "stored"}], "budgets": [{"n", "seeds", "points": [{"k", "mean", "lo", "hi", "train",
    "gain": {"mean", "lo", "hi"} or None}]}]}``: ``k`` last layers are trained; accuracies are fractions from
    0 to 1; memory and stored are bytes; ``gain`` is against k = 0, paired over seeds.

    Raises:
        UserError: a part is missing, a budget lacks a depth, or a number is not finite.
    """
    depths, budgets = state.get("depths"), state.get("budgets")
    if not depths or not budgets or not state.get("layers"):
        raise UserError("freeze_depth: the state needs 'layers', 'depths' and 'budgets', one or more of each.")
    ks = [depth.get("k") for depth in depths]
    if ks != sorted(set(ks)) or not 0 <= ks[0] <= ks[-1] <= len(state["layers"]):
        raise UserError(f"freeze_depth: the depths k = {ks} must rise and lie in 0 … {len(state['layers'])}.")
    for depth in depths:
        if not all(isinstance(depth.get(c), int) and depth[c] >= 0 for c in COSTS):
            raise UserError(f"freeze_depth: depth k = {depth['k']} needs {', '.join(COSTS)} as whole numbers.")
    for budget in budgets:
        points = budget.get("points", [])
        if [point.get("k") for point in points] != ks:
            raise UserError(f"freeze_depth: the budget n = {budget.get('n')!r} must have one point for each k in {ks}.")
        for point in points:
            numbers = [*(point.get(key) for key in ("mean", "lo", "hi", "train")), *(point.get("gain") or {}).values()]
            if not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
                raise UserError(f"freeze_depth: n = {budget['n']}, k = {point['k']} holds a number that is not finite.")
    return state


def table(state: dict[str, Any]) -> str:
    """The numbers as an HTML table, for readers without JavaScript."""
    budgets = state["budgets"]
    pair = '<th scope="col">n = {}: test (95 % interval)</th><th scope="col">training</th>'
    head = "".join(pair.format(budget["n"]) for budget in budgets)
    rows = []
    for i, depth in enumerate(state["depths"]):
        costs = (f"{depth['trainable']:,}", f"{depth['memory'] / 1e6:.1f}", f"{depth['stored'] / 1e6:.2f}")
        cells = [f"<td>{cost}</td>" for cost in costs]
        for budget in budgets:
            mean, lo, hi, train = (100 * budget["points"][i][key] for key in ("mean", "lo", "hi", "train"))
            cells.append(f"<td>{mean:.1f} ({lo:.1f} to {hi:.1f})</td><td>{train:.1f}</td>")
        rows.append(f'<tr><th scope="row">{depth["k"]}</th>{"".join(cells)}</tr>')
    title = escape(str(state.get("title", "Freezing depth")))
    return (
        f"<table><caption>{title} Accuracy in %, n labels per class</caption>"
        '<thead><tr><th scope="col">layers trained</th><th scope="col">parameters that move</th>'
        f'<th scope="col">memory of a step (MB)</th><th scope="col">stored per task (MB)</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    data = escape(json.dumps(state, separators=(",", ":"), allow_nan=False), quote=True)
    return (
        f'<div class="hs-widget" data-widget="freeze_depth" data-state="{data}">'
        '<div class="hs-widget__fallback" role="region" tabindex="0"'
        f' aria-label="{escape(str(state.get("title", "Freezing depth")), quote=True)}">{table(state)}</div></div>'
    )


@cache
def _widget_class() -> type:
    # Imported here: the static page and the tests of the state need no Jupyter.
    needs("anywidget", "book", "A widget in a notebook")
    import anywidget
    import traitlets

    class FreezeDepth(anywidget.AnyWidget):
        """The same module as in the page; ``n`` and ``k`` follow the controls in both directions."""

        _esm = HERE / "freeze_depth.js"
        _css = HERE / "freeze_depth.css"
        state = traitlets.Dict().tag(sync=True)
        n = traitlets.Int().tag(sync=True)
        k = traitlets.Int().tag(sync=True)

        def _repr_mimebundle_(self, **kwargs: Any) -> Any:
            bundle = super()._repr_mimebundle_(**kwargs)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
            return {**data, "text/html": html(dict(self.state))}, metadata

    return FreezeDepth


def freeze_depth_explorer(state: dict[str, Any]) -> Any:
    """Show accuracy and cost for k trained layers at n labels per class.

    ``state``: see :func:`check_state`. Returns an anywidget with traits ``state``, ``n`` and ``k`` whose
    ``text/html`` twin draws the same chart in the static page.

    Raises:
        UserError: the state cannot be drawn.
    """
    check_state(state)
    return _widget_class()(state=state, n=int(state["start_n"]), k=int(state["start_k"]))
