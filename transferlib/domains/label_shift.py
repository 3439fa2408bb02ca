"""Label shift: the classes look the same in both domains, but their shares differ. Find the new shares, and use them.

Aligning features cannot cure it: the means differ because the mixture does, and moving them mixes the classes.
"""

from torch import Tensor

from transferlib.errors import UserError
from transferlib.tensors import at_least_single


def target_shares(probabilities: Tensor, source_shares: Tensor, steps: int = 1000) -> Tensor:
    """The classes' shares in the target, from predictions on unlabelled target examples, by maximum likelihood.

    max over π of Σ_n log Σ_c π_c p_nc / q_c, where q are the shares the model was trained with. The expectation step
    is :func:`with_shares`, the maximisation step its mean; each raises the likelihood, which has one maximum.

    Args:
        probabilities: p(class | x) of the model, on target examples (N, C). They must be calibrated: fit a temperature
            on source labels first.
        source_shares: q (C,), each above 0, such as ``y.bincount() / len(y)`` of the training labels.
        steps: at most; the walk ends earlier when no share moves by more than 1e-7.

    Returns:
        π (C,), adding up to 1.

    Raises:
        UserError: rows or shares that are no probabilities, a class without a share, unlike numbers of classes.

    Paper: Saerens, Latinne & Decaestecker 2002, Adjusting the Outputs of a Classifier to New a Priori Probabilities,
    equation 2.4.

    >>> import torch
    >>> sure = torch.tensor([[0.9, 0.1]] * 1 + [[0.1, 0.9]] * 3)  # trained on halves; three of four look like class 1
    >>> target_shares(sure, torch.tensor([0.5, 0.5]))
    tensor([0.1875, 0.8125])
    """
    p, q = _checked(probabilities, source_shares)
    shares = q
    for _ in range(steps):
        before, shares = shares, with_shares(p, q, shares).mean(0)
        if float((shares - before).abs().max()) < 1e-7:
            break
    return shares.to(at_least_single(probabilities).dtype)


def with_shares(probabilities: Tensor, source_shares: Tensor, shares: Tensor) -> Tensor:
    """p(class | x) as it is when the classes have ``shares`` (C,) instead of ``source_shares``: (N, C) → (N, C).

    Bayes' rule: p_nc · π_c / q_c, divided by its sum over c. Raises ``UserError`` as :func:`target_shares` does.

    >>> import torch
    >>> with_shares(torch.tensor([[0.5, 0.5]]), torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.8]))
    tensor([[0.2000, 0.8000]])
    """
    p, q = _checked(probabilities, source_shares)
    _, new = _checked(probabilities, shares, zero=True)
    joint = p * (new / q)  # (N, C)
    return (joint / joint.sum(1, keepdim=True)).to(at_least_single(probabilities).dtype)


def _checked(probabilities: Tensor, shares: Tensor, zero: bool = False) -> tuple[Tensor, Tensor]:
    """Both in float64. ``zero`` allows a class to have no share."""
    p, q = at_least_single(probabilities).double(), at_least_single(shares).double().to(probabilities.device)
    if p.ndim != 2 or len(p) == 0 or q.shape != p.shape[1:]:
        raise UserError(f"Got probabilities {tuple(p.shape)} and {tuple(q.shape)} shares: (N ≥ 1, C) and (C,) fit.")
    for name, rows in (("probabilities", p), ("shares", q[None])):
        if not bool((rows >= 0).all()) or float((rows.sum(1) - 1).abs().max()) > 1e-2:
            raise UserError(f"The {name} must be ≥ 0 and add up to 1: use softmax(logits), or counts / their sum.")
    if not zero and bool((q == 0).any()):
        raise UserError(f"Class {int(q.argmin())} has no share of the source: leave it out, or label some of it.")
    return p, q
