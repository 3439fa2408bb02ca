"""L2-SP and EWC for a stream of tasks: which springs are held after which task."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from transferlib.continual.fisher import fast_fisher
from transferlib.continual.penalties import EWC, L2SP, snapshot
from transferlib.continual.springs import Weights, grown
from transferlib.continual.tasks import Method, Task
from transferlib.errors import UserError

Measure = Callable[..., Weights]  # (model, (x, y), columns=…) → {name: Fisher}, as fast_fisher


class SequentialL2SP(Method):
    """One spring of one stiffness to the weights after the last task: λ/2 · Σ_i (θ_i − θ*_i)².

    Raises ``UserError`` for λ < 0.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> method = SequentialL2SP(model, lam=4.0)
    >>> method.penalty(model).item()  # before the first task has ended
    0.0
    """

    def __init__(self, model: nn.Module, lam: float) -> None:
        super().__init__(model)
        if not lam >= 0:
            raise UserError(f"{type(self).__name__} got lam = {lam}: use lam ≥ 0.")
        self.lam, self.held = lam, list[L2SP | EWC]()

    def penalty(self, model: nn.Module) -> Tensor:
        """The sum over what is held, a scalar; 0 during the first task."""
        return sum((old.penalty(model) for old in self.held), super().penalty(model))

    def end(self, task: Task, some: Tensor) -> None:
        """Hold the weights as they are now, in the place of those before."""
        self.held = [L2SP(self.model, snapshot(self.model), self.lam)]


class SequentialEWC(SequentialL2SP):
    """One spring for every old task k, as stiff as its Fisher: Σ_k λ/2 · Σ_i F_i(k) (θ_i − θ_i(k))².

    ``measure`` takes the Fisher of a task that ends: ``fast_fisher``, ``fisher``, or a ``partial`` of one of them.

    >>> model, y = nn.Linear(2, 3), torch.arange(3)
    >>> method = SequentialEWC(model, lam=100.0)
    >>> method.end(Task(torch.randn(3, 2), y, torch.randn(3, 2), y, (0, 1, 2)), torch.arange(3))
    >>> len(method.held), method.penalty(model).item()  # one spring, and nothing has moved yet
    (1, 0.0)
    """

    def __init__(self, model: nn.Module, lam: float, measure: Measure = fast_fisher) -> None:
        super().__init__(model, lam)
        self.measure = measure

    def end(self, task: Task, some: Tensor) -> None:
        """Measure the Fisher on ``some`` rows of the task, and hold the weights as they are now, too."""
        found = self.measure(self.model, task.placed(some), columns=task.columns)
        self.held.append(EWC(self.model, found, snapshot(self.model), self.lam))


class OnlineEWC(SequentialEWC):
    """One spring, whatever the number of tasks: F ← γ F + F(k), around the weights after the last task.

    >>> model = nn.Linear(2, 3)
    >>> OnlineEWC(model, lam=100.0, gamma=0.9).gamma
    0.9

    Raises ``UserError`` for γ outside 0..1. Schwarz et al. 2018, arXiv:1805.06370, section 4.
    """

    def __init__(self, model: nn.Module, lam: float, gamma: float = 1.0, measure: Measure = fast_fisher) -> None:
        super().__init__(model, lam, measure)
        if not 0 <= gamma <= 1:
            raise UserError(f"OnlineEWC got gamma = {gamma}: use 0 (only the last task counts) to 1 (all count alike).")
        self.gamma, self.importance = gamma, dict[str, Tensor]()

    def end(self, task: Task, some: Tensor) -> None:
        """Let the old Fisher fade by γ, add the one of ``some`` rows, and hold the weights as they are now."""
        new = self.measure(self.model, task.placed(some), columns=task.columns)
        faded = {n: grown(self.importance.get(n), torch.zeros_like(f)) for n, f in new.items()}
        self.importance = {n: f + self.gamma * faded[n] for n, f in new.items()}
        self.held = [EWC(self.model, self.importance, snapshot(self.model), self.lam)]
