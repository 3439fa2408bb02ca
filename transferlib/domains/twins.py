"""Twins: near-duplicates as whole sets, so that a split can keep each set on one side."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from tqdm import tqdm

from transferlib.domains.checks import check_features
from transferlib.errors import UserError
from transferlib.tensors import at_least_single


def twins(
    x: Tensor, threshold: float = 0.9, most: int = 100_000, batch_size: int = 256, progress: bool = False
) -> tuple[NDArray[np.int64], Tensor, Tensor]:
    """Which rows are alike, directly or through others: every pair above the threshold counts, not only the nearest.

    With cosine similarity of rows centred at their mean, as in
    :func:`transferlib.domains.similarity.nearest_neighbours`, i and j are alike when s_ij ≥ t. Sets are the connected
    components of that graph: where a is like b and b like c, all three are one set, even if a and c are not alike.

    Args:
        x: features (N, D).
        threshold: t, −1 to 1; it depends on the encoder.
        most: how many pairs are handed back, the most alike ones; the sets are made of all.
        batch_size: rows in one matrix product; memory is batch_size × N.

    Returns:
        The number of each row's set (N,), counted from 0; pairs (P, 2) of rows, the most alike first; their
        similarities (P,).

    Raises:
        UserError: NaN, constant features, or a threshold that is no cosine similarity.

    >>> x = torch.tensor([[2.0, 0.0], [2.0, 0.1], [0.0, 2.0], [-4.0, -2.1]])
    >>> sets, pairs, similarity = twins(x)
    >>> sets.tolist(), pairs.tolist()
    ([0, 0, 1, 2], [[0, 1]])
    """
    check_features("compared", x)
    if not -1 <= threshold <= 1:
        raise UserError(f"threshold = {threshold} is not a cosine similarity: use a value between -1 and 1.")
    x = at_least_single(x)
    rows, count = F.normalize(x - x.mean(0), dim=1), len(x)
    sets = np.arange(count)
    pairs, values = torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, dtype=rows.dtype)
    starts = range(0, count, batch_size)
    for start in tqdm(starts, "comparing", disable=not progress or len(starts) < 10, mininterval=1):
        scores = rows[start : start + batch_size] @ rows[start:].T  # (B, N − start): each pair is looked at once
        above = scores >= threshold
        a, b = torch.nonzero(above & torch.ones_like(above).triu(1)).T.cpu()
        sets = merged(sets, a.numpy() + start, b.numpy() + start)
        pairs = torch.cat([pairs, torch.stack([a, b], 1) + start])
        values = torch.cat([values, scores[a, b].cpu()])
        if len(values) > 2 * most:
            pairs, values = _first(pairs, values, most)
    return sets, *_first(pairs, values, most)


def merged(sets: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sets (N,) after those of each row of ``a`` and its row of ``b`` have become one, numbered from 0.

    >>> merged(np.arange(4), np.array([0]), np.array([3])).tolist()
    [0, 1, 2, 0]
    """
    graph = coo_array((np.ones(len(a)), (sets[a], sets[b])), shape=(len(sets), len(sets)))
    joined = connected_components(graph, directed=False)[1][sets]
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)


def _first(pairs: Tensor, values: Tensor, most: int) -> tuple[Tensor, Tensor]:
    order = values.argsort(descending=True, stable=True)[:most]
    return pairs[order], values[order]
