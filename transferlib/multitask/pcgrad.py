"""PCGrad: where two tasks' gradients disagree, take from each the part that points against the other.

Yu et al. 2020, arXiv:2001.06782, algorithm 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from transferlib.errors import UserError


def pcgrad(gradients: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Σ_i g_i after g_i ← g_i − min(0, g_i · g_j) / ‖g_j‖² · g_j for all other tasks j, in an order drawn anew.

    With two tasks, a small step along the result harms neither. A row of zeros projects nothing.

    Arguments: ``gradients`` (T, P), one row for each task; (S, T, P) for S networks side by side. ``generator``, of the
    CPU, draws the order, which matters from three tasks on. Returns (P,), or (S, P).

    >>> pcgrad(torch.tensor([[1.0, 0.0], [-3.0, 1.0]]))  # (0.1, 0.3) + (0, 1)
    tensor([0.1000, 1.3000])

    Raises:
        UserError: gradients that are not (…, T, P).
    """
    if gradients.ndim < 2:
        raise UserError(f"PCGrad needs one row for each task, (T, P): got shape {tuple(gradients.shape)}.")
    tasks = gradients.shape[-2]
    least = torch.finfo(gradients.dtype).tiny
    total = torch.zeros_like(gradients[..., 0, :])
    for i in range(tasks):
        g = gradients[..., i, :]
        for j in torch.randperm(tasks, generator=generator, device="cpu").tolist():
            other = gradients[..., j, :]
            if j != i:
                against = (g * other).sum(-1, keepdim=True).clamp(max=0)  # 0 where the two agree
                g = g - against / other.square().sum(-1, keepdim=True).clamp(min=least) * other
        total = total + g
    return total


def put_gradient(shared: Sequence[Tensor], gradient: Tensor) -> None:
    """Make ``gradient`` (P,), or (S, P), the ``.grad`` of the shared weights, in place.

    >>> w = torch.zeros(2, 2, requires_grad=True)
    >>> put_gradient([w], torch.arange(4.0))
    >>> w.grad
    tensor([[0., 1.],
            [2., 3.]])

    Raises:
        UserError: a gradient of another length than the shared weights.
    """
    ahead = gradient.ndim - 1  # dimensions before P: networks side by side
    sizes = [p[(0,) * ahead].numel() for p in shared]
    if sum(sizes) != gradient.shape[-1]:
        raise UserError(f"The gradient has {gradient.shape[-1]} numbers and the shared weights {sum(sizes)}.")
    for p, part in zip(shared, gradient.split(sizes, dim=-1), strict=True):
        p.grad = part.reshape(p.shape).clone()  # (S, D·W) → (S, D, W)
