"""A stream of tasks learned one after the other: one loop for all methods, and the four numbers of its table."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from transferlib.backbones.freezing import modes_kept
from transferlib.continual.tasks import Method, Task, restricted
from transferlib.errors import UserError

Matrix = NDArray[np.float64]


@torch.no_grad()
def answers(model: nn.Module, task: Task, columns: Sequence[int]) -> torch.Tensor:
    """Which test examples of a task are answered rightly, (N,) of bool, in eval mode, where ``columns`` compete.

    Raises ``UserError`` for labels outside ``columns``, and for columns that the model does not have.

    >>> x, y = torch.eye(2), torch.tensor([0, 0])
    >>> answers(nn.Identity(), Task(x, y, x, y, (0, 1)), (0, 1))
    tensor([ True, False])
    """
    with modes_kept(model):
        model.eval()
        logits = model(task.test_x)  # (N, C)
    if not set(task.test_y.tolist()) <= set(columns) or max(columns) >= logits.shape[1]:
        raise UserError(f"A task has labels that none of its outputs {tuple(columns)} can give: widen the model.")
    return restricted(logits, columns).argmax(1) == task.test_y


def opened(tasks: Sequence[Task], after: int) -> list[tuple[int, ...]]:
    """The outputs that compete in each task's test once ``after`` tasks are learned.

    In the class setting, whose outputs grow, these are the outputs met so far: a class to come competes with nobody.

    >>> x, y = torch.zeros(1, 2), torch.tensor([0])
    >>> opened([Task(x, y, x, y, c) for c in ((0, 1), (0, 1, 2), (0, 1, 2, 3))], after=2)
    [(0, 1, 2), (0, 1, 2), (0, 1, 2, 3)]
    """
    columns = [task.columns for task in tasks]
    if after and all(set(old) <= set(new) for old, new in pairwise(columns)):
        return [columns[max(k, after - 1)] for k in range(len(tasks))]
    return columns


def learn_tasks(
    model: nn.Module,
    tasks: Sequence[Task],
    method: Method,
    *,
    steps: int = 120,
    lr: float = 2e-3,
    batch: int = 32,
    examples: int = 200,
    seed: int = 0,
) -> Iterator[int]:
    """Learn the tasks one after the other; yields 1, 2, … after each, for the caller to look at the model.

    ``method`` is an object made for this model: ``Method(model)`` is plain training. ``examples`` of a task, drawn at
    its end, are what an importance is measured on. Raises ``UserError`` for a method that was made for another model,
    and for weights in float16.

    >>> model, x, y = nn.Linear(2, 2), torch.randn(8, 2), torch.arange(8) % 2
    >>> [k for k in learn_tasks(model, [Task(x, y, x, y, (0, 1))] * 3, Method(model), steps=1)]
    [1, 2, 3]
    """
    if method.model is not model:
        raise UserError(f"This {type(method).__name__} was made for another model: make one for each model you train.")
    if any(p.dtype == torch.float16 for p in model.parameters()):
        raise UserError("Adam's squares of gradients vanish in float16: use model.float() or model.bfloat16().")
    generator = torch.Generator().manual_seed(seed)
    for k, task in enumerate(tasks):
        method.begin(task)
        optimiser = torch.optim.Adam(model.parameters(), lr=lr)
        for _ in range(steps):
            pick = torch.randint(len(task.y), (batch,), generator=generator, device="cpu")
            loss = F.cross_entropy(restricted(model(task.x[pick]), task.columns), task.y[pick])
            optimiser.zero_grad()
            method.see(task.x[pick])
            (method.weight * loss).backward()
            method.penalty(model).backward()
            optimiser.step()
        # Drawn for every method, needed or not: so all of them see the same batches.
        method.end(task, torch.randperm(len(task.y), generator=generator, device="cpu")[:examples])
        yield k + 1


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
    """``learn_tasks``, tested on all tasks after each: accuracies (tasks + 1, tasks), row 0 before any training.

    >>> model, x, y = nn.Linear(2, 2), torch.randn(8, 2), torch.arange(8) % 2
    >>> learn_stream(model, [Task(x, y, x, y, (0, 1))] * 3, Method(model), steps=1).shape
    (4, 3)

    Raises ``UserError`` as ``learn_tasks`` and ``answers`` do.
    """

    def tested(after: int) -> list[float]:
        return [float(answers(model, t, c).float().mean()) for t, c in zip(tasks, opened(tasks, after), strict=True)]

    learnt = learn_tasks(model, tasks, method, steps=steps, lr=lr, batch=batch, examples=examples, seed=seed)
    return np.array([tested(0), *map(tested, learnt)])


def average_accuracy(matrix: Matrix) -> float:
    """Mean over tasks of the accuracy after the last one.

    >>> average_accuracy(np.array([[0.5, 0.5], [0.9, 0.5], [0.7, 0.8]]))
    0.75
    """
    return float(matrix[-1].mean())


def forgetting(matrix: Matrix) -> float:
    """Mean over all tasks but the last of: best accuracy at any earlier time − accuracy at the end.

    Raises ``UserError`` for fewer than two tasks. Chaudhry et al. 2018, arXiv:1801.10112.

    >>> round(forgetting(np.array([[0.5, 0.5], [0.9, 0.5], [0.7, 0.8]])), 3)
    0.2
    """
    _several(matrix, "Forgetting")
    return float((matrix[1:-1, :-1].max(0) - matrix[-1, :-1]).mean())


def backward_transfer(matrix: Matrix) -> float:
    """Mean over all tasks but the last of: accuracy at the end − accuracy just after learning it.

    Raises ``UserError`` for fewer than two tasks. Lopez-Paz & Ranzato 2017, arXiv:1706.08840.

    >>> round(backward_transfer(np.array([[0.5, 0.5], [0.9, 0.5], [0.7, 0.8]])), 3)
    -0.2
    """
    _several(matrix, "Backward transfer")
    return float((matrix[-1, :-1] - np.diag(matrix[1:])[:-1]).mean())


def forward_transfer(matrix: Matrix) -> float:
    """Mean over all tasks but the first of: accuracy just before learning it − accuracy before any training.

    Raises ``UserError`` for fewer than two tasks.

    >>> round(forward_transfer(np.array([[0.5, 0.5], [0.9, 0.6], [0.7, 0.8]])), 3)
    0.1
    """
    _several(matrix, "Forward transfer")
    return float((np.diag(matrix[1:-1, 1:]) - matrix[0, 1:]).mean())


def _several(matrix: Matrix, what: str) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] + 1 or matrix.shape[1] < 2:
        raise UserError(
            f"{what} needs accuracies of at least two tasks, (tasks + 1, tasks) with row 0 before any training, "
            f"not {matrix.shape}: learn another task."
        )
