"""Is my number right? A learner's run beside the reference run of the book."""

import json
from collections.abc import Mapping
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from transferlib.course.printing import number

REFERENCE = Path(__file__).parents[2] / "book" / "reference"


@cache
def reference(chapter: str) -> dict[str, Any]:
    """The metrics and the provenance of a chapter's reference run; empty where there is none."""
    path = REFERENCE / f"{chapter}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def spread(known: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of a recorded interval; an end that is not there is infinite."""
    low, high = known.get("low"), known.get("high")
    return -inf if low is None else float(low), inf if high is None else float(high)


def inside(mean: float, known: Mapping[str, Any], processor: str) -> str:
    """Where a number lies against a recorded interval, in words.

    >>> inside(18.0, {"mean": 18.2, "low": 15.0, "high": 21.4}, "AMD EPYC")
    'inside the spread of the reference run, 15.0 to 21.4 on AMD EPYC'
    >>> inside(30.0, {"mean": 18.2, "low": 15.0, "high": 21.4}, "AMD EPYC")
    'outside the spread of the reference run, 15.0 to 21.4 on AMD EPYC'
    """
    low, high = spread(known)
    where = "inside" if low <= mean <= high else "outside"
    return f"{where} the spread of the reference run, {number(low)} to {number(high)} on {processor}"


def outside(metrics: Mapping[str, Any], chapter: str, profile: str) -> str:
    """Which values of a run lie outside of the reference run's spread, as a sentence; empty without a reference."""
    known = reference(chapter)
    if not known or known["profile"] != profile:
        return ""
    pairs = {
        name: (value, known["metrics"][name])
        for name, value in metrics.items()
        if isinstance(value, Mapping) and isinstance(known["metrics"].get(name), Mapping) and "mean" in value
    }
    odd = [
        f"{name} = {value['mean']:.4g} ({spread(old)[0]:.4g} to {spread(old)[1]:.4g})"
        for name, (value, old) in pairs.items()
        if not spread(old)[0] <= value["mean"] <= spread(old)[1]
    ]
    told = f" Outside of it: {'; '.join(odd)}." if odd else ""
    processor = known["provenance"]["processor"]
    count = f"{len(pairs) - len(odd)} of {len(pairs)} values lie"
    return f" {count} inside the spread of the reference run on {processor}.{told}"
