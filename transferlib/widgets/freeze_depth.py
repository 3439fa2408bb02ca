"""The freezing-depth explorer: how many layers to train at n labels per class, and what that costs."""

import math
from typing import Any

from transferlib.errors import UserError
from transferlib.widgets import base

COSTS = ("trainable", "memory", "stored")


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state`` when the explorer can draw it.

    ``state`` is ``{"title", "start_n", "start_k", "chance", "layers": [names, input first], "depths": [{"k",
    "trainable", "memory", "stored"}], "budgets": [{"n", "seeds", "points": [{"k", "mean", "lo", "hi", "train",
    "gain": {"mean", "lo", "hi"} or None}], "level"}]}``: ``k`` last layers are trained; accuracies are fractions from
    0 to 1; memory and stored are bytes; ``gain`` is against k = 0, paired over seeds. ``train`` is None where it was
    not measured; ``level``, where given, is ``{"label", "mean", "lo", "hi"}`` of a way that trains no layer at all.

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
            fitted = [] if point.get("train", math.nan) is None else [point.get("train")]
            numbers = [*(point.get(key) for key in ("mean", "lo", "hi")), *fitted, *(point.get("gain") or {}).values()]
            base.check_finite(f"freeze_depth: n = {budget['n']}, k = {point['k']}", numbers)
        if level := budget.get("level"):
            numbers = [level.get(part) for part in ("mean", "lo", "hi")]
            base.check_finite(f"freeze_depth: n = {budget['n']}, {level.get('label')}", numbers)
    return state


def table(state: dict[str, Any]) -> str:
    """The numbers as an HTML table, for readers without JavaScript."""
    heads = ["layers trained", "parameters that move", "memory of a step (MB)", "stored per task (MB)"]
    rows = [
        [d["k"], f"{d['trainable']:,}", f"{d['memory'] / 1e6:.1f}", f"{d['stored'] / 1e6:.2f}"] for d in state["depths"]
    ]
    for budget in state["budgets"]:
        heads += [f"n = {budget['n']}: test (95 % interval)", "training"]
        for row, point in zip(rows, budget["points"], strict=True):
            test = base.with_interval(*(100 * point[part] for part in ("mean", "lo", "hi")))
            row += [test, "not measured" if point["train"] is None else f"{100 * point['train']:.1f}"]
    levels = [
        f" {b['level']['label']}, n = {b['n']}: {100 * b['level']['mean']:.1f}."
        for b in state["budgets"]
        if b.get("level")
    ]
    caption = f"{state.get('title', 'Freezing depth')} Accuracy in %, n labels per class.{''.join(levels)}"
    return base.table(caption, heads, rows)


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    return base.twin("freeze_depth", state, str(state.get("title", "Freezing depth")), [table(state)])


def freeze_depth_explorer(state: dict[str, Any]) -> Any:
    """Show accuracy and cost for k trained layers at n labels per class.

    ``state``: see :func:`check_state`. Returns an anywidget with traits ``state``, ``n`` and ``k`` whose
    ``text/html`` twin draws the same chart in the static page.

    Raises:
        UserError: the state cannot be drawn.
    """
    check_state(state)
    return base.widget("freeze_depth", html, state, n=int(state["start_n"]), k=int(state["start_k"]))
