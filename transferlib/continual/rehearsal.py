"""Rehearsal: a small memory of old examples, replayed beside the new ones."""

import torch
from torch import Tensor

from transferlib.errors import UserError


class Reservoir:
    """A memory of ``capacity`` examples in which every example seen so far is equally likely to be.

    The n-th example enters with probability capacity / n and replaces a uniformly drawn one, so that after N examples
    each is in memory with probability capacity / N, whatever the order and without knowing N or the task borders.

    Arguments: ``capacity`` examples ≥ 1; ``seed`` of its own generator. Raises ``UserError`` for a capacity below 1.
    Vitter 1985, ACM TOMS 11, algorithm R; Chaudhry et al. 2019, arXiv:1902.10486 for its use in rehearsal.
    """

    def __init__(self, capacity: int, seed: int = 0) -> None:
        if capacity < 1:
            raise UserError(f"A memory of capacity = {capacity} holds nothing: use capacity ≥ 1.")
        self.capacity, self.seen = capacity, 0
        self.x: Tensor | None = None
        self.y = torch.empty(0, dtype=torch.long)
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.y)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Offer a batch, in order: x (B, …), y (B,). Raises ``UserError`` when their lengths differ."""
        if len(x) != len(y):
            raise UserError(f"The memory was offered {len(x)} examples with {len(y)} labels: give one label each.")
        room = min(self.capacity - len(self), len(x))
        if room > 0:
            self.x = x[:room].clone() if self.x is None else torch.cat([self.x, x[:room]])  # (n, …) → (n + room, …)
            self.y = torch.cat([self.y, y[:room]])
            self.seen += room
        for one, label in zip(x[room:], y[room:], strict=True):
            self.seen += 1
            slot = int(torch.randint(self.seen, (1,), generator=self._generator))
            if slot < self.capacity and self.x is not None:
                self.x[slot], self.y[slot] = one, label

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw ``n`` remembered examples without replacement, or all where fewer are held: x (≤ n, …), y (≤ n,).

        Raises ``UserError`` when the memory is empty.
        """
        if self.x is None:
            raise UserError("The memory is empty: call add(x, y) before sample(n).")
        picks = torch.randperm(len(self), generator=self._generator)[:n]
        return self.x[picks], self.y[picks]
