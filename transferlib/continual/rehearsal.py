"""Rehearsal: a small memory of old examples, replayed beside the new ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.continual.tasks import Method, Task
from transferlib.errors import UserError


class Reservoir:
    """A memory of ``capacity`` examples in which every example seen so far is equally likely to be.

    The n-th example enters with probability capacity / n and replaces a uniformly drawn one, so that after N examples
    each is in memory with probability capacity / N, whatever the order and without knowing N or the task borders.

    Arguments: ``capacity`` examples ≥ 1, or None: all are kept; ``seed`` of its own generator. Raises ``UserError`` for
    a capacity below 1.

    >>> memory = Reservoir(2)
    >>> memory.add(torch.arange(5.0)[:, None], torch.arange(5))
    >>> len(memory), memory.seen
    (2, 5)

    Vitter 1985, ACM TOMS 11, algorithm R; Chaudhry et al. 2019, arXiv:1902.10486 for its use in rehearsal.
    """

    def __init__(self, capacity: int | None, seed: int = 0) -> None:
        if capacity is not None and capacity < 1:
            raise UserError(f"A memory of capacity = {capacity} holds nothing: use capacity ≥ 1.")
        self.capacity, self.seen = capacity, 0
        self.x: Tensor | None = None
        self.y: Tensor | None = None
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return 0 if self.y is None else len(self.y)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Offer a batch, in order: x (B, …), y (B, …). Raises ``UserError`` when their lengths differ."""
        if len(x) != len(y):
            raise UserError(f"The memory was offered {len(x)} examples with {len(y)} labels: give one label each.")
        room = len(x) if self.capacity is None else min(self.capacity - len(self), len(x))
        if self.x is None or self.y is None:
            self.x, self.y = x[:room].clone(), y[:room].clone()
        elif room > 0:
            self.x, self.y = torch.cat([self.x, x[:room]]), torch.cat([self.y, y[:room]])  # (n, …) → (n + room, …)
        self.seen += room
        for one, label in zip(x[room:], y[room:], strict=True):
            self.seen += 1
            slot = int(torch.randint(self.seen, (1,), generator=self._generator, device="cpu"))
            if slot < len(self):
                self.x[slot], self.y[slot] = one, label

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw ``n`` remembered examples without replacement, or all where fewer are held: x (≤ n, …), y (≤ n, …).

        Raises ``UserError`` when the memory is empty.
        """
        if self.x is None or self.y is None or not len(self):
            raise UserError("The memory is empty: call add(x, y) before sample(n).")
        picks = torch.randperm(len(self), generator=self._generator, device="cpu")[:n]
        return self.x[picks], self.y[picks]


class Rehearsal(Method):
    """Replay: each of the k old tasks weighs as much as the new one, (L_new + k · L_memory) / (k + 1).

    An old example is asked among its own task's outputs, and among those that have joined them since. A step sees
    ``batch`` old examples beside the new ones. ``capacity``, ``seed``: those of the ``Reservoir``.

    >>> model, y = nn.Linear(2, 3), torch.arange(3)
    >>> method = Rehearsal(model, capacity=2)
    >>> for task in [Task(torch.randn(3, 2), y, torch.randn(3, 2), y, (0, 1, 2))] * 2:
    ...     method.begin(task)
    ...     method.end(task, torch.arange(3))
    >>> method.weight, len(method.memory)
    (0.5, 2)
    """

    def __init__(self, model: nn.Module, capacity: int | None = 100, batch: int = 32, seed: int = 0) -> None:
        super().__init__(model)
        self.memory, self.batch = Reservoir(capacity, seed), batch
        self.open = list[tuple[int, ...]]()  # of each task so far: the outputs that compete

    def begin(self, task: Task) -> None:
        """Open the task's outputs, also for the old examples whose own outputs are among them."""
        self.open = [task.columns if set(old) <= set(task.columns) else old for old in self.open] + [task.columns]
        self.weight = 1 / len(self.open)

    def penalty(self, model: nn.Module) -> Tensor:
        """k / (k + 1) times the mean loss of ``batch`` old examples, a scalar; 0 during the first task."""
        old = len(self.open) - 1
        if old < 1:
            return super().penalty(model)
        x, notes = self.memory.sample(self.batch)
        y, k = notes.unbind(1)  # (B, 2) → label, task
        return old * self.loss(model(x), y, k) / (old + 1)

    def loss(self, logits: Tensor, y: Tensor, k: Tensor) -> Tensor:
        """The mean cross-entropy of logits (B, C), the outputs of example n restricted to those open to task k_n."""
        closed = torch.ones(len(self.open), logits.shape[1], dtype=torch.bool, device=logits.device)  # (tasks, C)
        for task, columns in enumerate(self.open):
            closed[task, list(columns)] = False
        return F.cross_entropy(logits.masked_fill(closed[k], -torch.inf), y)  # (B, C)

    def end(self, task: Task, some: Tensor) -> None:
        """Offer all of the task's examples to the memory, the task's number beside each label."""
        number = torch.full_like(task.y, len(self.open) - 1)
        self.memory.add(task.x, torch.stack([task.y, number], dim=1))  # (N,) → (N, 2)


class Joint(Rehearsal):
    """Rehearsal that keeps every example: what one network can do when nothing is lost, the ceiling of a stream.

    >>> Joint(nn.Linear(2, 3)).memory.capacity is None
    True
    """

    def __init__(self, model: nn.Module, batch: int = 32, seed: int = 0) -> None:
        super().__init__(model, None, batch, seed)
