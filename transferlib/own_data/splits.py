"""Two sides of your own data, one to learn from and one to test on; what belongs together stays on one of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor

from transferlib.datasets.found import Collection
from transferlib.errors import UserError

MANY = 5000  # examples without a near-duplicate or group from which splits are drawn the fast way


def _fold(y: NDArray[np.int64], together: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Rows of one of ``folds`` parts with the classes' shares, clusters whole."""
    alone = np.bincount(together)[together] == 1
    if alone.sum() < MANY:
        folds = min(folds, len(set(together.tolist())), int(np.bincount(y).max()))
        if folds < 2:
            return np.zeros(0, dtype=np.int64)
        grouped = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        parts = [np.asarray(part) for _, part in grouped.split(y, y, together)]
        # Few groups may leave a class on one side; another of the parts may not.
        fair = (part for part in parts if _everywhere(y, part))
        return next(fair, parts[0])
    # Clusters are dealt one by one, which takes minutes for 100,000: those of one example need no care.
    rows = np.flatnonzero(alone)
    parts = [rows[next(StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, y[rows]))[1]]]
    if len(rest := np.flatnonzero(~alone)):
        parts.append(rest[_fold(y[rest], np.unique(together[rest], return_inverse=True)[1], folds, seed)])
    return np.concatenate(parts)


def _everywhere(y: NDArray[np.int64], part: NDArray[np.int64]) -> bool:
    """Whether each class is in the part and outside of it."""
    inside, all_ = np.bincount(y[part], minlength=int(y.max()) + 1), np.bincount(y)
    return bool(((inside > 0) & (inside < all_))[all_ > 0].all())


def torn(found: Collection) -> list[str]:
    """Groups with examples on both sides of the given split."""
    sides: dict[str, set[str]] = {}
    for group, part in zip(found.groups, found.splits, strict=False):
        sides.setdefault(group, set()).add(part)
    return sorted(group for group, parts in sides.items() if len(parts) > 1)


def split(found: Collection, together: NDArray[np.int64], seed: int, share: float = 0.3) -> tuple[Tensor, Tensor]:
    """Rows to learn from and rows to test on: the given split, or a stratified one that keeps groups whole.

    Raises ``UserError`` when a class has nothing on one side.
    """
    y = np.asarray(found.y)
    if found.groups and not found.splits and len(set(found.groups)) < 2:
        raise UserError(
            f"Every example is of the one group {found.groups[0]!r}: a split would test on what was learned. Give two "
            "groups or more, or leave the column out."
        )
    if found.splits:
        test = np.array([part == "test" for part in found.splits])
    else:
        test = np.zeros(len(y), dtype=bool)
        test[_fold(y, together, max(2, round(1 / share)), seed)] = True
    for c, name in enumerate(found.classes):
        for part, rows in (("learn from", ~test), ("test on", test)):
            if not (y[rows] == c).any():
                of = {found.groups[i] for i in np.flatnonzero(y == c)} if found.groups and not found.splits else set()
                if len(of) == 1:
                    raise UserError(
                        f"Class {name!r} has nothing to {part}: all of it is of the group {of.pop()!r}, which stays on "
                        "one side of a split. Give each class two groups or more, or leave the column out."
                    )
                raise UserError(f"Class {name!r} has nothing to {part}: add examples, or groups, or leave it out.")
    return torch.from_numpy(np.flatnonzero(~test)), torch.from_numpy(np.flatnonzero(test))
