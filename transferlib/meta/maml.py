"""MAML: a starting point from which a few steps of gradient descent lead far; ANIL, where the head alone steps."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from transferlib.errors import UserError
from transferlib.meta.episodes import Episode
from transferlib.tensors import class_numbers


def _forward(model: nn.Module, weights: Mapping[str, Tensor], x: Tensor, what: str) -> Tensor:
    try:
        return functional_call(model, dict(weights), (x,))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"The {what} set holds {len(x)} example, of which BatchNorm in train mode has no variance: give at least "
            "2, call model.eval(), or use GroupNorm."
        ) from error


def maml_adapt(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    lr: float,
    steps: int,
    *,
    first_order: bool = False,
    moves: Sequence[str] = (),
) -> dict[str, Tensor]:
    """φ ← φ − lr · ∇ L_support(φ), ``steps`` times from φ = θ, the model's own weights; θ itself does not change.

    Returns φ, every parameter and buffer by name, for ``functional_call(model, φ, x)``. Unless ``first_order``, φ stays
    differentiable in θ through the steps. Buffers are copies: no episode leaves its BatchNorm statistics behind.
    A parameter that the loss does not reach stays as it is. ``moves`` names what the inner loop may move, and nothing
    means all: with the head's parameters alone, this is ANIL (Raghu et al. 2020, arXiv:1909.09157).

    Raises ``UserError`` for steps < 0, for lr ≤ 0, for a label
    outside the model's outputs, for a model of which nothing may move, for a name in
    ``moves`` that is no trainable parameter, and for one example under BatchNorm.

    Finn et al. 2017, arXiv:1703.03400, algorithm 1.

    >>> model, x, y = nn.Linear(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> fast = maml_adapt(model, x, y, lr=1.0, steps=50)
    >>> functional_call(model, fast, (x,)).argmax(1)
    tensor([0, 1])
    """
    if steps < 0 or not lr > 0:
        raise UserError(f"The inner loop got steps = {steps} and lr = {lr}: use steps ≥ 0 and lr > 0.")
    fixed = {n: b.clone() for n, b in model.named_buffers()}
    own = dict(model.named_parameters())
    if odd := [name for name in moves if name not in own or not own[name].requires_grad]:
        raise UserError(f"The inner loop cannot move {odd[0]!r}: name trainable parameters, such as {[*own][-1]!r}.")
    fast: dict[str, Tensor] = {n: p for n, p in own.items() if p.requires_grad and (not moves or n in moves)}
    fixed |= {n: p for n, p in own.items() if n not in fast}
    if steps and not fast:
        raise UserError("Every parameter of the model is frozen: unfreeze what the inner loop shall adapt.")
    y = class_numbers(y, len(x), what="support labels")
    for _ in range(steps):
        logits = _forward(model, {**fast, **fixed}, x, "support")
        if int(y.max()) >= logits.shape[1]:
            raise UserError(f"Label {int(y.max())} in the support set, but the model has {logits.shape[1]} outputs.")
        loss = F.cross_entropy(logits, y)
        # A spare parameter, such as a head that is not called, has no gradient.
        grads = torch.autograd.grad(loss, list(fast.values()), create_graph=not first_order, allow_unused=True)
        fast = {n: p if g is None else p - lr * g for (n, p), g in zip(fast.items(), grads, strict=True)}
    return {**fast, **fixed}


def maml_loss(
    model: nn.Module,
    tasks: Sequence[Episode],
    lr: float,
    steps: int,
    *,
    first_order: bool = False,
    moves: Sequence[str] = (),
) -> Tensor:
    """Mean over tasks of the query loss at the adapted weights φ(θ), a scalar whose gradient is MAML's.

    A plain loop over tasks: mapping it with vmap gives wrong second-order gradients with affine BatchNorm and saves
    no time on a CPU. In train mode BatchNorm uses the query batch's own statistics (transductive).
    Raises ``UserError`` for no task, and as :func:`maml_adapt`.

    >>> x, y = torch.randn(2, 3), torch.tensor([0, 1])
    >>> model = nn.Linear(3, 2)
    >>> maml_loss(model, [Episode(x, y, x, y)], lr=0.1, steps=2).backward()
    >>> model.weight.grad.shape
    torch.Size([2, 3])
    """
    if not tasks:
        raise UserError("MAML was given no task: pass at least one episode.")
    losses = []
    for task in tasks:
        fast = maml_adapt(model, task.support_x, task.support_y, lr, steps, first_order=first_order, moves=moves)
        logits = _forward(model, fast, task.query_x, "query")
        losses.append(
            F.cross_entropy(logits, class_numbers(task.query_y, len(logits), logits.shape[1], "query labels"))
        )
    return torch.stack(losses).mean()
