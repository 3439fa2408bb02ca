"""Synaptic intelligence and memory-aware synapses: importance without labels of the old task."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.continual.penalties import Weights, fast_quadratic, snapshot
from transferlib.continual.per_example import per_sample_sum, trainable
from transferlib.continual.streams import Method, Task
from transferlib.errors import UserError


class SI(Method):
    """Synaptic intelligence: c · Σ_i Ω_i (θ_i − θ*_i)², no ½, with Ω_i += ω_i / ((Δθ_i)² + ξ) after each task.

    ω_i = −Σ_t g_i Δθ_i along the path, where g is the gradient of the *task's* loss, without the penalty's; Σ_i ω_i
    is then about the drop of the loss. A negative ω_i counts as 0: a spring must not push. One step::

        optimiser.zero_grad()
        task_loss.backward()
        si.penalty(model).backward()  # notes the task's gradient, before it adds its own
        optimiser.step()              # after the last step of a task: si.end(task, some)

    Raises ``UserError`` for c < 0 and ξ ≤ 0. Zenke et al. 2017, arXiv:1703.04200.
    """

    def __init__(self, model: nn.Module, c: float, xi: float = 0.1) -> None:
        super().__init__(model)
        if not c >= 0 or not xi > 0:
            raise UserError(f"SI got c = {c} and xi = {xi}: use c ≥ 0 and xi > 0.")
        self.c, self.xi, self.theta_star = c, xi, snapshot(model)
        self.importance = {n: torch.zeros_like(t) for n, t in self.theta_star.items()}
        self.omega = {n: torch.zeros_like(t) for n, t in self.theta_star.items()}
        self._before, self._gradient = snapshot(model), dict[str, Tensor]()

    def penalty(self, model: nn.Module) -> Tensor:
        """c · Σ Ω (θ − θ*)², a scalar; 0 during the first task. Call it once a step, after the task loss's backward."""
        if torch.is_grad_enabled():  # a step of training; under no_grad the penalty is only looked at
            self._note_step(model)
            self._gradient = {n: p.grad.clone() for n, p in trainable(model).items() if p.grad is not None}
            self._before = snapshot(model)
        return fast_quadratic(model, self.theta_star, self.importance, 2 * self.c)

    def _note_step(self, model: nn.Module) -> None:
        """ω −= g · Δθ for the step since the last penalty."""
        now = trainable(model)
        for name, g in self._gradient.items():
            self.omega[name] -= g * (now[name].detach() - self._before[name])
        self._gradient = {}

    def end(self, task: Task | None = None, some: Tensor | None = None) -> None:
        """Turn ω into importance, and make the present weights the anchor. The task's data are not read."""
        self._note_step(self.model)
        now = snapshot(self.model)
        for name, omega in self.omega.items():
            self.importance[name] += omega.clamp(min=0) / ((now[name] - self.theta_star[name]) ** 2 + self.xi)
            self.omega[name] = torch.zeros_like(omega)
        self.theta_star = now


def mas_importance(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Memory-aware synapses: Ω_i = 1/N Σ_n |∂ ‖f(x_n)‖² / ∂θ_i|, in eval mode, no labels needed; a sum over tasks.

    The paper's penalty λ Σ Ω (θ − θ*)² is ``quadratic(model, theta_star, importance, 2 * lam)``.
    ``x`` (N, …). ``fast_mas_importance`` is the same for many examples.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> model.weight.data.fill_(3.0)
    tensor([[3.]])
    >>> mas_importance(model, torch.tensor([[2.0]]))  # f = 2θ, so ∂f²/∂θ = 8θ
    {'weight': tensor([[24.]])}

    Raises ``UserError`` for no example. Aljundi et al. 2018, arXiv:1711.09601.
    """
    if len(x) == 0:
        raise UserError("There is no example to measure on: pass at least one row of x.")
    params = trainable(model)
    total = {name: torch.zeros_like(p) for name, p in params.items()}
    with modes_kept(model), torch.enable_grad():
        model.eval()
        for one in x.split(1):
            length = model(one).square().sum()
            grads = torch.autograd.grad(length, list(params.values()), materialize_grads=True, allow_unused=True)
            for name, g in zip(params, grads, strict=True):
                total[name] += g.abs()
    return {name: value / len(x) for name, value in total.items()}


def fast_mas_importance(model: nn.Module, x: Tensor, batch_size: int = 128) -> dict[str, Tensor]:
    """``mas_importance``, a batch at a time where every trainable weight sits in a linear layer."""
    total = per_sample_sum(model, x, lambda out, start: iter([out.flatten(1).square().sum(1)]), torch.abs, batch_size)
    return {name: value / len(x) for name, value in total.items()}


class MAS(Method):
    """Memory-aware synapses for a stream: λ · Σ_i Ω_i (θ_i − θ*_i)², no ½, Ω summed over the old tasks.

    ``measure``: ``mas_importance`` or ``fast_mas_importance``. Raises ``UserError`` for λ < 0.
    """

    def __init__(
        self, model: nn.Module, lam: float, measure: Callable[[nn.Module, Tensor], Weights] = mas_importance
    ) -> None:
        super().__init__(model)
        if not lam >= 0:
            raise UserError(f"MAS got lam = {lam}: use lam ≥ 0.")
        self.lam, self.measure, self.theta_star = lam, measure, snapshot(model)
        self.importance = {n: torch.zeros_like(t) for n, t in self.theta_star.items()}

    def penalty(self, model: nn.Module) -> Tensor:
        """λ · Σ Ω (θ − θ*)², a scalar; 0 during the first task."""
        return fast_quadratic(model, self.theta_star, self.importance, 2 * self.lam)

    def end(self, task: Task, some: Tensor) -> None:
        """Add the importance of ``some`` rows of the task, and make the present weights the anchor."""
        new = self.measure(self.model, task.x[some])
        self.theta_star, self.importance = snapshot(self.model), {n: v + new[n] for n, v in self.importance.items()}
