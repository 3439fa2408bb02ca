"""Which examples to label next: the model is unsure of them, and they are unlike one another."""

import torch
from torch import Tensor

from transferlib.errors import UserError


def uncertainty(probability: Tensor) -> Tensor:
    """Entropy of each row as a share of the largest possible one: (N, C) → (N,), 0..1.

    >>> uncertainty(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    tensor([1., 0.], dtype=torch.float64)
    """
    p = probability.double()
    return torch.special.entr(p).sum(1) / torch.log(torch.tensor(float(p.shape[1]), dtype=torch.double))


def next_labels(probability: Tensor, features: Tensor, count: int = 12, pool: int = 10) -> Tensor:
    """Positions of ``count`` examples in the order in which to label them, of the ``pool`` · count most uncertain.

    First the most uncertain; then each time the largest u_i · min_{s chosen} ‖f_i − f_s‖: uncertainty times the
    distance to the nearest one chosen (the farthest-first traversal of Gonzalez 1985, weighted). Features are scaled to
    unit length. An example that equals a chosen one is not chosen: fewer than ``count`` may come back.

    Arguments: ``probability`` (N, C), ``features`` (N, D). Raises ``UserError`` for unlike lengths or no examples.

    >>> p = torch.tensor([[0.5, 0.5], [0.51, 0.49], [0.6, 0.4], [1.0, 0.0]])
    >>> next_labels(p, torch.tensor([[1.0, 0], [1, 0], [0, 1], [-1, 0]]), count=2)
    tensor([0, 2])
    """
    if len(probability) != len(features) or not len(features):
        raise UserError(
            f"Choosing what to label needs features of each example: got {len(probability)} rows of probabilities and "
            f"{len(features)} of features."
        )
    unsure = uncertainty(probability)
    near = unsure.argsort(descending=True, stable=True)[: pool * count]
    u, f = unsure[near], torch.nn.functional.normalize(features[near].double(), dim=1)
    chosen, distance = [0], (f - f[0]).norm(dim=1)
    while len(chosen) < min(count, len(near)):
        gain = u * distance
        best = int(gain.argmax())
        if gain[best] <= 1e-6:
            break
        chosen.append(best)
        distance = torch.minimum(distance, (f - f[best]).norm(dim=1))
    return near[chosen]
