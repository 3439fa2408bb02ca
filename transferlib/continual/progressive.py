"""Progressive networks: a new column for every task; the old ones are frozen and lend their features."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from transferlib.errors import UserError


class _Column(nn.Module):
    def __init__(self, widths: list[int], before: int) -> None:
        super().__init__()
        self.own = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        # The input is the same for every column, so lateral connections start at the second layer.
        self.lateral = nn.ModuleList(
            nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths[1:])) for _ in range(before)
        )

    def forward(self, x: Tensor, older: list[list[Tensor]]) -> list[Tensor]:
        """x (B, in) and the layers of the older columns → this column's layers, the last holding its logits."""
        layers: list[Tensor] = []
        for depth, own in enumerate(self.own):
            out = own(layers[-1] if layers else x)  # (B, width)
            if depth > 0:
                for lateral, column in zip(self.lateral, older, strict=True):
                    out = out + lateral[depth - 1](column[depth - 1])  # type: ignore[index]
            layers.append(torch.relu(out) if depth < len(self.own) - 1 else out)
        return layers


class ProgressiveNet(nn.Module):
    """h_l(k) = relu(W_l(k) h_{l−1}(k) + Σ_{j<k} U_l(k, j) h_{l−1}(j)): column k reads the columns before it.

    Nothing of an old column ever changes, so old outputs stay bit-identical: no forgetting, by construction. The
    price is size: weights grow with the square of the number of tasks, and the task must be known at test time.

    Arguments: ``in_features``; ``hidden`` widths of one column's layers. Call ``add_column(num_classes)`` before each
    task, then train the parameters that still require a gradient. Rusu et al. 2016, arXiv:1606.04671, equation 1.

    >>> net = ProgressiveNet(4, hidden=[8])
    >>> net.add_column(num_classes=2), net.add_column(num_classes=3)
    (0, 1)
    >>> net(torch.randn(5, 4), task=1).shape
    torch.Size([5, 3])
    """

    def __init__(self, in_features: int, hidden: Sequence[int]) -> None:
        super().__init__()
        if not hidden:
            raise UserError("A column needs at least one hidden layer: pass hidden=[width, …].")
        self.in_features, self.hidden = in_features, list(hidden)
        self.columns = nn.ModuleList()

    def add_column(self, num_classes: int) -> int:
        """Freeze all columns and append a fresh one; returns its task number, counted from 0."""
        self.requires_grad_(False)
        self.columns.append(_Column([self.in_features, *self.hidden, num_classes], len(self.columns)))
        return len(self.columns) - 1

    def forward(self, x: Tensor, task: int) -> Tensor:
        """x (B, in_features) → logits (B, num_classes of ``task``). Raises ``UserError`` for an unknown task."""
        if not 0 <= task < len(self.columns):
            raise UserError(
                f"Task {task} has no column: {len(self.columns)} exist; call add_column(num_classes) first."
            )
        layers: list[list[Tensor]] = []  # [column][depth]: (B, width)
        for column in self.columns[: task + 1]:
            layers.append(column(x, layers))
        return layers[task][-1]
