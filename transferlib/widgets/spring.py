"""Two valleys and a spring: the reader sets the spring's strength, and sees where a weight comes to rest."""

from itertools import pairwise
from typing import Any

from transferlib.errors import UserError
from transferlib.widgets import base

HEADS = ("λ", "the weight rests at", "loss of the old job", "loss of the new job")


def rest(strength: float, stiffness: float, *, bend: float = 1.0, goal: float = 3.0, old: float = 0.0) -> float:
    r"""Where ½ ``bend`` (θ − ``goal``)² + ½ ``strength`` ``stiffness`` (θ − ``old``)² is lowest.

    .. math:: \theta = \frac{a \, \theta_{\text{new}} + \lambda \, s \, \theta^*}{a + \lambda \, s}

    with a the ``bend`` of the new valley, θ_new its ``goal``, λ the ``strength``, s the ``stiffness``, θ* ``old``.

    >>> rest(1, 4)
    0.6
    """
    pull = strength * stiffness
    return (bend * goal + pull * old) / (bend + pull)


def example() -> dict[str, Any]:
    """The state of chapter 08: the old weight 0, the new valley at 3, one weight that the old job minds and one not.

    >>> [weight["stiffness"] for weight in example()["weights"]]
    [4, 0.1]
    """
    return {
        "title": "How strong is the spring?",
        "start": 4,
        "strengths": [0, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
        "bend": 1,
        "goal": 3,
        "old": 0,
        "weights": [
            {"label": "The old job minds the weight", "stiffness": 4},
            {"label": "It hardly minds the weight", "stiffness": 0.1},
        ],
    }


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state``, made like :func:`example`, checked. ``start`` is the place of the slider among ``strengths``.

    Raises ``UserError`` when a part is missing, a strength falls below the one before it or below 0, a curvature is
    not above 0, the old weight is not left of the new valley, or a number is not finite.
    """
    strengths, weights = state.get("strengths") or [], state.get("weights") or []
    if not state.get("title") or not strengths or not weights or not all(w.get("label") for w in weights):
        raise UserError("spring: the state needs a 'title', 'strengths', and 'weights' with a 'label' each.")
    bends = [state.get("bend"), *(w.get("stiffness") for w in weights)]
    base.check_finite("spring", [*strengths, *bends, state.get("goal"), state.get("old")])
    if strengths[0] < 0 or any(b <= a for a, b in pairwise(strengths)):
        raise UserError(f"spring: 'strengths' {strengths} must rise, from 0 or more.")
    if min(bends) <= 0 or state["old"] >= state["goal"]:
        raise UserError("spring: 'bend' and each 'stiffness' must be above 0, and 'old' must lie left of 'goal'.")
    if state.get("start") not in range(len(strengths)):
        raise UserError(f"spring: 'start' {state.get('start')!r} is no place among {len(strengths)} strengths.")
    return state


def table(state: dict[str, Any], weight: dict[str, Any]) -> str:
    """Where one weight rests at each strength, and both losses there, for readers without JavaScript."""
    bend, goal, old, stiffness = (*(state[name] for name in ("bend", "goal", "old")), weight["stiffness"])
    rows = []
    for strength in state["strengths"]:
        at = rest(strength, stiffness, bend=bend, goal=goal, old=old)
        losses = (stiffness * (at - old) ** 2 / 2, bend * (at - goal) ** 2 / 2)
        rows.append([strength, *(f"{value:.2f}" for value in (at, *losses))])
    return base.table(f"{weight['label']}, stiffness {stiffness}", HEADS, rows)


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table for each weight to read without it."""
    check_state(state)
    return base.twin("spring", state, state["title"], (table(state, weight) for weight in state["weights"]))


def spring(state: dict[str, Any]) -> Any:
    """Show the two valleys and the spring; see :func:`check_state`. Raises ``UserError`` for what cannot be drawn."""
    check_state(state)
    return base.widget("spring", html, state, place=int(state["start"]))
