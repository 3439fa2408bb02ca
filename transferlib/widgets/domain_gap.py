"""Before and after: source and target examples on one map, and what an alignment does to them."""

from typing import Any

from transferlib.errors import UserError
from transferlib.widgets import base

SPAN = ("mean", "lo", "hi")


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state`` when the map can draw it.

    ``state`` is ``{"title", "unit", "pairs": [{"id", "label", "source", "target", "ways": [{"id", "label", "s", "t",
    "wrong", "accuracy", "gain", "apart"}]}]}``. The first way of a pair is *before*. ``s`` and ``t`` are lists of
    [x, y]; point i is the same example in every way. ``wrong`` lists the target examples that are misclassified.
    ``accuracy`` and ``gain`` are ``{"mean", "lo", "hi", "seeds"}`` as fractions, ``apart`` the share of examples
    whose domain a linear classifier can tell, 0.5 when it must guess.

    Raises:
        UserError: a part is missing, ways of a pair differ in their number of points, or a number is not finite.
    """
    if not state.get("pairs"):
        raise UserError("domain_gap: the state has no pair of domains; give 'pairs' one or more.")
    for pair in state["pairs"]:
        name = f"domain_gap: pair {pair.get('label', '?')!r}"
        ways = pair.get("ways") or []
        if len(ways) < 2:
            raise UserError(f"{name} needs a way before and one or more after: got {len(ways)}.")
        for way in ways:
            what = f"{name}, {way.get('id')!r}"
            if any(len(way.get(key) or []) != len(ways[0]["s" if key == "s" else "t"]) for key in ("s", "t")):
                raise UserError(f"{what}: every way must show the same examples.")
            numbers = [v for point in [*way["s"], *way["t"]] for v in point]
            numbers += [way["apart"], *(way["accuracy"][key] for key in SPAN)]
            numbers += [way["gain"][key] for key in SPAN] if way.get("gain") else []
            base.check_finite(what, numbers)
    return state


def table(pair: dict[str, Any], unit: str) -> str:
    """The numbers of one pair as an HTML table, for readers without JavaScript."""
    rows = (
        [w["label"], base.with_interval(*(100 * w["accuracy"][part] for part in SPAN)), f"{100 * w['apart']:.0f}"]
        for w in pair["ways"]
    )
    caption = f"{pair['label']}: {unit} in %, mean (95 % interval)"
    return base.table(caption, ["way", "target", "domain told apart (%)"], rows)


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    tables = (table(pair, str(state.get("unit", "target accuracy"))) for pair in state["pairs"])
    return base.twin("domain_gap", state, str(state.get("title", "Domain gap")), tables)


def domain_gap_map(state: dict[str, Any]) -> Any:
    """Show source and target before and after alignment.

    Args:
        state: see :func:`check_state`.

    Returns:
        An anywidget with traits ``state`` and ``after`` whose ``text/html`` twin draws the same map in the page.

    Raises:
        UserError: the state cannot be drawn.
    """
    check_state(state)
    return base.widget("domain_gap", html, state, after=0)
