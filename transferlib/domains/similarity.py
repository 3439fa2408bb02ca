"""How alike two sets of features are: linear CKA, and near-duplicates by nearest neighbour."""

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from transferlib.domains.checks import check_features
from transferlib.errors import UserError
from transferlib.tensors import at_least_single


def _pair(x: Tensor, y: Tensor, debiased: bool) -> tuple[Tensor, Tensor]:
    for name, z in (("first", x), ("second", y)):
        check_features(name, z, rows=4 if debiased else 2)
    if len(x) != len(y):
        raise UserError(f"CKA compares the same examples in two networks: got {len(x)} and {len(y)} rows.")
    x, y = at_least_single(x), at_least_single(y)
    return (x - x.mean(0)).double(), (y - y.mean(0)).double()


def linear_cka(x: Tensor, y: Tensor, debiased: bool = False) -> float:
    """Linear centred kernel alignment: 1 for features equal up to rotation and scale, near 0 for unrelated ones.

    ‖YᵀX‖²_F / (‖XᵀX‖_F · ‖YᵀY‖_F) with columns centred. Only (D, D) matrices are formed, never (N, N).

    The plain value is pushed towards 1 when features outnumber examples. ``debiased=True`` replaces each of the
    three norms by the unbiased HSIC estimator, whose expectation for unrelated features is 0; it may be
    negative, and needs N ≥ 4.

    Args:
        x: features (N, D1) of N examples in one network or layer.
        y: features (N, D2) of the same N examples in another.
        debiased: see above.

    Raises:
        UserError: NaN, constant features, different numbers of rows, too few rows.

    Paper: Kornblith et al. 2019, Similarity of Neural Network Representations Revisited, linear CKA; Song et al.
    2012 for the unbiased HSIC.

    >>> x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    >>> turned = torch.stack([-5 * x[:, 1], 5 * x[:, 0], 5 * x[:, 2]], 1)
    >>> round(linear_cka(x, turned), 5), linear_cka(x, x.square()) < 0.6
    (1.0, True)
    """
    x, y = _pair(x, y, debiased)

    def hsic(a: Tensor, b: Tensor) -> Tensor:
        value = (b.T @ a).square().sum()  # = tr(K L) with K = a aᵀ, L = b bᵀ
        if debiased:
            # Unbiased HSIC: the diagonals of K and L leave; a and b are centred, so that their rows sum to zero.
            n, row_a, row_b = len(a), a.square().sum(1), b.square().sum(1)  # (N,)
            value = value - n / (n - 2) * (row_a * row_b).sum() + row_a.sum() * row_b.sum() / ((n - 1) * (n - 2))
        return value

    return float(hsic(x, y) / (hsic(x, x) * hsic(y, y)).sqrt())


def nearest_neighbours(
    queries: Tensor, bank: Tensor, batch_size: int = 1024, exclude_self: bool = False, progress: bool = False
) -> tuple[Tensor, Tensor]:
    """The most similar row of ``bank`` for each query, exact, by cosine similarity.

    Both sides are centred at the bank's mean before they are scaled to length one: features after a ReLU all point
    the same way, and the common part would hide what tells them apart.

    Args:
        queries: features (N, D).
        bank: features (M, D).
        batch_size: queries in one matrix product; memory is batch_size × M.
        exclude_self: the queries *are* the bank; row i may not find itself.

    Returns:
        Similarities (N,), from −1 to 1, and indices into ``bank`` (N,).

    Raises:
        UserError: NaN, constant features, different widths, or ``exclude_self`` with two different sets.

    >>> bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> nearest_neighbours(torch.tensor([[0.1, 2.0], [3.0, 0.0]]), bank)[1]
    tensor([1, 0])
    """
    if len(queries) > 1 or not torch.isfinite(queries).all():
        check_features("query", queries, rows=1)
    check_features("bank", bank)
    if queries.shape[1] != bank.shape[1]:
        raise UserError(
            f"The queries have {queries.shape[1]} features and the bank {bank.shape[1]}: use one encoder for both."
        )
    if exclude_self and len(queries) != len(bank):
        raise UserError(f"exclude_self needs one set: got {len(queries)} queries and a bank of {len(bank)}.")
    queries, bank = at_least_single(queries), at_least_single(bank)
    centre = bank.mean(0)
    keys = F.normalize(bank - centre, dim=1)  # (M, D)
    rows = keys if exclude_self else F.normalize(queries - centre, dim=1)  # (N, D)
    best, index = keys.new_full((len(rows),), -torch.inf), torch.zeros_like(rows[:, 0], dtype=torch.long)
    starts = range(0, len(rows), batch_size)
    for start in tqdm(starts, "comparing", disable=not progress or len(starts) < 10, mininterval=1):
        stop = min(start + batch_size, len(rows))
        # A set beside itself is a symmetric table: each pair is looked at once, and counts for both.
        first = start if exclude_self else 0
        scores = rows[start:stop] @ keys[first:].T  # (B, M − first)
        if exclude_self:
            scores.fill_diagonal_(-torch.inf)
            _improve(best[stop:], index[stop:], scores[:, stop - start :].max(0), start)
        _improve(best[start:stop], index[start:stop], scores.max(1), first)
    return best, index


def _improve(best: Tensor, index: Tensor, found: tuple[Tensor, Tensor], shift: int) -> None:
    """Take over, in place, every similarity that is larger than the one known; indices count from ``shift``."""
    better = found[0] > best
    best[better], index[better] = found[0][better], found[1][better] + shift


def near_duplicates(
    test: Tensor, train: Tensor, threshold: float = 0.9, batch_size: int = 1024
) -> tuple[Tensor, Tensor]:
    """The test examples that have a lookalike among the training examples.

    Args:
        test: features (N, D).
        train: features (M, D).
        threshold: the cosine similarity from which two examples count as one, −1 to 1. Choose it by looking at
            pairs; it depends on the encoder.

    Returns:
        Indices of suspicious test examples (K,) and of the lookalike of each in ``train`` (K,).

    Raises:
        UserError: a threshold outside −1..1; see :func:`nearest_neighbours`.

    >>> train = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> near_duplicates(torch.tensor([[0.0, 5.0], [-3.0, -3.0]]), train)  # the first repeats row 1
    (tensor([0]), tensor([1]))
    """
    if not -1 <= threshold <= 1:
        raise UserError(f"threshold = {threshold} is not a cosine similarity: use a value between -1 and 1.")
    similarity, index = nearest_neighbours(test, train, batch_size)
    found = torch.nonzero(similarity >= threshold).squeeze(1)  # (K, 1) → (K,)
    return found, index[found]
