"""Learning without forgetting: on the new examples, go on answering the old questions as before."""

import copy

import torch
from torch import Tensor, nn

from transferlib.continual.tasks import Method, Task
from transferlib.errors import UserError


def old_answers_loss(new: Tensor, was: Tensor, closed: Tensor, temperature: float = 2.0) -> Tensor:
    """T² times the cross-entropy of softmax(new / T) against softmax(was / T), over the outputs that are not closed.

    ``new``, ``was`` (…, B, C) logits; ``closed`` of bool, (C,) or broadcast to them. The mean over B, summed over what
    stands before. At new = was its gradient is 0.

    >>> logits, closed = torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([False, False, True])
    >>> round(old_answers_loss(logits, logits, closed).item(), 3)  # 2² ln 2
    2.773
    """
    target, says = (z.masked_fill(closed, -torch.inf) / temperature for z in (was, new))
    each = target.softmax(-1) * says.log_softmax(-1).masked_fill(closed, 0.0)  # (…, B, C)
    return -(temperature**2) * each.sum(-1).mean(-1).sum()


class LwF(Method):
    """Learning without forgetting: L_new + λ Σ_old tasks (distance from the old network's answers on the new examples).

    It keeps a copy of the network as it was when the last task ended, and no example. Old tasks whose outputs compete
    with later ones are asked together. Raises ``UserError`` for λ < 0 or a temperature that is not above 0.

    Li & Hoiem 2016, arXiv:1606.09282.

    >>> model = nn.Linear(2, 3)
    >>> LwF(model, lam=1.0).penalty(model).item()  # before the first task has ended
    0.0
    """

    def __init__(self, model: nn.Module, lam: float, temperature: float = 2.0) -> None:
        super().__init__(model)
        if not lam >= 0 or not temperature > 0:
            raise UserError(f"LwF got lam = {lam} and temperature = {temperature}: use lam ≥ 0 and temperature > 0.")
        self.lam, self.temperature, self.groups = lam, temperature, list[Tensor]()
        self.old: nn.Module | None = None
        self.x: Tensor | None = None

    def see(self, x: Tensor) -> None:
        """The new examples, on which the old network is asked."""
        self.x = x

    def penalty(self, model: nn.Module) -> Tensor:
        """λ times the sum over the groups of old outputs, a scalar; 0 during the first task."""
        if self.old is None or self.x is None:
            return super().penalty(model)
        with torch.no_grad():
            was = self.old(self.x)  # (B, C)
        new = model(self.x)
        losses = [old_answers_loss(new, was, closed, self.temperature) for closed in self.groups]
        return self.lam * torch.stack(losses).sum()

    def end(self, task: Task, some: Tensor) -> None:
        """Copy the network as it is now, and note the task's outputs. Raises ``UserError`` when no step was seen."""
        if self.x is None:
            raise UserError("LwF saw no step: call see(x) in each step, with the new examples.")
        self.old = copy.deepcopy(self.model).eval().requires_grad_(False)
        with torch.no_grad():
            closed = task.closed(self.old(self.x).shape[-1])
        self.groups = [g for g in self.groups if bool((closed & ~g).any())] + [closed]
