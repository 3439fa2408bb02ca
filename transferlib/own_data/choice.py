"""From a comparison to a choice: which way, at how many labels, and what the next labels would bring."""

from typing import NamedTuple

import numpy as np

from transferlib.course.intervals import Interval
from transferlib.own_data.compare import Compared
from transferlib.own_data.decision import MARGIN, Decision, decide

MORE = 100  # labels whose price a reader asks for


class Choice(NamedTuple):
    """The ``decision`` at ``n`` labels per class; ``accuracy`` in % of the chosen way at ``most``, its largest budget.

    ``doubling``: points that each doubling from ``low`` to ``most`` labels per class brought. ``labels`` in all at
    ``most``; ``hundred``: points that a hundred more would bring if the curve went on as it did.
    ``nearest``: the best of the other ways.
    """

    decision: Decision
    n: int
    accuracy: Interval
    low: int
    most: int
    doubling: Interval
    labels: int
    hundred: Interval
    nearest: str

    @property
    def visible(self) -> float:
        """Points between the chosen way and the nearest that this data would have shown four times out of five."""
        return 100 * self.decision.gaps[self.nearest].detectable

    @property
    def needed(self) -> float:
        """How many times as many examples it takes to see ``MARGIN``: widths shrink with the root of the examples."""
        return max(1.0, (self.visible / (100 * MARGIN)) ** 2)


def choose(compared: Compared) -> Choice:
    """The cheapest way that nothing dearer beats, at the largest budget that all of them have."""
    n, draws = compared.draws.trained_at[-1], compared.draws
    accuracy = {way: compared.values(way, n, few=True) for way in compared.names}
    hits = {way: found for way in compared.names if (found := compared.hits(way, n, few=True)) is not None}
    names = {way: name if way in ("fine_tune", "lora") else f"the {name}" for way, name in compared.names.items()}
    y = draws.y[next(iter(draws.test.values()))]
    decision = decide(accuracy, names, compared.ratio, hits or None, y)
    way, budgets = decision.strategy, compared.budgets(decision.strategy)
    low, most = budgets[-3::2] if len(budgets) > 2 else (budgets[0], budgets[-1])
    doublings = max(1.0, np.log2(most / low))

    gained = compared.values(way, most) - compared.values(way, low)
    more, less = compared.hits(way, most), compared.hits(way, low)
    hits_gained = None if more is None or less is None else more - less
    doubling = compared.interval(gained, hits_gained).scaled(100 / doublings)
    labels = int(np.median([len(draws.rows(most, seed)) for seed in draws.train]))
    hundred = doubling.scaled(float(np.log2((labels + MORE) / labels)))
    nearest = max(decision.gaps, key=lambda other: decision.gaps[other].mean)
    return Choice(decision, n, compared.accuracy(way, most), low, most, doubling, labels, hundred, nearest)
