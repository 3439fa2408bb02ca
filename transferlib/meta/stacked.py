"""MAML's inner loop for many tasks at once: the fast path beside :mod:`transferlib.meta.maml`.

Every task gets its own copy of the weights, along a first axis. The loss of a task depends on its own copy alone, so
one backward pass through the sum of the losses gives each task its own slope, and nothing has to be mapped.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError

Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]


def stacked_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of each task: logits (T, N, C) and y (T, N) → (T,).

    >>> stacked_loss(torch.zeros(3, 2, 4), torch.zeros(3, 2, dtype=torch.long))
    tensor([1.3863, 1.3863, 1.3863])
    """
    return F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)


def copies(weights: Mapping[str, Tensor], tasks: int) -> dict[str, Tensor]:
    """A view of each weight for each task: (…) → (T, …); what is learned in the views flows back to the one weight.

    >>> copies({"w": torch.zeros(2, 3)}, tasks=4)["w"].shape
    torch.Size([4, 2, 3])
    """
    return {name: w.expand(tasks, *w.shape) for name, w in weights.items()}


def stacked_adapt(
    forward: Forward,
    weights: Mapping[str, Tensor],
    x: Tensor,
    y: Tensor,
    lr: float,
    steps: int,
    *,
    first_order: bool = False,
    moves: Sequence[str] = (),
) -> dict[str, Tensor]:
    """φ_t ← φ_t − lr · ∇ L_t(φ_t), ``steps`` times from φ_t = θ_t, for all tasks t at once.

    ``forward(φ, x)`` gives logits (T, S, C) for weights with a task axis and inputs x (T, S, …); y (T, S). ``weights``
    have the task axis, as :func:`copies` or an earlier call gives them, and require a gradient. ``first_order`` and
    ``moves`` as in :func:`transferlib.meta.maml.maml_adapt`, whose result for each task a test finds to be the same.

    >>> def forward(w, x):
    ...     return x @ w["head"]
    >>> x, y = torch.eye(2).expand(3, 2, 2), torch.arange(2).expand(3, 2)
    >>> start = copies({"head": torch.zeros(2, 2, requires_grad=True)}, tasks=3)
    >>> stacked_adapt(forward, start, x, y, lr=1.0, steps=1)["head"].shape
    torch.Size([3, 2, 2])

    Raises:
        UserError: steps < 0 or lr ≤ 0, or a name in ``moves`` that is no weight.
    """
    if steps < 0 or not lr > 0:
        raise UserError(f"The inner loop got steps = {steps} and lr = {lr}: use steps ≥ 0 and lr > 0.")
    names = list(moves or weights)
    if odd := [name for name in names if name not in weights]:
        raise UserError(f"The inner loop cannot move {odd[0]!r}: the weights are {', '.join(weights)}.")
    fast = dict(weights)
    for _ in range(steps):
        loss = stacked_loss(forward(fast, x), y).sum()
        slopes = torch.autograd.grad(loss, [fast[name] for name in names], create_graph=not first_order)
        fast |= {name: fast[name] - lr * slope for name, slope in zip(names, slopes, strict=True)}
    return fast
