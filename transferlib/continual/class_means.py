"""Nearest class mean for a stream: one running mean a class, which no later class can change."""

import torch
from torch import Tensor

from transferlib.errors import UserError


class ClassMeans:
    """Running means of features, one a class; an example gets the class whose mean is nearest.

    Nothing is trained: the features come from a frozen network. A class may come at any time, and an example is seen
    once. The order of classes and examples does not matter, but for rounding. Kept: a sum and a count a class.

    >>> means = ClassMeans()
    >>> means.add(torch.tensor([[0.0], [2.0]]), torch.tensor([7, 7]))
    >>> means.add(torch.tensor([[5.0]]), torch.tensor([3]))
    >>> means.predict(torch.tensor([[1.5], [4.0]])).tolist()
    [7, 3]

    Mensink et al. 2013, TPAMI 35; Janson et al. 2022, arXiv:2210.04428, for pretrained features and streams.
    """

    def __init__(self) -> None:
        self.sums, self.counts = dict[int, Tensor](), dict[int, int]()

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take in features x (N, D) of classes y (N,). Raises ``UserError`` for other shapes, and for NaN."""
        if x.ndim != 2 or y.shape != (len(x),):
            raise UserError(f"Class means need x (N, D) and y (N,): got {tuple(x.shape)} and {tuple(y.shape)}.")
        if not torch.isfinite(x).all():
            raise UserError("The features hold NaN or infinite values: a mean of them would be lost for good.")
        for c in y.unique().tolist():
            rows = x[y == c].double()
            self.sums[c] = self.sums.get(c, torch.zeros_like(rows[0])) + rows.sum(0)  # (n, D) → (D,)
            self.counts[c] = self.counts.get(c, 0) + len(rows)

    def means(self, classes: list[int] | None = None) -> Tensor:
        """The means (C, D) of ``classes``, or of all classes in ascending order."""
        known = sorted(self.sums) if classes is None else classes
        if not known or not set(known) <= set(self.sums):
            raise UserError(f"No example of {known or 'any class'} was added; known are {sorted(self.sums)}.")
        return torch.stack([self.sums[c] / self.counts[c] for c in known])

    def predict(self, x: Tensor, classes: list[int] | None = None) -> Tensor:
        """The class of the nearest mean for features x (N, D), among ``classes`` or all: (N,)."""
        known = sorted(self.sums) if classes is None else classes
        nearest = torch.cdist(x.double(), self.means(known)).argmin(1)  # (N, C) → (N,)
        return torch.tensor(known, device=x.device)[nearest]
