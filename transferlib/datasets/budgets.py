"""Label budgets: which n examples of each class a learner may see the labels of."""

import numpy as np
from torch import Tensor, as_tensor

from transferlib.errors import UserError


def nested_subset(y: Tensor, n: int, seed: int) -> Tensor:
    """Indices of ``n`` examples of every class, drawn with ``seed``.

    Class-balanced, and nested: with one seed the subset for n is contained in the subset for every
    larger n, so that two points of a label-budget curve differ by labels alone.

    Arguments: ``y`` integer labels (N,); ``n`` labels per class, ≥ 1. Returns indices (n × classes,) ordered
    so that the first k × classes of them are the subset for k.

    Raises ``UserError`` when there is one class only, or when a class has fewer than n examples.
    """
    labels = np.asarray(y)
    if n < 1:
        raise UserError(f"A budget of n = {n} labels per class is not possible: n must be at least 1.")
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise UserError(
            f"The data has {len(classes)} class only: at least two classes are needed to learn a classifier."
        )
    if n > counts.min():
        short = classes[counts.argmin()]
        raise UserError(
            f"n = {n} labels per class is more than there are: class {short} has {counts.min()}; "
            f"use n ≤ {counts.min()}."
        )
    rng = np.random.default_rng(seed)
    # A whole permutation per class, cut afterwards, is what makes the subsets nested.
    picks = np.stack([rng.permutation(np.flatnonzero(labels == c))[:n] for c in classes], axis=1)  # (n, classes)
    return as_tensor(picks.reshape(-1))  # (n, classes) → (n · classes,)


def at_most(y: Tensor, n: int, seed: int) -> Tensor:
    """Indices of ``n`` examples of every class, and of all of a class that has fewer: for data as they come.

    Nested like :func:`nested_subset`: with one seed the subset for n is contained in the subset for every larger n.
    Arguments: ``y`` integer labels (N,); ``n`` ≥ 1. Raises ``UserError`` for n below 1.
    """
    if n < 1:
        raise UserError(f"A budget of n = {n} labels per class is not possible: n must be at least 1.")
    labels, rng = np.asarray(y), np.random.default_rng(seed)
    return as_tensor(np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:n] for c in np.unique(labels)]))


def evened(y: Tensor) -> Tensor:
    """Indices that show every class of ``y`` (N,) as often as the largest one: examples of smaller classes repeat."""
    labels = np.asarray(y)
    most = np.bincount(labels).max()
    return as_tensor(np.concatenate([np.resize(np.flatnonzero(labels == c), most) for c in np.unique(labels)]))
