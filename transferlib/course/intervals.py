"""Intervals over seeds: how sure a measured number is.

The spread over seeds covers the draw of the labelled examples and the initialisation. The test set is
fixed, so these intervals do not cover the draw of the test set.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from transferlib.errors import UserError


class Interval(NamedTuple):
    """A mean over ``seeds`` runs with its 95 % confidence interval, all in the unit of the values."""

    mean: float
    low: float
    high: float
    seeds: int

    def scaled(self, factor: float) -> "Interval":
        """The interval of ``factor`` times the quantity; 100 turns shares into percent. ``factor`` > 0."""
        return Interval(self.mean * factor, self.low * factor, self.high * factor, self.seeds)


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


def paired_difference(a: ArrayLike, b: ArrayLike) -> Interval:
    """The interval of a − b, seed by seed: both saw the same labels, so their common luck cancels.

    Raises ``UserError`` when the two were not run with the same number of seeds.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise UserError(f"A paired difference needs the same seeds on both sides: got {a.shape} and {b.shape}.")
    return mean_interval(a - b)


def label_equivalent(
    accuracy: NDArray[np.float64], budgets: ArrayLike, curves: NDArray[np.float64], draws: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """How many labels per class the other strategy needs to reach ``accuracy``: (k, low, high).

    ``accuracy`` (seeds,) of the head start at one budget; ``curves`` (seeds', budgets) of the strategy that
    must catch up, measured at ``budgets`` (labels per class, ascending). The mean curve is made
    non-decreasing and interpolated in log n. The 95 % interval bootstraps the seeds of both sides.
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

    rng = np.random.default_rng(seed)
    replicas = []
    for _ in range(draws):
        left = accuracy[rng.integers(len(accuracy), size=len(accuracy))].mean()
        right = curves[rng.integers(len(curves), size=len(curves))].mean(0)
        replicas.append(crossing(float(left), right))
    low, high = np.quantile(replicas, [0.025, 0.975], method="inverted_cdf")
    return crossing(float(accuracy.mean()), curves.mean(0)), float(low), float(high)
