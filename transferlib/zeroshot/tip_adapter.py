"""Names and a few labels together, without training: Tip-Adapter (Zhang et al., 2022, arXiv:2207.09519).

    cache(x)_c = Σ_{k : y_k = c} exp(−β (1 − cos(x, key_k)))        the labelled examples vote, near ones louder
    score(x)   = names(x) + α · cache(x)                            the names' scores, and the vote

The keys are the frozen features of the labelled examples. With no labelled example the score is the names' own. A
large β leaves the vote to the nearest example; a small one compares with the sum of each class's unit vectors, that
is, with class means where all classes have as many examples. A large α leaves the names out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError
from transferlib.tensors import class_numbers


def cache_scores(x: Tensor, keys: Tensor, y: Tensor, n_classes: int, beta: float) -> Tensor:
    """How loudly the labelled examples of each class speak for each x: (N, C), equation (3) of the paper.

    Lengths do not count; where all features point roughly the same way, take a mean off both sides first.

    Arguments: ``x`` features (N, D); ``keys`` features of the labelled examples (K, D), K may be 0; ``y`` their classes
    (K,) in 0 … n_classes − 1; ``beta`` > 0, how quickly a vote fades with distance.

    Raises:
        UserError: features of another width, another number of labels, a label out of range, a β that is not above 0.

    >>> keys, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> cache_scores(torch.tensor([[2.0, 0.0]]), keys, y, n_classes=2, beta=1.0).round(decimals=2)
    tensor([[1.0000, 0.3700]])
    """
    if x.ndim != 2 or keys.ndim != 2 or x.shape[1] != keys.shape[1]:
        raise UserError(f"Features (N, D) need keys (K, D): got {tuple(x.shape)} and {tuple(keys.shape)}.")
    if not beta > 0:
        raise UserError(f"Got beta = {beta}: use beta > 0; the larger, the more the nearest example decides.")
    if len(keys) == 0:
        return x.new_zeros(len(x), n_classes)  # nobody votes
    y = class_numbers(y, len(keys), n_classes).to(x.device)
    closeness = F.normalize(x, dim=1) @ F.normalize(keys.to(x), dim=1).T  # (N, K)
    votes = torch.exp(-beta * (1 - closeness))
    return votes @ F.one_hot(y, n_classes).to(votes)  # (N, K) · (K, C) → (N, C)


def tip_adapter(names: Tensor, cache: Tensor, alpha: float) -> Tensor:
    """The names' scores (N, C) plus ``alpha`` ≥ 0 times the cache's (N, C): equation (4) of the paper.

    Raises:
        UserError: tables of unlike shape, a negative α.

    >>> tip_adapter(torch.tensor([[0.2, 0.1]]), torch.tensor([[0.0, 1.0]]), alpha=0.5).argmax(1)
    tensor([1])
    """
    if names.shape != cache.shape:
        raise UserError(f"Names and cache must score the same classes: got {tuple(names.shape)}, {tuple(cache.shape)}.")
    if not alpha >= 0:
        raise UserError(f"Got alpha = {alpha}: use alpha ≥ 0; at 0 the names decide alone.")
    return names + alpha * cache.to(names)
