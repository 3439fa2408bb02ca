"""Synaptic intelligence and memory-aware synapses: importance without labels of the old task."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.continual.penalties import snapshot
from transferlib.continual.per_example import mean, per_sample_sum, tensor_of, trainable, wide
from transferlib.continual.springs import Weights, fast_quadratic, grown, leading
from transferlib.continual.tasks import Method, Task
from transferlib.errors import UserError


class SI(Method):
    """Synaptic intelligence: c · Σ_i Ω_i (θ_i − θ*_i)², no ½, with Ω_i += ω_i / ((Δθ_i)² + ξ) after each task.

    ω_i = −Σ_t g_i Δθ_i along the path, where g is the gradient of the *task's* loss, without the penalty's; Σ_i ω_i
    is then about the drop of the loss. A negative ω_i counts as 0: a spring must not push. One step::

        optimiser.zero_grad()
        task_loss.backward()
        si.penalty(model).backward()  # notes the task's gradient, before it adds its own
        optimiser.step()              # after the last step of a task: si.end(task, some)

    A weight that is unfrozen later, and a new row of a head, join with nothing earned. Raises ``UserError`` for
    c < 0 and ξ ≤ 0. Zenke et al. 2017, arXiv:1703.04200.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> si = SI(model, c=1.0)
    >>> model(torch.ones(1, 1)).sum().backward()
    >>> si.penalty(model).item()  # nothing has been learned before
    0.0
    """

    def __init__(self, model: nn.Module, c: float, xi: float = 0.1) -> None:
        super().__init__(model)
        if not c >= 0 or not xi > 0:
            raise UserError(f"SI got c = {c} and xi = {xi}: use c ≥ 0 and xi > 0.")
        self.c, self.xi = c, xi
        self.theta_star, self.importance, self.omega = (dict[str, Tensor]() for _ in range(3))
        self._before, self._gradient, self._noted = snapshot(model), dict[str, Tensor](), False
        self._meet(model)

    def penalty(self, model: nn.Module) -> Tensor:
        """c · Σ Ω (θ − θ*)², a scalar; 0 during the first task. Call it once a step, after the task loss's backward."""
        own = {n: p for n, p in model.named_parameters() if isinstance(p, nn.Parameter) and p.requires_grad}
        slopes = {n: p.grad.clone() for n, p in own.items() if p.grad is not None}
        if torch.is_grad_enabled() and slopes:  # a step of training; under no_grad the penalty is only looked at
            self._note_step(model)
            self._meet(model)
            self._gradient, self._before, self._noted = slopes, snapshot(model), True
        return fast_quadratic(model, self.theta_star, self.importance, 2 * self.c)

    def _meet(self, model: nn.Module) -> None:
        """Take in what has joined since: weights that were unfrozen, and new rows of a head."""
        for name, now in snapshot(model).items():
            if name not in self.theta_star or self.theta_star[name].shape != now.shape:
                nothing = torch.zeros_like(now, dtype=wide(now))
                self.theta_star[name] = grown(self.theta_star.get(name), now)
                self.importance[name] = grown(self.importance.get(name), nothing)
                self.omega[name] = grown(self.omega.get(name), nothing)

    def _note_step(self, model: nn.Module) -> None:
        """ω −= g · Δθ for the step since the last penalty."""
        params = dict(model.named_parameters())
        for name, g in self._gradient.items():
            step = leading(params, name, g).detach() - self._before[name]
            self.omega[name] -= g.to(self.omega[name]) * step
        self._gradient = {}

    def end(self, task: Task | None = None, some: Tensor | None = None) -> None:
        """Turn ω into importance, and make the present weights the anchor. The task's data are not read.

        Raises ``UserError`` when no step was noted since the last task.
        """
        if not self._noted:
            raise UserError("SI saw no step: call penalty(model) in each step, after task_loss.backward().")
        self._note_step(self.model)
        params = dict(self.model.named_parameters())
        for name, omega in self.omega.items():
            now = leading(params, name, omega).detach().clone()
            self.importance[name] += omega.clamp(min=0) / ((now - self.theta_star[name]) ** 2 + self.xi)
            self.omega[name], self.theta_star[name] = torch.zeros_like(omega), now
        self._noted = False


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
    total = {name: torch.zeros_like(p, dtype=wide(p)) for name, p in params.items()}
    with modes_kept(model), torch.enable_grad():
        model.eval()
        for one in x.split(1):
            length = tensor_of(model(one)).square().sum()
            grads = torch.autograd.grad(length, list(params.values()), materialize_grads=True, allow_unused=True)
            for name, g in zip(params, grads, strict=True):
                total[name] += g.to(total[name]).abs()
    return mean(total, len(x), "MAS importance")


def fast_mas_importance(model: nn.Module, x: Tensor, batch_size: int = 128) -> dict[str, Tensor]:
    """``mas_importance``, a batch at a time where every trainable weight sits in a linear layer.

    >>> model, x = nn.Linear(2, 3), torch.randn(8, 2)
    >>> bool(torch.allclose(fast_mas_importance(model, x)["bias"], mas_importance(model, x)["bias"], rtol=1e-4))
    True
    """
    total = per_sample_sum(model, x, lambda out, start: iter([out.flatten(1).square().sum(1)]), torch.abs, batch_size)
    return mean(total, len(x), "MAS importance")


class MAS(Method):
    """Memory-aware synapses for a stream: λ · Σ_i Ω_i (θ_i − θ*_i)², no ½, Ω summed over the old tasks.

    ``measure``: ``fast_mas_importance`` or ``mas_importance``. Raises ``UserError`` for λ < 0.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> MAS(model, lam=0.1).penalty(model).item()  # before the first task has ended
    0.0
    """

    def __init__(
        self, model: nn.Module, lam: float, measure: Callable[[nn.Module, Tensor], Weights] = fast_mas_importance
    ) -> None:
        super().__init__(model)
        if not lam >= 0:
            raise UserError(f"MAS got lam = {lam}: use lam ≥ 0.")
        self.lam, self.measure, self.theta_star = lam, measure, snapshot(model)
        self.importance = {n: torch.zeros_like(t, dtype=wide(t)) for n, t in self.theta_star.items()}

    def penalty(self, model: nn.Module) -> Tensor:
        """λ · Σ Ω (θ − θ*)², a scalar; 0 during the first task."""
        return fast_quadratic(model, self.theta_star, self.importance, 2 * self.lam)

    def end(self, task: Task, some: Tensor) -> None:
        """Add the importance of ``some`` rows of the task, and make the present weights the anchor."""
        for name, new in self.measure(self.model, task.x[some]).items():
            self.importance[name] = grown(self.importance.get(name), torch.zeros_like(new)) + new
        self.theta_star |= snapshot(self.model)
