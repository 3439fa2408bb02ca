"""A stream of tasks learned one after the other: three settings and one loop."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from transferlib.continual.per_example import trainable
from transferlib.errors import UserError, nearest

Matrix = NDArray[np.float64]


class Task(NamedTuple):
    """Floats x (N, D) and labels y (N,) of one task; ``columns`` are the outputs that may answer in it."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    columns: tuple[int, ...]

    def placed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """x and y of these rows, y as the label's place in ``columns``: what a Fisher of this task reads."""
        return self.x[rows], (self.y[rows, None] == torch.tensor(self.columns)).int().argmax(1)  # (n, C) → (n,)


def split_classes(
    x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, groups: Sequence[Sequence[int]], setting: str
) -> list[Task]:
    """Cut one data set into tasks by class, in one of the three settings of van de Ven & Tolias (arXiv:1904.07734).

    ``"task"``: the task is known when testing, its own outputs alone compete. ``"domain"``: every task has the same
    outputs, the place of a class in its group. ``"class"``: all classes seen so far compete.
    Raises ``UserError`` for an unknown setting, and for a class without an example.
    """
    if setting not in ("task", "domain", "class"):
        raise UserError(f"Unknown setting {setting!r}: {nearest(setting, ['task', 'domain', 'class'])}")
    tasks, seen = [], list[int]()
    for group in groups:
        for c in group:
            if not (y == c).any() or not (test_y == c).any():
                raise UserError(f"Class {c} of the task {tuple(group)} has no example: leave it out of the groups.")
        seen += group
        keep, test_keep = (torch.isin(labels, torch.tensor(list(group))) for labels in (y, test_y))
        part, test_part = y[keep], test_y[test_keep]
        if setting == "domain":
            part, test_part = (
                torch.tensor([list(group).index(int(v)) for v in labels]) for labels in (part, test_part)
            )
        columns = {"task": tuple(group), "domain": tuple(range(len(group))), "class": tuple(seen)}[setting]
        tasks.append(Task(x[keep], part, test_x[test_keep], test_part, columns))
    return tasks


def restricted(logits: Tensor, columns: Sequence[int]) -> Tensor:
    """(B, C) logits where only ``columns`` can win or take probability."""
    closed = torch.ones(logits.shape[1], dtype=torch.bool)
    closed[list(columns)] = False
    return logits.masked_fill(closed, -torch.inf)


@torch.no_grad()
def accuracies(model: nn.Module, tasks: Sequence[Task], columns: Sequence[Sequence[int]]) -> list[float]:
    """Test accuracy 0..1 on every task. Raises ``UserError`` when a task has labels outside its ``columns``."""
    found = []
    for k, (task, open_) in enumerate(zip(tasks, columns, strict=True)):
        if not set(task.test_y.tolist()) <= set(open_) or max(open_) >= model(task.test_x[:1]).shape[1]:
            raise UserError(f"Task {k} has labels that none of its outputs {tuple(open_)} can give: widen the model.")
        found.append(float((restricted(model(task.test_x), open_).argmax(1) == task.test_y).float().mean()))
    return found


class Method:
    """What a method of continual learning does around a task and in a step. This one does nothing: plain training.

    ``begin(task)`` and ``end(task, some)`` stand around a task; ``some`` (n,) are the rows of it to measure on.
    ``penalty(model)`` is called once a step, after the backward of the task's own loss, which counts ``weight``.
    """

    weight = 1.0

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def begin(self, task: Task) -> None:
        """Before the first step of a task."""

    def penalty(self, model: nn.Module) -> Tensor:
        """A scalar to add to the task's loss: here 0, with a gradient of nothing."""
        return next(iter(trainable(model).values())).new_zeros(()).requires_grad_()

    def end(self, task: Task, some: Tensor) -> None:
        """After the last step of a task: what a method remembers, it takes from here."""


def learn_stream(
    model: nn.Module,
    tasks: Sequence[Task],
    method: Method,
    *,
    steps: int = 120,
    lr: float = 2e-3,
    batch: int = 32,
    examples: int = 200,
    seed: int = 0,
) -> Matrix:
    """Learn the tasks one after the other and test on all of them after each: accuracies (tasks + 1, tasks).

    Row 0 is before any training, row k after task k. ``method`` is an object made for this model: ``Method(model)`` is
    plain training. ``examples`` of a task, drawn at its end, are what an importance is measured on.
    Raises ``UserError`` for a method that was made for another model.
    """
    if method.model is not model:
        raise UserError(f"This {type(method).__name__} was made for another model: make one for each model you train.")
    generator = torch.Generator().manual_seed(seed)
    columns = [task.columns for task in tasks]
    # In the class setting what competes grows with time: all outputs are open in every test.
    growing = len({len(c) for c in columns}) > 1
    open_ = [max(columns, key=len)] * len(tasks) if growing else columns
    rows = [accuracies(model, tasks, open_)]
    for task in tasks:
        method.begin(task)
        optimiser = torch.optim.Adam(model.parameters(), lr=lr)
        for _ in range(steps):
            pick = torch.randint(len(task.y), (batch,), generator=generator)
            loss = F.cross_entropy(restricted(model(task.x[pick]), task.columns), task.y[pick])
            optimiser.zero_grad()
            (method.weight * loss).backward()
            method.penalty(model).backward()
            optimiser.step()
        # Drawn for every method, needed or not: so all of them see the same batches.
        method.end(task, torch.randperm(len(task.y), generator=generator)[:examples])
        rows.append(accuracies(model, tasks, open_))
    return np.array(rows)


def average_accuracy(matrix: Matrix) -> float:
    """Mean over tasks of the accuracy after the last one."""
    return float(matrix[-1].mean())


def forgetting(matrix: Matrix) -> float:
    """Mean over all tasks but the last of: best accuracy at any earlier time − accuracy at the end.

    Chaudhry et al. 2018, arXiv:1801.10112.
    """
    return float((matrix[1:-1, :-1].max(0) - matrix[-1, :-1]).mean())


def backward_transfer(matrix: Matrix) -> float:
    """Mean over all tasks but the last of: accuracy at the end − accuracy just after learning it.

    Lopez-Paz & Ranzato 2017, arXiv:1706.08840.
    """
    return float((matrix[-1, :-1] - np.diag(matrix[1:])[:-1]).mean())


def forward_transfer(matrix: Matrix) -> float:
    """Mean over all tasks but the first of: accuracy just before learning it − accuracy before any training."""
    return float((np.diag(matrix[1:-1, 1:]) - matrix[0, 1:]).mean())
