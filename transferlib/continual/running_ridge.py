"""A ridge probe from running sums: what comes later changes the head, and the head is that of joint training."""

import torch
from torch import Tensor

from transferlib.errors import UserError


class RunningRidge:
    """Ridge regression onto class numbers, from sums that can be added up in any order.

    Kept: n, Σ x, Σ x xᵀ, and for each class its count and Σ x. No example is kept, and the weights that
    ``head(lam)`` solves for are those of all examples at once: W = (S + λ (tr S / D) I)⁻¹ C, with S the centred
    scatter of the features and C its covariance with the targets, 1 for the example's class and 0 for the others.

    >>> sums = RunningRidge(2)
    >>> sums.add(torch.tensor([[0.0, 1.0], [0.2, 1.0]]), torch.tensor([4, 4]))
    >>> sums.add(torch.tensor([[1.0, 0.0], [1.0, 0.1]]), torch.tensor([2, 2]))  # another task, later
    >>> sums.predict(torch.tensor([[0.1, 0.9], [0.9, 0.2]]), lam=0.1).tolist()
    [4, 2]

    Raises ``UserError`` for no dimensions. McDonnell et al. 2023, arXiv:2307.02251; Zhuang et al. 2022,
    arXiv:2205.14922.
    """

    def __init__(self, dimensions: int) -> None:
        if dimensions < 1:
            raise UserError(f"A ridge probe of {dimensions} dimensions reads nothing: use the width of the features.")
        self.outer = torch.zeros(dimensions, dimensions, dtype=torch.float64)
        self.sums, self.counts = dict[int, Tensor](), dict[int, int]()

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take in features x (N, D) of classes y (N,). Raises ``UserError`` for other shapes, and for NaN."""
        if x.ndim != 2 or x.shape[1] != len(self.outer) or y.shape != (len(x),):
            raise UserError(
                f"The sums need x (N, {len(self.outer)}) and y (N,): got {tuple(x.shape)} and {tuple(y.shape)}."
            )
        if not torch.isfinite(x).all():
            raise UserError("The features hold NaN or infinite values: a sum of them would be lost for good.")
        z = x.double()
        self.outer += z.T @ z  # (D, N) @ (N, D)
        for c in y.unique().tolist():
            self.sums[c] = self.sums.get(c, torch.zeros_like(z[0])) + z[y == c].sum(0)
            self.counts[c] = self.counts.get(c, 0) + int((y == c).sum())

    def head(self, lam: float) -> tuple[Tensor, Tensor]:
        """Weights (D, C) and biases (C,), classes in ascending order. Raises ``UserError`` for λ ≤ 0 or one class."""
        if not lam > 0 or len(self.sums) < 2:
            raise UserError(f"A head of {len(self.sums)} classes with lam = {lam}: use two classes and lam > 0.")
        per_class = torch.stack([self.sums[c] for c in sorted(self.sums)])  # (C, D)
        counts = torch.tensor([self.counts[c] for c in sorted(self.counts)], dtype=torch.float64)  # (C,)
        n, mean = counts.sum(), per_class.sum(0) / counts.sum()
        scatter = self.outer - n * torch.outer(mean, mean)
        eye = torch.eye(len(mean), dtype=torch.float64)
        ridge = scatter + lam * scatter.trace() / len(mean) * eye
        w = torch.linalg.solve(ridge, (per_class - counts[:, None] * mean).T)  # (D, C)
        return w, counts / n - mean @ w

    def predict(self, x: Tensor, lam: float) -> Tensor:
        """The class with the largest score for features x (N, D): (N,)."""
        w, b = self.head(lam)
        return torch.tensor(sorted(self.sums))[(x.double() @ w + b).argmax(1)]
