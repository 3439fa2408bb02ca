"""One number, one place: a measured value carries its condition, and equal conditions agree across chapters."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isclose
from typing import Any


@dataclass(frozen=True)
class Condition:
    """Under which a value was measured. Two chapters that name the same condition must print the same number.

    >>> Condition(task="fashion", way="probe", labels=5).words()
    'task fashion, way probe, labels 5'
    """

    task: str = ""
    backbone: str = ""
    pixels: int = 0
    way: str = ""
    labels: int = 0
    steps: int = 0
    metric: str = ""

    def words(self) -> str:
        """The parts that are given, as they are printed."""
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items() if value)


def disagreements(chapters: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each pair of values that two chapters' metrics give for one condition, and that differ.

    ``chapters``: bodies of the metrics files, with ``conditions``: value name → the condition in words.
    """
    first: dict[str, tuple[str, str, float]] = {}
    found = []
    for body in chapters:
        for name, condition in sorted(body.get("conditions", {}).items()):
            value = body["metrics"][name]
            mean = float(value["mean"] if isinstance(value, dict) else value)
            chapter, other, was = first.setdefault(condition, (body["chapter"], name, mean))
            if not isclose(mean, was, rel_tol=1e-9):
                found.append(
                    f"chapter {chapter} says {other} = {was:.6g} and chapter {body['chapter']} says {name} = {mean:.6g}"
                    f", both for {condition}: let both read one kept result, or name the difference in the condition."
                )
    return found
