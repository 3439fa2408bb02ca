"""The same points in a bad and in a good space: the reader moves them, and sees what a straight cut gets right."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from transferlib.errors import UserError
from transferlib.widgets import base

Point = Sequence[float]  # x, y in the bad space, −1 to 1, and the class: 0 or 1


def example(labels: int = 8, new: int = 60, seed: int = 0) -> dict[str, Any]:
    """A state: a disc and the ring around it, with ``labels`` and ``new`` points of each class.

    >>> len(example(labels=3)["labelled"])
    6
    """
    rng = np.random.default_rng(seed)

    def drawn(count: int) -> list[list[float]]:
        out = []
        for i in range(2 * count):
            radius = (0.28, 0.72)[i % 2] + 0.07 * rng.standard_normal()
            angle = rng.uniform(-math.pi, math.pi)
            out.append([round(radius * math.cos(angle), 3), round(radius * math.sin(angle), 3), i % 2])
        return out

    return {"title": "Same points, two spaces", "start": 4, "labelled": drawn(labels), "new": drawn(new)}


def good(point: Point) -> tuple[float, float]:
    """The features of a point: its distance from the centre, and its direction, both from −1 to 1."""
    x, y = point[0], point[1]
    return 2 * math.hypot(x, y) - 1, math.atan2(y, x) / math.pi


def right(state: dict[str, Any], count: int, featured: bool) -> float:
    """The share of new points that nearest class mean gets right with ``count`` labels of each class."""
    see = good if featured else lambda point: (point[0], point[1])
    few = state["labelled"][: 2 * count]
    means = [np.mean([see(p) for p in few if p[2] == c], axis=0) for c in (0, 1)]
    hits = [np.argmin([float(np.sum((np.array(see(p)) - mean) ** 2)) for mean in means]) == p[2] for p in state["new"]]
    return float(np.mean(hits))


def check_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state``, ``{"title", "start", "labelled": [[x, y, class]], "new": [...]}``, checked.

    The classes of ``labelled`` alternate, 0 first; ``start`` counts labels of each class from 0, which is one label.

    Raises ``UserError`` when a part is missing, the classes do not alternate, or a number is not finite.
    """
    for part in ("labelled", "new"):
        points = state.get(part) or []
        if len(points) < 2 or any(len(p) != 3 or p[2] != i % 2 for i, p in enumerate(points)) or len(points) % 2:
            raise UserError(f"two_spaces: {part!r} needs points [x, y, class] of the classes 0, 1, 0, 1, …")
        base.check_finite(f"two_spaces: {part!r}", [v for p in points for v in p])
    if not 0 <= state.get("start", -1) < len(state["labelled"]) / 2:
        raise UserError("two_spaces: 'start' is no number of labels that there are.")
    return state


def table(state: dict[str, Any]) -> str:
    """What the cut gets right in both spaces, as an HTML table, for readers without JavaScript."""
    rows = (
        [n, *(f"{100 * right(state, n, featured):.0f}" for featured in (False, True))]
        for n in range(1, len(state["labelled"]) // 2 + 1)
    )
    return base.table("New points on the right side, in %", ["labels of each class", "bad space", "good space"], rows)


def html(state: dict[str, Any]) -> str:
    """The twin for the static page: the state for ``hydrate.js`` and a table to read without it."""
    check_state(state)
    return base.twin("two_spaces", state, state["title"], [table(state)])


def two_spaces(state: dict[str, Any]) -> Any:
    """Show the points in both spaces; see :func:`check_state`. Raises ``UserError`` for what cannot be drawn."""
    check_state(state)
    return base.widget("two_spaces", html, state, few=int(state["start"]))
