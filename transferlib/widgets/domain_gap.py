"""Before and after: source and target examples on one map, and what an alignment does to them."""

import json
import math
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from transferlib.errors import UserError, needs

HERE = Path(__file__).parent
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
            if not all(math.isfinite(v) for v in numbers):
                raise UserError(f"{what} holds a number that is not finite.")
    return state


def table(pair: dict[str, Any], unit: str) -> str:
    """The numbers of one pair as an HTML table, for readers without JavaScript."""
    rows = []
    for way in pair["ways"]:
        mean, lo, hi = (100 * way["accuracy"][key] for key in SPAN)
        rows.append(
            f'<tr><th scope="row">{escape(str(way["label"]))}</th><td>{mean:.1f} ({lo:.1f} to {hi:.1f})</td>'
            f"<td>{100 * way['apart']:.0f}</td></tr>"
        )
    return (
        f"<table><caption>{escape(str(pair['label']))}: {escape(unit)} in %, mean (95 % interval)</caption>"
        '<thead><tr><th scope="col">way</th><th scope="col">target</th><th scope="col">domain told apart (%)</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    data = escape(json.dumps(state, separators=(",", ":"), allow_nan=False), quote=True)
    tables = "".join(table(pair, str(state.get("unit", "target accuracy"))) for pair in state["pairs"])
    return (
        f'<div class="hs-widget" data-widget="domain_gap" data-state="{data}">'
        '<div class="hs-widget__fallback" role="region" tabindex="0"'
        f' aria-label="{escape(str(state.get("title", "Domain gap")), quote=True)}">{tables}</div></div>'
    )


@cache
def _widget_class() -> type:
    # Imported here: the static page and the tests of the state need no Jupyter.
    needs("anywidget", "book", "A widget in a notebook")
    import anywidget
    import traitlets

    class DomainGap(anywidget.AnyWidget):
        """The same module as in the page; ``after`` follows the slider, 0 (before) to 100 (after)."""

        _esm = HERE / "domain_gap.js"
        # The frame, tabs and slider look like the label-budget explorer's; a page has both style sheets anyway.
        _css = (HERE / "label_budget.css").read_text(encoding="utf-8") + (HERE / "domain_gap.css").read_text(
            encoding="utf-8"
        )
        state = traitlets.Dict().tag(sync=True)
        after = traitlets.Int(0).tag(sync=True)

        def _repr_mimebundle_(self, **kwargs: Any) -> Any:
            bundle = super()._repr_mimebundle_(**kwargs)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
            return {**data, "text/html": html(dict(self.state))}, metadata

    return DomainGap


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
    return _widget_class()(state=state)
