"""What each task asks of the shared weights, and whether two tasks ask for the same.

Where the sum of two losses has come to rest, g₁ + g₂ = 0, so g₂ = −g₁ and the cosine is −1: for any two tasks.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from transferlib.errors import UserError


def task_gradients(losses: Mapping[str, Tensor], shared: Sequence[Tensor]) -> Tensor:
    """∇L_t over the ``shared`` weights, one row for each task and flattened: (T, P).

    Keeps the graph, so that the losses can still be minimised. Networks that learn side by side have losses (S,) and
    shared weights (S, …), and get (S, T, P).

    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> task_gradients({"a": w[0], "b": w[1] - 3 * w[0]}, [w])
    tensor([[ 1.,  0.],
            [-3.,  1.]])

    Raises:
        UserError: a loss that does not reach the shared weights.
    """
    rows = []
    for task, loss in losses.items():
        found = _slopes(loss, shared)
        if all(g is None for g in found):
            raise UserError(f"The loss of task {task!r} has no gradient at the shared weights: pass the common trunk.")
        filled = [torch.zeros_like(p) if g is None else g for g, p in zip(found, shared, strict=True)]
        rows.append(torch.cat([g.flatten(loss.ndim) for g in filled], dim=-1))  # (S, D, W) → (S, D·W)
    return torch.stack(rows, dim=-2)  # T × (S, P) → (S, T, P)


def gradient_cosine(loss_a: Tensor, loss_b: Tensor, shared: Sequence[Tensor]) -> Tensor:
    """cos(∇L_a, ∇L_b) over the ``shared`` weights, in −1..1; below 0, a small step for one task alone harms the other.

    A scalar, or (S,) for networks side by side. Du et al. 2018, arXiv:1812.02224, weigh an auxiliary loss by it.

    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> gradient_cosine((w * torch.tensor([1.0, 0.0])).sum(), (w * torch.tensor([-3.0, 4.0])).sum(), [w])
    tensor(-0.6000)

    Raises:
        UserError: a loss that does not reach the shared weights, or whose gradient there is zero.
    """
    both = task_gradients({"first": loss_a, "second": loss_b}, shared)
    for place, name in enumerate(("first", "second")):
        if not both[..., place, :].any(-1).all():
            raise UserError(f"The {name} loss has a zero gradient at the shared weights: zero has no direction.")
    unit = both / both.norm(dim=-1, keepdim=True)
    return (unit[..., 0, :] * unit[..., 1, :]).sum(-1)


def _slopes(loss: Tensor, shared: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """∇L at each shared weight; None where the loss does not reach it, or has no graph at all."""
    if not loss.requires_grad:
        return [None for _ in shared]
    return torch.autograd.grad(loss.sum(), list(shared), retain_graph=True, allow_unused=True)
