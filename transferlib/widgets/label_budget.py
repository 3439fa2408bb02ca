"""The label-budget explorer: one state, an anywidget in JupyterLab, an HTML twin in the page."""

from typing import Any

from transferlib.errors import UserError
from transferlib.widgets import base

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
            base.check_finite(what, [v for x in lists if x for v in x], "; leave that n out")
        if not any(s["n"] for s in data["strategies"]):
            raise UserError(f"{name} has no measured label budget.")
    return state


def table(data: dict[str, Any]) -> str:
    """The numbers of one data set as an HTML table, for readers without JavaScript."""

    def cell(series: dict[str, Any], n: int) -> str:
        if n not in series["n"]:
            return "–"
        i = series["n"].index(n)
        return base.with_interval(*(100 * series[part][i] for part in ("mean", "lo", "hi")))

    strategies = data["strategies"]
    rows = ([n, *(cell(s, n) for s in strategies)] for n in sorted({n for s in strategies for n in s["n"]}))
    caption = f"{data['label']}: {data.get('unit', 'test accuracy')} in %, mean (95 % interval)"
    return base.table(caption, ["labels per class", *(s["label"] for s in strategies)], rows)


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    return base.twin("label_budget", state, str(state.get("title", "Label budgets")), map(table, state["datasets"]))


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
    return base.widget("label_budget", html, state, n=int(state.get("start_n", 20)))
