"""Who is learned from and who is tested on: splits of your own data, and label budgets, drawn anew for each seed."""

from bisect import bisect
from collections.abc import Sequence
from typing import Any, NamedTuple

import joblib
import torch
from torch import Tensor

from transferlib.course.profiles import pick
from transferlib.datasets.budgets import at_most
from transferlib.own_data.checks import Check
from transferlib.own_data.splits import split


def effort(profile: str, kind: str, seed: int = 0) -> dict[str, Any]:
    """How much a comparison may spend, as arguments of :func:`draw` and :func:`compare`."""
    images = kind == "images"
    return {
        "seeds": [seed + s for s in range(pick(profile, smoke=2, cpu=20, gpu=50))],  # of what is solved in closed form
        "few": pick(profile, smoke=2, cpu=5, gpu=10),  # seeds of what is trained step by step
        "most": pick(profile, smoke=60, cpu=4000 if images else 1500, gpu=20_000),  # labels in all, closed form
        "most_trained": pick(profile, smoke=30, cpu=1500 if images else 600, gpu=20_000),  # and step by step
        "tested": pick(profile, smoke=30, cpu=400, gpu=5000),  # test examples in all
        "steps": pick(profile, smoke=2, cpu=None),  # None: what the recipe says
    }


class Draws(NamedTuple):
    """Which rows are learned from and tested on: ``train`` and ``test`` by seed, label budgets ``grid``.

    ``trained_at`` are the budgets of what is trained step by step, with the first ``few`` seeds.
    """

    y: Tensor
    train: dict[int, Tensor]
    test: dict[int, Tensor]
    grid: list[int]
    trained_at: list[int]
    few: int

    def rows(self, n: int, seed: int) -> Tensor:
        """At most n labels of each class, all of a class that has fewer."""
        train = self.train[seed]
        return train[at_most(self.y[train], n, seed)]


def content(checked: Check, draws: Draws, n: int, seed: int) -> str:
    """What one run learns from and is tested on, by content: the same from another folder, another from other files."""
    found, keys, y = checked.scan.found, checked.scan.keys, draws.y.tolist()
    sides = [[(keys[i], y[i]) for i in rows.tolist()] for rows in (draws.rows(n, seed), draws.test[seed])]
    return str(joblib.hash((found.kind, found.classes, found.span, sides)))


def evenly(y: Tensor, most: int, seed: int) -> Tensor:
    """Indices of at most ``most`` examples (or one of each class, if that is more), as even over the classes as can be.

    >>> evenly(torch.tensor([0, 0, 0, 0, 0, 0, 1, 1]), 5, seed=0).numel(), evenly(torch.tensor([0, 1, 1]), 5, seed=0)
    (5, tensor([0, 1, 2]))
    """
    if len(y) <= most:
        return torch.arange(len(y))
    counts = y.bincount()
    each = bisect(range(len(y)), most, key=lambda n: int(counts.clamp(max=n).sum())) - 1  # the largest n that fits
    return at_most(y, max(each, 1), seed)


def draw(
    checked: Check, *, seeds: Sequence[int], few: int, most: int, most_trained: int, tested: int, **_: Any
) -> Draws:
    """Test examples anew for each seed, at most ``tested`` and as even as can be; budgets in doublings from the rest.

    ``most`` and ``most_trained`` labels in all bound the budgets. Raises ``UserError`` as
    :func:`transferlib.own_data.splits.split`.
    """
    found, y = checked.scan.found, torch.tensor(checked.scan.found.y)
    classes, train, test = len(found.classes), {}, {}
    for seed in seeds:
        train[seed], rest = split(found, checked.together, seed)
        test[seed] = rest[at_most(y[rest], max(1, tested // classes), 0 if found.splits else seed)]
    top = max(2, min(int(y[train[seeds[0]]].bincount().max()), most // classes))
    grid = [n for n in sorted({top // 2**k for k in range(7)}) if n >= 1]
    fits = [n for n in grid if n * classes <= most_trained] or grid[:1]
    trained_at = sorted({fits[-1], fits[max(0, len(fits) - 3)]})  # two doublings apart
    return Draws(y, train, test, grid, trained_at, few)
