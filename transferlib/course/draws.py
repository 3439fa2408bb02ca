"""What a chapter learns from: labelled examples of each class, and sentences of which half are out of order."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from transferlib.datasets.budgets import nested_subset
from transferlib.datasets.named import load


def labelled(name: str, split: str, n: int, seed: int, **options: Any) -> tuple[Any, Tensor]:
    """``n`` labelled examples of every class: x (n · classes, …) or a list of texts, and y (n · classes,).

    Arguments: ``name``, ``split`` and ``options`` as in :func:`transferlib.datasets.named.load`; ``n`` ≥ 1;
    ``seed`` of the draw, which is nested (see :func:`transferlib.datasets.budgets.nested_subset`).

    Raises ``UserError`` as those two do: an unknown data set, more labels than there are.

    >>> x, y = labelled("sentiment", "train", 2, seed=0, domain="tweets")
    >>> len(x), y.tolist()
    (4, [0, 1, 0, 1])
    """
    data = load(name, split, **options)
    rows = nested_subset(data.y, n, seed)
    return (data.x[rows] if isinstance(data.x, Tensor) else [data.x[i] for i in rows.tolist()]), data.y[rows]


def swapped_sentences(count: int, shortest: int, longest: int, middle: int, seed: int) -> tuple[list[str], Tensor]:
    """Sentences of film reviews, half of them with two neighbouring words swapped, and three answers to each.

    Arguments: ``count`` at most; words of the ``shortest`` and of the ``longest`` sentence; a sentence of more than
    ``middle`` words is long; ``seed`` of the draw. Returns texts and labels (N, 3): long, swapped, praise.

    >>> texts, labels = swapped_sentences(2, 6, 6, 5, seed=0)
    >>> [len(text.split()) for text in texts], labels[:, 0].tolist()
    ([6, 6], [1, 1])
    """
    data = load("sentiment", domain="movie")
    split = [(text.split(), int(y)) for text, y in zip(data.x, data.y.tolist(), strict=True)]
    pool = [(words, praise) for words, praise in split if shortest <= len(words) <= longest]
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for i in rng.permutation(len(pool))[:count]:
        words, praise = list(pool[i][0]), pool[i][1]
        swap, at = int(rng.integers(2)), int(rng.integers(len(words) - 1))
        if swap:
            words[at], words[at + 1] = words[at + 1], words[at]
        texts.append(" ".join(words))
        labels.append((int(len(words) > middle), swap, praise))
    return texts, torch.tensor(labels)
