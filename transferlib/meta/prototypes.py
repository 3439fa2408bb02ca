"""Prototypical networks: the mean of a class as its classifier."""

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError
from transferlib.tensors import class_numbers


def prototypes(support: Tensor, y: Tensor, ways: int) -> Tensor:
    """The mean of each class's support vectors: (S, D), (S,) → (ways, D). Raises ``UserError`` for an empty class.

    >>> prototypes(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 0, 1]), ways=2)
    tensor([[1., 0.],
            [0., 3.]])
    """
    y = class_numbers(y, len(support), what="support labels")
    counts = torch.bincount(y, minlength=ways)
    if len(counts) > ways or (counts == 0).any():
        wrong = f"class {ways} or above" if len(counts) > ways else f"no example of class {int(counts.argmin())}"
        raise UserError(f"The support set of a {ways}-way episode has {wrong}: give every class 0 … {ways - 1} a shot.")
    return support.new_zeros(ways, support.shape[1]).index_add(0, y, support) / counts[:, None].to(support)


def prototypical_loss(support: Tensor, support_y: Tensor, query: Tensor, query_y: Tensor, ways: int) -> Tensor:
    """Cross-entropy over −‖query − prototype‖²: mean_q −log softmax_c(−d²(q, c))[y_q], a scalar.

    ``support`` (S, D), ``query`` (Q, D) embeddings. Raises ``UserError`` when a class has no support, and for labels
    that are no class numbers below ``ways``. Snell et al. 2017, arXiv:1703.05175, equation 2.

    >>> support, query = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5]])  # as far from one class as from the other
    >>> prototypical_loss(support, torch.tensor([0, 1]), query, torch.tensor([0]), ways=2)
    tensor(0.6931)
    """
    distance = (query[:, None] - prototypes(support, support_y, ways)).square().sum(2)  # (Q, 1, D) − (C, D) → (Q, C)
    return F.cross_entropy(-distance, class_numbers(query_y, len(query), ways, "query labels"))
