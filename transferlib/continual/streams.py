"""A stream of tasks learned one after the other: three settings and one loop."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from transferlib.continual.fisher import fisher, wrong_batched_fisher
from transferlib.continual.penalties import EWC, L2SP, SI, mas_importance, quadratic, snapshot
from transferlib.continual.rehearsal import Reservoir
from transferlib.errors import UserError, nearest

METHODS = ["plain", "l2", "ewc", "si", "mas", "rehearsal", "joint"]
Matrix = NDArray[np.float64]


class Task(NamedTuple):
    """Floats x (N, D) and labels y (N,) of one task; ``columns`` are the outputs that may answer in it."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    columns: tuple[int, ...]


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


def learn_stream(
    model: nn.Module, tasks: Sequence[Task], method: str, strength: float = 0.0, *, steps: int = 120, lr: float = 2e-3,
    batch: int = 32, memory: int = 100, labels: str = "exact", examples: int = 200, seed: int = 0,
) -> Matrix:  # fmt: skip
    """Learn the tasks one after the other and test on all of them after each: accuracies (tasks + 1, tasks).

    Row 0 is before any training, row k after task k. ``strength`` is λ (c for SI). "rehearsal" keeps ``memory``
    examples, "joint" keeps all of them. ``labels`` chooses EWC's Fisher; "wrong:128" squares means over batches of 128.
    Raises ``UserError`` for an unknown method and for a negative strength.
    """
    if method not in METHODS:
        raise UserError(f"Unknown method {method!r}: {nearest(method, METHODS)}")
    generator, held = torch.Generator().manual_seed(seed), list[EWC | L2SP]()
    si = SI(model, strength) if method == "si" else None
    anchor, importance = snapshot(model), {n: torch.zeros_like(p) for n, p in snapshot(model).items()}
    old = Reservoir(memory if method == "rehearsal" else 10**9, seed)
    columns = [task.columns for task in tasks]
    # In the class setting what competes grows with time, for old examples too.
    growing = len({len(c) for c in columns}) > 1
    open_ = [max(columns, key=len)] * len(tasks) if growing else columns
    rows = [accuracies(model, tasks, open_)]
    for k, task in enumerate(tasks):
        optimiser = torch.optim.Adam(model.parameters(), lr=lr)
        for _ in range(steps):
            pick = torch.randint(len(task.y), (batch,), generator=generator)
            loss = F.cross_entropy(restricted(model(task.x[pick]), task.columns), task.y[pick])
            if method in ("rehearsal", "joint") and k:
                loss = (loss + k * _replayed(model, old, columns, task.columns if growing else None, batch)) / (k + 1)
            optimiser.zero_grad()
            loss.backward()
            if si:
                si.note_gradient(model)
                si.penalty(model).backward()
            elif method == "mas":
                quadratic(model, anchor, importance, 2 * strength).backward()
            for penalty in held:
                penalty.penalty(model).backward()
            optimiser.step()
            if si:
                si.note_step(model)
        some = torch.randperm(len(task.y), generator=generator)[:examples]
        if si:
            si.end_task(model)
        elif method == "l2":
            held = [L2SP(model, snapshot(model), strength)]
        elif method == "mas":
            new = mas_importance(model, task.x[some])
            anchor, importance = snapshot(model), {n: v + new[n] for n, v in importance.items()}
        elif method == "ewc":
            held.append(EWC(model, _fisher(model, task, some, labels), snapshot(model), strength))
        elif method in ("rehearsal", "joint"):
            old.add(task.x, task.y + 10_000 * k)  # the task number travels with the label
        rows.append(accuracies(model, tasks, open_))
    return np.array(rows)


def _replayed(
    model: nn.Module, old: Reservoir, columns: list[tuple[int, ...]], seen: tuple[int, ...] | None, n: int
) -> Tensor:
    x, code = old.sample(n)
    logits = model(x)
    rows = [restricted(row[None], seen or columns[int(c) // 10_000]) for row, c in zip(logits, code, strict=True)]
    return F.cross_entropy(torch.cat(rows), code % 10_000)


def _fisher(model: nn.Module, task: Task, some: Tensor, labels: str) -> dict[str, Tensor]:
    place = {c: i for i, c in enumerate(task.columns)}
    y = torch.tensor([place[int(v)] for v in task.y[some]])
    if labels.startswith("wrong:"):
        return wrong_batched_fisher(model, (task.x[some], y), int(labels.removeprefix("wrong:")), task.columns)
    return fisher(model, (task.x[some], y), labels, columns=task.columns)


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
