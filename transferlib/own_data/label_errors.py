"""Confident learning: which labels are probably wrong, from what a model says about examples it did not learn from."""

import torch
from torch import Tensor

from transferlib.errors import UserError


def label_errors(probability: Tensor, y: Tensor) -> Tensor:
    """Positions of the labels that are probably wrong, the most suspect first.

    Northcutt, Jiang and Chuang 2021, arXiv:1911.00068. The threshold t_c = mean of p_c over the examples labelled c.
    An example counts as class argmax { p_c : p_c ≥ t_c }; its label is suspect where that is another class, and the
    model's own answer is too. Ordered by the probability of the given label, lowest first.

    Arguments: ``probability`` (N, C) out of sample; ``y`` classes (N,). Raises ``UserError`` for unlike lengths.

    >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.95, 0.05], [0.1, 0.9], [0.2, 0.8]])
    >>> label_errors(p, torch.tensor([0, 0, 1, 1, 1]))
    tensor([2])
    """
    if probability.ndim != 2 or len(probability) != len(y):
        raise UserError(
            f"Confident learning needs probabilities (N, C) and N labels: got {tuple(probability.shape)} and {len(y)}."
        )
    p, classes = probability.double(), probability.shape[1]
    own = p.gather(1, y[:, None]).squeeze(1)  # (N,)
    count = torch.bincount(y, minlength=classes)
    threshold = torch.zeros(classes, dtype=torch.double).index_add_(0, y, own) / count
    threshold[count == 0] = torch.inf  # nobody can be called a class that no example shows
    above = p.masked_fill(p < threshold - 1e-6, -1.0)  # rounding must not keep an example below its own mean
    called = torch.where(above.max(1).values >= 0, above.argmax(1), y)
    suspect = torch.nonzero((called != y) & (p.argmax(1) != y)).squeeze(1)
    return suspect[own[suspect].argsort(stable=True)]
