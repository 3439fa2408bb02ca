"""Penalties that keep a model near what it knew: L2-SP, EWC, SI and MAS, all one spring per weight.

``quadratic(model, anchor, stiffness, lam)`` = λ/2 · Σ_i s_i (θ_i − θ*_i)². The methods differ in the stiffness s_i.
Add the penalty to the new task's *mean* loss. Several old tasks: add one penalty for each.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from transferlib.continual.per_example import per_sample_sum, trainable
from transferlib.errors import UserError

Weights = Mapping[str, Tensor]


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the trainable parameters, {name: tensor}: the θ* of every penalty here, never an alias."""
    return {name: p.detach().clone() for name, p in trainable(model).items()}


class _Spring(torch.autograd.Function):
    """½ Σ s (θ − θ*)² with gradient s (θ − θ*): three passes over memory where plain autograd makes seven."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, anchor: Tensor, stiffness: Tensor) -> Tensor:
        away = theta - anchor
        force = stiffness * away
        ctx.save_for_backward(theta, anchor, stiffness, force)
        return torch.dot(force.flatten(), away.flatten()) / 2

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        theta, anchor, stiffness, force = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: the saved force has no graph
            force = stiffness * (theta - anchor)
        return grad * force, None, None


def quadratic(model: nn.Module, anchor: Weights, stiffness: Weights, lam: float) -> Tensor:
    """λ/2 · Σ_i s_i (θ_i − θ*_i)² over the names in ``stiffness``, a scalar. Other parameters are free."""
    params = dict(model.named_parameters())
    terms = [_Spring.apply(params[n], anchor[n], s) for n, s in stiffness.items() if params[n].requires_grad]
    return lam * torch.stack(terms).sum()


def _checked(model: nn.Module, anchor: Weights, stiffness: Weights, lam: float, what: str) -> None:
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


class EWC:
    """Elastic weight consolidation: λ/2 · Σ_i F_i (θ_i − θ*_i)², with the paper's ½ (some libraries leave it out).

    Arguments: ``fisher`` from ``fisher(...)``, a mean over examples; ``theta_star`` from ``snapshot(model)`` after
    the old task. With a mean loss over N_new examples, λ = N_old / N_new is the Bayesian posterior's Laplace
    approximation. Raises ``UserError`` for λ < 0 and for names or shapes that do not fit the model.

    Kirkpatrick et al. 2017, PNAS 114, equation 3.
    """

    def __init__(self, model: nn.Module, fisher: Weights, theta_star: Weights, lam: float) -> None:
        _checked(model, theta_star, fisher, lam, "EWC")
        self.fisher, self.theta_star, self.lam = fisher, theta_star, lam

    def penalty(self, model: nn.Module) -> Tensor:
        """λ/2 · Σ F (θ − θ*)², a scalar to add to the new task's loss."""
        return quadratic(model, self.theta_star, self.fisher, self.lam)


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
        _checked(model, self.anchor, {n: torch.ones_like(t) for n, t in theta_star.items()}, lam, "L2SP")
        self.scale = {n: torch.full_like(p, lam_new if n in new else lam).detach() for n, p in params.items()}

    def penalty(self, model: nn.Module) -> Tensor:
        """The spring to the old weights and the weight decay of the new ones, a scalar."""
        return quadratic(model, self.anchor, self.scale, 1.0)


class SI:
    """Synaptic intelligence: c · Σ_i Ω_i (θ_i − θ*_i)², no ½, with Ω_i += ω_i / ((Δθ_i)² + ξ) after each task.

    ω_i = −Σ_t g_i Δθ_i along the path, where g is the gradient of the *task's* loss, without the penalty's; Σ_i ω_i
    is then about the drop of the loss. A negative ω_i counts as 0: a spring must not push. One step::

        task_loss.backward(); si.note_gradient(model); si.penalty(model).backward()
        optimiser.step(); si.note_step(model)          # after the last step of a task: si.end_task(model)

    Raises ``UserError`` for c < 0 and ξ ≤ 0. Zenke et al. 2017, arXiv:1703.04200.
    """

    def __init__(self, model: nn.Module, c: float, xi: float = 0.1) -> None:
        if not c >= 0 or not xi > 0:
            raise UserError(f"SI got c = {c} and xi = {xi}: use c ≥ 0 and xi > 0.")
        self.c, self.xi, self.theta_star = c, xi, snapshot(model)
        self.importance = {n: torch.zeros_like(t) for n, t in self.theta_star.items()}
        self.omega = {n: torch.zeros_like(t) for n, t in self.theta_star.items()}
        self._before, self._gradient = snapshot(model), dict[str, Tensor]()

    def penalty(self, model: nn.Module) -> Tensor:
        """c · Σ Ω (θ − θ*)², a scalar; 0 during the first task."""
        return quadratic(model, self.theta_star, self.importance, 2 * self.c)

    def note_gradient(self, model: nn.Module) -> None:
        """Call after the task loss's backward and before the penalty's: keeps a copy of the task's gradient."""
        self._gradient = {n: p.grad.clone() for n, p in trainable(model).items() if p.grad is not None}
        self._before = snapshot(model)

    def note_step(self, model: nn.Module) -> None:
        """Call after the optimiser's step: ω −= g · Δθ."""
        now = trainable(model)
        for name, g in self._gradient.items():
            self.omega[name] -= g * (now[name].detach() - self._before[name])

    def end_task(self, model: nn.Module) -> None:
        """Turn ω into importance, and make the present weights the anchor."""
        now = snapshot(model)
        for name, omega in self.omega.items():
            self.importance[name] += omega.clamp(min=0) / ((now[name] - self.theta_star[name]) ** 2 + self.xi)
            self.omega[name] = torch.zeros_like(omega)
        self.theta_star = now


def mas_importance(model: nn.Module, x: Tensor, batch_size: int = 128) -> dict[str, Tensor]:
    """Memory-aware synapses: Ω_i = 1/N Σ_n |∂ ‖f(x_n)‖² / ∂θ_i|, in eval mode, no labels needed; a sum over tasks.

    The paper's penalty λ Σ Ω (θ − θ*)² is ``quadratic(model, theta_star, importance, 2 * lam)``.
    ``x`` (N, …). Raises ``UserError`` for no example. Aljundi et al. 2018, arXiv:1711.09601.
    """
    total = per_sample_sum(model, x, lambda out, start: iter([out.flatten(1).square().sum(1)]), torch.abs, batch_size)
    return {name: value / len(x) for name, value in total.items()}
