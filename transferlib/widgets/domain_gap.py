"""Two clouds to move by hand: three kinds of shift, the old line, and what two remedies do to it."""

from typing import Any

import numpy as np
from scipy.stats import norm

from transferlib.errors import UserError
from transferlib.widgets import base

WAYS = {"old": "The old line", "mean": "Mean moved", "shares": "Shares re-estimated", "labels": "A line with labels"}
HALF = 1.2  # the classes' means stand at −1.2 and +1.2, both clouds are round with standard deviation 1
KINDS = {
    "covariate": ("Covariate shift", "step of both clouds", "Both clouds move by one step. Moving the mean undoes it."),
    "label": ("Label shift", "share of the second class", "Only the shares change. Re-estimating them is the cure; "
              "moving the mean takes the mixture for a step."),
    "concept": ("Concept shift", "share whose label changed", "No point moves, so nothing shows without a label. "
                "Only labels help."),
}  # fmt: skip


def two_clouds(steps: int = 9, points: int = 44, seed: int = 0) -> dict[str, Any]:
    """The state of the widget: a pool of points a class; for each kind and step what changes and how good lines are.

    The accuracies are those of the whole distribution, not of the points shown.

    >>> label = two_clouds(steps=2)["kinds"][1]["steps"][-1]  # nine in ten belong to the second class
    >>> {way: round(share, 2) for way, share in label["accuracy"].items()}
    {'old': 0.88, 'mean': 0.63, 'shares': 0.95, 'labels': 0.95}
    """
    rng = np.random.default_rng(seed)
    pool = np.round(rng.normal(size=(2, points, 2)) + np.array([[[-HALF, 0]], [[HALF, 0]]]), 2)
    kinds = []
    for kind, (label, x_label, note) in KINDS.items():
        made = [_step(kind, i / max(1, steps - 1)) for i in range(steps)]
        kinds.append({"id": kind, "label": label, "x_label": x_label, "note": note, "steps": made})
    start = {"title": "Which shift is it?", "start": steps // 2, "ways": WAYS}
    return {**start, "clouds": pool.tolist(), "kinds": kinds}


def _step(kind: str, amount: float) -> dict[str, Any]:
    """One place of the slider, ``amount`` from 0 to 1."""
    step = 2.4 * amount if kind == "covariate" else 0.0
    share = 0.5 + 0.4 * amount if kind == "label" else 0.5
    turned = 0.5 * amount if kind == "concept" else 0.0
    estimated = _shares(step, share)
    lines = {
        "old": 0.0,
        "mean": step + HALF * (2 * share - 1),
        "shares": float(np.log((1 - estimated) / estimated) / (2 * HALF)),
    }
    plain = {way: _accuracy(at - step, share) for way, at in lines.items()}
    accuracy = {way: (1 - turned) * right + turned * (1 - right) for way, right in plain.items()}
    best = float(np.log((1 - share) / share) / (2 * HALF))
    accuracy["labels"] = _turned(turned) if turned else _accuracy(best, share)
    said = {"covariate": f"{step:.1f}", "label": f"{100 * share:.0f} %", "concept": f"{100 * turned:.0f} %"}[kind]
    # Above this height the second cloud belongs to the first class, below minus this height the other way round.
    above = float(norm.isf(turned)) if turned else 9.0
    return {
        "said": said, "move": [round(step, 3), round(0.3 * step, 3)],
        "share": round(share, 4), "above": round(above, 4),
        "lines": {way: round(at, 3) for way, at in lines.items()},
        "accuracy": {way: round(float(right), 4) for way, right in accuracy.items()},
    }  # fmt: skip


def _accuracy(at: float, share: float) -> float:
    """How often an upright line at ``at`` is right when ``share`` of the points belong to the second class."""
    return float((1 - share) * norm.cdf(at + HALF) + share * norm.cdf(HALF - at))


def _shares(step: float, share: float) -> float:
    """What maximum likelihood says of the second class's share, with the source's clouds and no end of points."""
    x = np.linspace(-9, 11, 4001)
    density = (1 - share) * norm.pdf(x, step - HALF) + share * norm.pdf(x, step + HALF)
    odds, guess = np.exp(2 * HALF * x), 0.5
    for _ in range(2000):
        guess = float(np.average(guess * odds / (guess * odds + 1 - guess), weights=density))
    return min(max(guess, 1e-6), 1 - 1e-6)


def _turned(turned: float) -> float:
    """The best straight line through the origin for the rule that has changed for ``turned`` of each class."""
    grid = np.linspace(-4, 4, 101)
    x, y = np.meshgrid(grid, grid)
    weight = norm.pdf(x) * norm.pdf(y)
    above = norm.isf(turned)
    best = 0.0
    for angle in np.linspace(0, np.pi / 2, 31):
        second = np.cos(angle) * (x + HALF) - np.sin(angle) * y > 0  # where the second cloud is called second
        is_second = y <= above
        best = max(best, float(np.average(second == is_second, weights=weight)))
    return best  # the first cloud mirrors the second


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state``, made by :func:`two_clouds`, when it can be drawn.

    Raises:
        UserError: a kind without steps, unlike numbers of steps, or a number that is not finite.
    """
    kinds = state.get("kinds") or []
    if not kinds or len(state.get("clouds") or []) != 2:
        raise UserError("domain_gap: the state needs two clouds and one or more kinds of shift: see two_clouds().")
    for kind in kinds:
        name = f"domain_gap: {kind.get('label', '?')!r}"
        if not kind.get("steps") or len(kind["steps"]) != len(kinds[0]["steps"]):
            raise UserError(f"{name} needs as many steps as the other kinds, and one or more.")
        for step in kind["steps"]:
            numbers = [*step["move"], step["share"], step["above"], *step["lines"].values(), *step["accuracy"].values()]
            base.check_finite(name, numbers)
    base.check_finite("domain_gap: a cloud", [v for cloud in state["clouds"] for point in cloud for v in point])
    return state


def table(state: dict[str, Any], kind: dict[str, Any]) -> str:
    """The numbers of one kind as an HTML table, for readers without JavaScript."""
    ways = state["ways"]
    rows = ([s["said"], *(f"{100 * s['accuracy'][way]:.0f}" for way in ways)] for s in kind["steps"])
    return base.table(f"{kind['label']}: right in the target, in %", [kind["x_label"], *ways.values()], rows)


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    tables = (table(state, kind) for kind in state["kinds"])
    return base.twin("domain_gap", state, str(state["title"]), tables)


def domain_gap_map(state: dict[str, Any]) -> Any:
    """Show two clouds that the reader moves; see :func:`two_clouds`. Raises ``UserError`` for what cannot be drawn.

    Returns an anywidget with the traits ``state`` and ``at`` whose ``text/html`` twin draws the same in the page.
    """
    check_state(state)
    return base.widget("domain_gap", html, state, at=int(state["start"]))
