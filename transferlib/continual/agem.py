"""A-GEM: a step may not raise the loss on remembered examples."""

import torch
from torch import Tensor, nn

from transferlib.continual.per_example import trainable
from transferlib.continual.rehearsal import Rehearsal
from transferlib.continual.tasks import Task
from transferlib.errors import UserError


def projected(g: Tensor, old: Tensor) -> Tensor:
    """The vector nearest to g (D,) that does not point against old (D,): g − (g·old / old·old) old where g·old < 0.

    g is the new task's gradient, old that of the remembered examples. Raises ``UserError`` when the shapes differ.
    Chaudhry et al. 2019, arXiv:1812.00420, equation 11.

    >>> projected(torch.tensor([1.0, 1.0]), torch.tensor([-2.0, 0.0]))  # what pointed against it is gone
    tensor([0., 1.])
    >>> projected(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 0.0]))  # no conflict: unchanged
    tensor([1., 1.])
    """
    if g.shape != old.shape:
        raise UserError(f"The two gradients have the shapes {tuple(g.shape)} and {tuple(old.shape)}: use one model.")
    along = torch.dot(g.flatten(), old.flatten())
    return g - along / old.square().sum() * old if along < 0 else g


class AGEM(Rehearsal):
    """Averaged GEM: the new task's gradient, projected where it would raise the mean loss of ``batch`` old examples.

    ``capacity``, ``batch``, ``seed``: those of ``Rehearsal``. Here Adam makes the step, so the promise is the
    gradient's and not exactly the step's.

    >>> AGEM(nn.Linear(2, 3), capacity=5).weight
    1.0
    """

    def begin(self, task: Task) -> None:
        """Open the task's outputs; its own loss counts in full."""
        super().begin(task)
        self.weight = 1.0

    def penalty(self, model: nn.Module) -> Tensor:
        """Project the gradient that stands in the weights; the scalar is 0. Call it after the task loss's backward."""
        nothing = super(Rehearsal, self).penalty(model)
        if len(self.open) < 2:
            return nothing
        x, notes = self.memory.sample(self.batch)
        moving = [p for p in trainable(model).values() if p.grad is not None]
        loss = self.loss(model(x), *notes.unbind(1))
        old = torch.autograd.grad(loss, moving, materialize_grads=True, allow_unused=True)
        slopes = [p.grad for p in moving if p.grad is not None]
        new = projected(torch.cat([g.flatten() for g in slopes]), torch.cat([g.flatten() for g in old]))
        for slope, part in zip(slopes, new.split([g.numel() for g in slopes]), strict=True):
            slope.copy_(part.view_as(slope))  # (n,) → the weight's shape
        return nothing
