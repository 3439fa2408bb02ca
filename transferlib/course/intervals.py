"""Intervals: how sure a measured number is, and over which kinds of luck.

:func:`mean_interval` covers the luck of the seed: the draw of the labelled examples and the start of the training; the
test examples are taken as given. :func:`two_way` also covers the luck of the test examples, from the whole table of
answers, seeds × examples.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from transferlib.errors import UserError


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval, all in the unit of the values.

    It covers the luck of ``seeds`` runs and, where ``examples`` is not 0, that of as many test examples. ``df`` are the
    degrees of freedom behind its width; 0 stands for ``seeds − 1``.
    """

    mean: float
    low: float
    high: float
    seeds: int
    examples: int = 0
    df: float = 0

    def scaled(self, factor: float) -> "Interval":
        """The interval of ``factor`` times the quantity; 100 turns shares into percent. ``factor`` > 0."""
        return self._replace(mean=self.mean * factor, low=self.low * factor, high=self.high * factor)

    @property
    def covers(self) -> str:
        """``20 seeds`` or ``20 seeds × 400 test examples``."""
        return f"{self.seeds} seeds" + (f" × {self.examples} test examples" if self.examples else "")

    @property
    def detectable(self) -> float:
        """The smallest true difference that a run as noisy as this one would have seen four times out of five.

        (t₀.₉₇₅ + t₀.₈) · standard error: with that difference the 95 % interval leaves out 0 with probability 0.8.
        """
        df = self.df or self.seeds - 1
        if df <= 0:
            return float("inf")
        t95, t80 = stats.t.ppf([0.975, 0.8], df)
        return float((t95 + t80) / t95 * (self.high - self.low) / 2)


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval: mean ± t · s / √seeds, with s the sample standard deviation.

    ``values`` (seeds,). One value only has an unbounded interval and says so with infinities.
    Raises ``UserError`` for no values and for NaN.
    """
    x = np.asarray(values, dtype=float)
    if x.size == 0 or np.isnan(x).any():
        raise UserError(f"An interval needs numbers: got {x.size} values, {int(np.isnan(x).sum())} of them NaN.")
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, -np.inf, np.inf, 1)
    half = float(stats.t.ppf(0.5 + level / 2, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size))
    return Interval(mean, mean - half, mean + half, int(x.size))


def spread(table: NDArray[np.float64]) -> tuple[float, float]:
    """Variance of the mean of a (seeds, examples) table over both kinds of luck, and its degrees of freedom.

    With answers x = μ + seed + example + interaction, the variance of the mean is σ²_seed/S + σ²_example/I + σ²/(SI).
    The variance of the S row means, over S, and that of the I column means, over I, each hold the last term once, so
    it is taken off once; a negative share of either is a share of zero. Degrees of freedom: Satterthwaite 1946, and
    those of the seeds alone where the seeds carry half of the variance, because with three seeds his are too many.
    """
    seeds, examples = table.shape
    rows, columns = table.mean(1), table.mean(0)
    rest = table - rows[:, None] - columns[None] + table.mean()
    freedom = np.array([seeds - 1, examples - 1, (seeds - 1) * (examples - 1)], dtype=float)
    parts = np.array([
        rows.var(ddof=1) / seeds, columns.var(ddof=1) / examples, (rest**2).sum() / freedom[2] / (seeds * examples),
    ])  # fmt: skip
    both = float(parts[0] + parts[1] - parts[2])
    which = int(parts[:2].argmax())
    if both <= parts[which]:
        return float(parts[which]), float(freedom[which])
    if parts[0] > both / 2:
        return both, float(freedom[0])
    return both, float(both**2 / (parts**2 / freedom).sum())


def two_way(table: ArrayLike, level: float = 0.95) -> Interval:
    """The interval of the mean of a (seeds, examples) table, over the luck of both: mean ± t · √variance.

    The entries are any number per answer: a loss, or the difference of two ways' right (1) and wrong (0) answers to the
    same example under the same seed. Its oracle in the tests is the pigeonhole bootstrap (Owen 2007, arXiv:0712.1111).

    >>> rng = np.random.default_rng(0)
    >>> two_way(rng.normal(size=(8, 1)) + rng.normal(size=(1, 200)) + rng.normal(size=(8, 200))).covers
    '8 seeds × 200 test examples'

    Raises:
        UserError: not a table, NaN in it, or fewer than two seeds or examples.
    """
    x = _table(table)
    variance, df = spread(x)
    half = float(stats.t.ppf(0.5 + level / 2, df) * np.sqrt(variance))
    return Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, x.shape[0], x.shape[1], df)


def accuracy_interval(right: ArrayLike, level: float = 0.95) -> Interval:
    """An accuracy from right (1) and wrong (0) answers (seeds, examples): inside 0 … 1, never of width 0.

    The exact binomial interval for as many independent answers as carry the same information: n = p(1 − p) / variance,
    corrected for the degrees of freedom (Korn & Graubard 1998). Where fewer than five examples' worth of answers are
    right, or wrong, their spread says little, and n is at most the number of examples.

    >>> accuracy_interval(np.ones((3, 20))).low > 0.8, accuracy_interval(np.ones((3, 20))).high
    (True, 1.0)

    Raises:
        UserError: as :func:`two_way`, and for answers other than 0 and 1.
    """
    x = _table(right)
    if not np.isin(x, (0, 1)).all():
        raise UserError("An accuracy is made of right (1) and wrong (0) answers: the table holds other numbers.")
    p, (seeds, examples) = float(x.mean()), x.shape
    variance, df = spread(x)
    n = float(examples)
    if 0 < p < 1 and variance > 0:
        narrow, wide = stats.t.ppf(0.5 + level / 2, [seeds * examples - 1, df])
        most = examples if examples * min(p, 1 - p) < 5 else seeds * examples
        n = min(p * (1 - p) / variance * float(narrow / wide) ** 2, most)
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, n * p, n * (1 - p) + 1)) if p > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, n * p + 1, n * (1 - p))) if p < 1 else 1.0
    return Interval(p, low, high, seeds, examples, df)


def _table(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=float)
    if x.ndim != 2 or min(x.shape) < 2:
        raise UserError(f"A two-way interval needs a table of at least 2 seeds × 2 examples: got shape {x.shape}.")
    if np.isnan(x).any():
        raise UserError(f"A two-way interval needs an answer in every place: {int(np.isnan(x).sum())} are NaN.")
    return x


def paired_difference(a: ArrayLike, b: ArrayLike) -> Interval:
    """The interval of a − b: both saw the same labels, so their common luck cancels.

    ``a`` and ``b`` (seeds,) are compared seed by seed; (seeds, examples) answer by answer, by :func:`two_way`.
    Raises ``UserError`` when the two were not run with the same seeds and examples.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise UserError(
            f"A paired difference needs the same seeds and examples on both sides: got {a.shape} and {b.shape}."
        )
    return mean_interval(a - b) if a.ndim == 1 else two_way(a - b)


def _drawn(count: int, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The share of each of ``count`` things in each resample with replacement, (draws, count)."""
    picked = rng.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]  # each draw its own bins
    return np.bincount(picked.ravel(), minlength=draws * count).reshape(draws, count) / count


def label_equivalent(
    accuracy: NDArray[np.float64], budgets: ArrayLike, curves: NDArray[np.float64], draws: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """How many labels per class the other strategy needs to reach ``accuracy``: (k, low, high).

    ``accuracy`` (seeds,) of the head start at one budget; ``curves`` (seeds', budgets) of the strategy that
    must catch up, measured at ``budgets`` (labels per class, ascending). The mean curve is made
    non-decreasing and interpolated in log n. The 95 % interval bootstraps the seeds of both sides and, where both have
    one more axis of right and wrong answers to the same test examples, the examples too.
    ``inf`` means: not reached at the largest measured budget.
    """
    logs, curves = np.log(np.asarray(budgets, dtype=float)), np.asarray(curves, dtype=float)

    def crossing(target: float, curve: NDArray[np.float64]) -> float:
        curve = np.maximum.accumulate(curve)
        if target > curve[-1]:
            return float("inf")
        i = int(np.searchsorted(curve, target))
        if i == 0:
            return float(np.exp(logs[0]))
        share = (target - curve[i - 1]) / (curve[i] - curve[i - 1])
        return float(np.exp(logs[i - 1] + share * (logs[i] - logs[i - 1])))

    accuracy, rng = np.asarray(accuracy, dtype=float), np.random.default_rng(seed)
    ours, theirs = (_drawn(len(side), draws, rng) for side in (accuracy, curves))  # (draws, seeds) of each side
    if curves.ndim == 3:  # examples: the same draw for both sides
        seen = _drawn(curves.shape[2], draws, rng)
        left = np.einsum("ds,sd->d", ours, accuracy @ seen.T)
        right = np.einsum("ds,sbd->db", theirs, curves @ seen.T)
    else:
        left, right = ours @ accuracy, theirs @ curves
    replicas = [crossing(float(target), curve) for target, curve in zip(left, right, strict=True)]
    low, high = np.quantile(replicas, [0.025, 0.975], method="inverted_cdf")
    whole = curves.mean((0, 2)) if curves.ndim == 3 else curves.mean(0)
    return crossing(float(accuracy.mean()), whole), float(low), float(high)
