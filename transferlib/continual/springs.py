"""Which weights a penalty holds, and the fast form of its springs: weights are frozen, unfrozen, and grow."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from transferlib.continual.per_example import wide
from transferlib.errors import UserError

Weights = Mapping[str, Tensor]


def springs(model: nn.Module, anchor: Weights, stiffness: Weights) -> list[tuple[Tensor, ...]]:
    """(θ, θ*, s) of each weight that is held and may move, on one device and of one type, float32 or wider.

    Raises ``UserError`` when all are frozen, and when a weight is gone or has changed its shape by more than new rows.
    """
    params = dict(model.named_parameters())
    terms = []
    for name, s in stiffness.items():
        theta = leading(params, name, s)
        if theta.requires_grad or not isinstance(params[name], nn.Parameter):
            dtype = torch.promote_types(wide(theta), s.dtype)
            terms.append(tuple(t.to(theta.device, dtype) for t in (theta, anchor[name], s)))
    if not terms:
        raise UserError("Every weight that the penalty holds is frozen: unfreeze what may move, or drop the penalty.")
    return terms


def leading(params: Mapping[str, Tensor], name: str, old: Tensor) -> Tensor:
    """The weight ``name``, or where it has more rows than ``old`` (a head that grew) the first of them.

    Raises ``UserError`` when the weight is gone or differs in another way.
    """
    if name not in params:
        raise UserError(f"{name!r} is measured, but no longer a weight of the model: measure the model as it is now.")
    theta = params[name]
    if theta.shape == old.shape:
        return theta
    if theta.dim() == 0 or theta.shape[1:] != old.shape[1:] or len(theta) < len(old):
        raise UserError(
            f"The shapes of {name!r} differ: {tuple(theta.shape)} in the model, {tuple(old.shape)} measured. "
            "A weight may gain rows at its end, for new outputs; measure any other change anew."
        )
    return theta[: len(old)]  # (rows, …) → (old rows, …)


def grown(old: Tensor | None, now: Tensor) -> Tensor:
    """A copy of ``now`` that has ``old`` in its first rows: a weight that is new, or has gained rows since."""
    new = now.clone()
    if old is not None:
        leading({"a weight": new}, "a weight", old).copy_(old)
    return new


def fast_quadratic(model: nn.Module, anchor: Weights, stiffness: Weights, lam: float) -> Tensor:
    """``penalties.quadratic`` in three passes over memory where autograd makes seven.

    It is faster where the weights are larger than the processor's cache, and no faster for a small network.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> anchor, stiffness = {"weight": model.weight.detach() - 2}, {"weight": torch.tensor([[3.0]])}
    >>> round(fast_quadratic(model, anchor, stiffness, lam=10.0).item(), 3)
    60.0
    """
    terms = [
        # A grown or a half-precision weight, or one that torch.func put there, perhaps with a tangent: the plain form.
        _Spring.apply(theta, old, s)[0] if isinstance(theta, nn.Parameter) else (s * (theta - old).square()).sum() / 2
        for theta, old, s in springs(model, anchor, stiffness)
    ]
    return lam * torch.stack(terms).sum()


class _Spring(torch.autograd.Function):
    """½ Σ s (θ − θ*)² and its force s (θ − θ*), which is the gradient and is computed once."""

    generate_vmap_rule = True

    @staticmethod
    def forward(theta: Tensor, anchor: Tensor, stiffness: Tensor) -> tuple[Tensor, Tensor]:
        away = theta - anchor
        force = stiffness * away
        return torch.dot(force.flatten(), away.flatten()) / 2, force

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs, output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        theta, anchor, stiffness, force = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: the saved force has no graph
            force = stiffness * (theta - anchor)
        return grad * force, None, None
