"""Four numbers that describe a stream: ``matrix`` (tasks + 1, tasks) from ``learn_stream``, accuracies 0..1.

Row 0 is before any training, row k after task k: ``matrix[k, j]`` is the accuracy on task j + 1 after k tasks.
"""

import numpy as np

from transferlib.continual import Matrix


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
