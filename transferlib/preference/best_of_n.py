"""Best of n: let the reference write n answers and keep the one with the highest reward. No weight moves."""

import math

import torch
from torch import Tensor

from transferlib.errors import UserError
from transferlib.preference.shapes import shaped


def best_of_n(chooser: Tensor, value: Tensor, n: int) -> Tensor:
    """The mean ``value`` of the answer that ``chooser`` puts first among n of the N answers: two (N,) → a scalar.

    Exact over all choices of n, not drawn: the j-th smallest of N wins with probability C(j − 1, n − 1) / C(N, n).
    KL from the reference is at most log n − (n − 1) / n (Beirami et al. 2024, arXiv:2401.01879). Raises ``UserError``
    unless 1 ≤ n ≤ N. Stiennon et al. 2020, arXiv:2009.01325.

    >>> judge, truth = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([5.0, 7.0, 6.0])
    >>> best_of_n(judge, truth, 2)  # the judge takes 7, 6, 6 of the three pairs
    tensor(6.3333)
    """
    shaped(chooser=(chooser, (len(chooser),)), value=(value, (len(chooser),)))
    count = len(chooser)
    if not 1 <= n <= count:
        raise UserError(f"Best of n got n = {n} with {count} answers: use 1 ≤ n ≤ {count}.")
    wins = [math.comb(j - 1, n - 1) / math.comb(count, n) for j in range(1, count + 1)]
    best = torch.tensor(wins, dtype=torch.double, device=value.device) @ value.double()[chooser.argsort()]
    return best.to(value.dtype) if value.is_floating_point() else best


def best_of_n_shares(probabilities: Tensor, reward: Tensor, n: int) -> Tensor:
    """How often each of K listed answers is the best of n independent draws: π_ref (K,), r (K,) → shares (K,).

    share = F(r)^n − F(below r)^n, with F the reference's probability of an answer at most as good; equal rewards are
    drawn among. Raises ``UserError`` for other shapes and for n < 1.

    >>> best_of_n_shares(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.0, 1.0, 2.0]), n=2)
    tensor([0.2500, 0.3900, 0.3600])
    """
    if n < 1:
        raise UserError(f"Best of n got n = {n}: use n ≥ 1.")
    shaped(probabilities=(probabilities, (len(probabilities),)), reward=(reward, (len(probabilities),)))
    levels, level = reward.unique(return_inverse=True)  # equal rewards are one level
    mass = torch.zeros_like(levels, dtype=probabilities.dtype).index_add(0, level, probabilities)
    top = mass.cumsum(0) / mass.sum()
    won = top**n - torch.cat([top.new_zeros(1), top[:-1]]) ** n
    return probabilities * (won / mass.clamp_min(torch.finfo(mass.dtype).tiny))[level]


def furthest(n: int) -> float:
    """The most nats between the reference and its best of n: log n − (n − 1) / n.

    An upper bound, and the distance itself where no two answers have one reward and none is likely (Beirami et al.
    2024, arXiv:2401.01879). Raises ``UserError`` for n < 1.

    >>> round(furthest(16), 3)
    1.835
    """
    if n < 1:
        raise UserError(f"Best of n got n = {n}: use n ≥ 1.")
    return math.log(n) - (n - 1) / n
