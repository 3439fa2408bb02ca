"""What errors cost: the answer, or the threshold, with the lowest cost on examples that were not learned from."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from transferlib.errors import UserError, nearest


class Threshold(NamedTuple):
    """Say the second class from probability ``at`` on. ``cost`` per example there, and ``usual`` cost at one half."""

    at: float
    cost: float
    usual: float


def cost_matrix(said: str, classes: Sequence[str]) -> Tensor:
    """``"cat:dog=5, dog:cat=1"`` → (C, C): what calling a true class (row) another one (column) costs.

    Right answers cost 0; every error that is not named costs 1.

    >>> cost_matrix("cat:dog=5", ["cat", "dog"])
    tensor([[0., 5.],
            [1., 0.]], dtype=torch.float64)

    Raises ``UserError`` for what is no such list, an unknown class, and a cost that is no number above 0.
    """
    cost = 1 - torch.eye(len(classes), dtype=torch.double)
    for part in filter(None, map(str.strip, said.split(","))):
        pair, _, price = part.rpartition("=")
        true, _, called = (name.strip() for name in pair.partition(":"))
        for name in (true, called):
            if name not in classes:
                raise UserError(f"The cost {part!r} names the class {name!r}: {nearest(name, classes)}")
        try:
            value = float(price)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf") or true == called:
            raise UserError(f"The cost {part!r} is none: write true:called=number, two classes and a number above 0.")
        cost[classes.index(true), classes.index(called)] = value
    return cost


def cheapest(probability: Tensor, cost: Tensor) -> Tensor:
    """The answer with the lowest expected cost, argmin_c Σ_k p_k · cost[k, c]: (N, C) and (C, C) → (N,)."""
    return (probability.double() @ cost.double()).argmin(1)


def mean_cost(called: Tensor, y: Tensor, cost: Tensor) -> float:
    """The mean cost of answers ``called`` (N,) to examples of classes ``y`` (N,)."""
    return float(cost[y, called].mean())


def best_threshold(p: Tensor, y: Tensor, cost: Tensor) -> Threshold:
    """The threshold on the second class's probability ``p`` (N,) that costs least for labels ``y`` (N,) of 0 and 1.

    Every place between two neighbouring probabilities is tried; of equal ones, that nearest to the threshold
    that right probabilities would have, cost[0, 1] / (cost[0, 1] + cost[1, 0]).

    >>> best_threshold(torch.tensor([0.1, 0.4, 0.6, 0.9]), torch.tensor([0, 1, 0, 1]),
    ...                torch.tensor([[0.0, 1], [5, 0]])).cost
    0.25

    Raises ``UserError`` for no examples and for labels of more than two classes.
    """
    if not len(p) or int(y.max()) > 1 or cost.shape != (2, 2):
        raise UserError(f"A threshold is between two classes: got {len(p)} examples and costs {tuple(cost.shape)}.")
    values = p.double().unique()
    places = torch.cat([torch.zeros(1).double(), (values[1:] + values[:-1]) / 2, torch.ones(1).double() + 1e-9])
    # Errors at each place by counting: those of class 0 at or above it, those of class 1 below it.
    of_0, of_1 = p[y == 0].double().sort().values, p[y == 1].double().sort().values
    false_1 = len(of_0) - torch.searchsorted(of_0, places)
    false_0 = torch.searchsorted(of_1, places)
    costs = (false_1 * cost[0, 1] + false_0 * cost[1, 0]).double() / len(p)
    ideal = float(cost[0, 1] / (cost[0, 1] + cost[1, 0]))
    equal = places[costs <= costs.min() + 1e-12]
    at = float(equal[(equal - ideal).abs().argmin()])
    return Threshold(min(at, 1.0), float(costs.min()), mean_cost((p >= 0.5).long(), y, cost.double()))
