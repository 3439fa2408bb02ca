"""Penalties that keep a model near what it knew: L2-SP and EWC, one spring per weight.

``quadratic(model, anchor, stiffness, lam)`` = λ/2 · Σ_i s_i (θ_i − θ*_i)². The methods differ in the stiffness s_i.
Add the penalty to the new task's *mean* loss. Several old tasks: add one penalty for each, as ``SequentialEWC`` does.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from transferlib.continual.per_example import trainable
from transferlib.errors import UserError

Weights = Mapping[str, Tensor]


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the trainable parameters, {name: tensor}: the θ* of every penalty here, never an alias."""
    return {name: p.detach().clone() for name, p in trainable(model).items()}


def quadratic(model: nn.Module, anchor: Weights, stiffness: Weights, lam: float) -> Tensor:
    """λ/2 · Σ_i s_i (θ_i − θ*_i)² over the names in ``stiffness``, a scalar. Other parameters are free."""
    terms = [(s * (theta - old).square()).sum() for theta, old, s in _moving(model, anchor, stiffness)]
    return lam / 2 * torch.stack(terms).sum()


def fast_quadratic(model: nn.Module, anchor: Weights, stiffness: Weights, lam: float) -> Tensor:
    """``quadratic`` in three passes over memory where autograd makes seven: a step of a small network feels it."""
    terms = [
        # Weights that torch.func has put in their place, with tangents perhaps, take the plain form.
        _Spring.apply(theta, old, s)[0] if isinstance(theta, nn.Parameter) else (s * (theta - old).square()).sum() / 2
        for theta, old, s in _moving(model, anchor, stiffness)
    ]
    return lam * torch.stack(terms).sum()


def _moving(model: nn.Module, anchor: Weights, stiffness: Weights) -> list[tuple[Tensor, Tensor, Tensor]]:
    params = dict(model.named_parameters())
    frozen = {n for n, p in params.items() if isinstance(p, nn.Parameter) and not p.requires_grad}
    return [(params[n], anchor[n], s) for n, s in stiffness.items() if n not in frozen]


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


class EWC:
    """Elastic weight consolidation: λ/2 · Σ_i F_i (θ_i − θ*_i)², with the paper's ½ (some libraries leave it out).

    Arguments: ``fisher`` from ``fisher(...)``, a mean over examples; ``theta_star`` from ``snapshot(model)`` after
    the old task. With a mean loss over N_new examples, λ = N_old / N_new is the Bayesian posterior's Laplace
    approximation. Raises ``UserError`` for λ < 0 and for names or shapes that do not fit the model.

    >>> model = nn.Linear(2, 1)
    >>> ewc = EWC(model, {"bias": torch.tensor([3.0])}, snapshot(model), lam=10.0)
    >>> _ = model.bias.data.add_(2.0)
    >>> ewc.penalty(model)  # 10/2 · 3 · 2²
    tensor(60., grad_fn=<MulBackward0>)

    Kirkpatrick et al. 2017, PNAS 114, equation 3.
    """

    def __init__(self, model: nn.Module, fisher: Weights, theta_star: Weights, lam: float) -> None:
        checked(model, theta_star, fisher, lam, "EWC")
        self.fisher, self.theta_star, self.lam = fisher, theta_star, lam

    def penalty(self, model: nn.Module) -> Tensor:
        """λ/2 · Σ F (θ − θ*)², a scalar to add to the new task's loss: ``quadratic``, by its fast path."""
        return fast_quadratic(model, self.theta_star, self.fisher, self.lam)


class L2SP:
    """L2-SP: λ/2 · Σ_shared (θ − θ*)² + λ_new/2 · Σ_new θ²; parameters not in ``theta_star`` (a new head) are new.

    Raises ``UserError`` as ``EWC`` does. Li et al. 2018, arXiv:1802.01483.
    """

    def __init__(self, model: nn.Module, theta_star: Weights, lam: float, lam_new: float = 0.0) -> None:
        params = trainable(model)
        new = [name for name in params if name not in theta_star]
        self.anchor = {**theta_star, **{name: torch.zeros_like(params[name]) for name in new}}
        if not lam_new >= 0:
            raise UserError(f"L2SP got lam_new = {lam_new}: use lam_new ≥ 0.")
        checked(model, self.anchor, {n: torch.ones_like(t) for n, t in theta_star.items()}, lam, "L2SP")
        self.scale = {n: torch.full_like(p, lam_new if n in new else lam).detach() for n, p in params.items()}

    def penalty(self, model: nn.Module) -> Tensor:
        """The spring to the old weights and the weight decay of the new ones, a scalar."""
        return fast_quadratic(model, self.anchor, self.scale, 1.0)


def checked(model: nn.Module, anchor: Weights, stiffness: Weights, lam: float, what: str) -> None:
    """Raises ``UserError`` where ``quadratic(model, anchor, stiffness, lam)`` would be no spring on this model."""
    if not lam >= 0:
        raise UserError(f"{what} got lam = {lam}: a penalty pushes the weights away when lam < 0; use lam ≥ 0.")
    params = trainable(model)
    for name, s in stiffness.items():
        if name not in params or name not in anchor:
            where = "theta_star" if name in params else "the model's trainable parameters"
            raise UserError(f"{what} measured {name!r}, which is not among {where}: measure it on this same model.")
        if not params[name].shape == anchor[name].shape == s.shape:
            shapes = (
                f"{tuple(s.shape)}, {tuple(anchor[name].shape)} in theta_star, {tuple(params[name].shape)} in the model"
            )
            raise UserError(f"{what}: the shapes of {name!r} differ: {shapes}; measure it on this same model.")
    if not stiffness:
        raise UserError(f"{what} was given no weights to hold: measure the model before building the penalty.")
