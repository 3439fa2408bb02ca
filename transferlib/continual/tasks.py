"""The parts of a stream: a task, the three settings, and what a method does around a task and in a step."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from transferlib.continual.per_example import trainable
from transferlib.errors import UserError, nearest


class Task(NamedTuple):
    """Floats x (N, D) and labels y (N,) of one task; ``columns`` are the outputs that may answer in it."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    columns: tuple[int, ...]

    def placed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """x and y of these rows, y as the label's place in ``columns``: what a Fisher of this task reads."""
        columns = torch.tensor(self.columns, device=self.y.device)
        return self.x[rows], (self.y[rows, None] == columns).int().argmax(1)  # (n, C) → (n,)

    def closed(self, outputs: int) -> Tensor:
        """Which of a model's ``outputs`` may not answer in this task, (outputs,) of bool."""
        closed = torch.ones(outputs, dtype=torch.bool, device=self.y.device)
        closed[list(self.columns)] = False
        return closed


def split_classes(
    x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, groups: Sequence[Sequence[int]], setting: str
) -> list[Task]:
    """Cut one data set into tasks by class, in one of the three settings of van de Ven & Tolias (arXiv:1904.07734).

    ``"task"``: the task is known when testing, its own outputs alone compete. ``"domain"``: every task has the same
    outputs, the place of a class in its group. ``"class"``: all classes seen so far compete.
    Raises ``UserError`` for an unknown setting, and for a class without an example.

    >>> x, y = torch.randn(4, 2), torch.arange(4)
    >>> [task.columns for task in split_classes(x, y, x, y, [(0, 1), (2, 3)], "class")]
    [(0, 1), (0, 1, 2, 3)]
    """
    if setting not in ("task", "domain", "class"):
        raise UserError(f"Unknown setting {setting!r}: {nearest(setting, ['task', 'domain', 'class'])}")
    tasks, seen = [], list[int]()
    for group in groups:
        for c in group:
            if not (y == c).any() or not (test_y == c).any():
                raise UserError(f"Class {c} of the task {tuple(group)} has no example: leave it out of the groups.")
        seen += group
        keep, test_keep = (torch.isin(labels, labels.new_tensor(list(group))) for labels in (y, test_y))
        part, test_part = y[keep], test_y[test_keep]
        if setting == "domain":
            part, test_part = (
                labels.new_tensor([list(group).index(int(v)) for v in labels]) for labels in (part, test_part)
            )
        columns = {"task": tuple(group), "domain": tuple(range(len(group))), "class": tuple(seen)}[setting]
        tasks.append(Task(x[keep], part, test_x[test_keep], test_part, columns))
    return tasks


def restricted(logits: Tensor, columns: Sequence[int]) -> Tensor:
    """(B, C) logits where only ``columns`` can win or take probability.

    >>> restricted(torch.tensor([[1.0, 5.0, 2.0]]), (0, 2))
    tensor([[1., -inf, 2.]])
    """
    closed = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
    closed[list(columns)] = False
    return logits.masked_fill(closed, -torch.inf)


class Method:
    """What a method of continual learning does around a task and in a step. This one does nothing: plain training.

    ``begin(task)`` and ``end(task, some)`` stand around a task; ``some`` (n,) are the rows of it to measure on.
    In a step ``see(x)`` gets the batch, and ``penalty(model)`` is called after the backward of the task's own loss,
    which counts ``weight``.

    >>> model = nn.Linear(2, 3)
    >>> Method(model).penalty(model)
    tensor(0., requires_grad=True)
    """

    weight = 1.0

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def begin(self, task: Task) -> None:
        """Before the first step of a task."""

    def see(self, x: Tensor) -> None:
        """The new examples (B, …) of this step, for a method whose penalty looks at them."""

    def penalty(self, model: nn.Module) -> Tensor:
        """A scalar to add to the task's loss: here 0, with a gradient of nothing."""
        return next(iter(trainable(model).values())).new_zeros(()).requires_grad_()

    def end(self, task: Task, some: Tensor) -> None:
        """After the last step of a task: what a method remembers, it takes from here."""
