"""From label-budget curves on your own data to a decision, and how sure it is.

Accuracy is balanced here: the mean over classes of the share that was right, so that a common class cannot hide a rare
one. Guessing gives 1 / classes.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from transferlib.course.intervals import Interval
from transferlib.course.printing import spelled
from transferlib.errors import UserError

MARGIN = 0.05  # a difference in accuracy that would matter


class Decision(NamedTuple):
    """``strategy`` to use; ``gaps`` of every other minus it; ``certain``: no other can be better by ``MARGIN``."""

    strategy: str
    gaps: dict[str, Interval]
    certain: bool
    sentence: str


def balanced(guess: ArrayLike, y: ArrayLike) -> float:
    """Mean over the classes in ``y`` (T,) of the share of right guesses (T,), 0..1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a guess may name a class that no test example has
        return float(balanced_accuracy_score(np.asarray(y), np.asarray(guess)))


def resampled(
    values: ArrayLike, ratio: float, right: ArrayLike | None = None, y: ArrayLike = (), level: float = 0.95
) -> Interval:
    """The interval of a mean over J draws of one data set: mean ± t · √variance.

    Random splits overlap, so their results vary less than new data would: variance = s² (1/J + ratio) with ``ratio`` =
    test / other examples (Nadeau and Bengio 2003, Machine Learning 52). Where the split is given and only the labels
    are drawn, ``ratio`` is 0; then ``right`` (J, T), the hits or differences of hits behind the ``values``, and the
    classes ``y`` (T,) add the luck of the test examples: :func:`two_way`.

    Draws that agree by chance do not make a mean certain: where the classes ``y`` (T,) of a test part are given, no
    spread is taken to be below the smallest that T answers can show, one answer in one draw: s² = 1 / (J T²).

    >>> [round(bound, 2) for bound in resampled([0.75] * 5, 3 / 7, y=[0, 1] * 10)[1:3]]
    [0.7, 0.8]

    Raises ``UserError`` for no values.
    """
    x = np.asarray(values, dtype=float)
    if x.size == 0:
        raise UserError("There is no run to make an interval of: run at least two seeds.")
    if x.size == 1:
        return Interval(float(x[0]), -np.inf, np.inf, 1)
    count = len(np.asarray(y))
    answer = 1 / count if count else 0.0
    least = max(float(x.var(ddof=1)), answer**2 / x.size)
    variance, df, examples = least * (1 / x.size + ratio), float(x.size - 1), 0
    if right is not None and not ratio:
        variance, df = two_way(x, right, y)
        variance, examples = max(variance, (answer / x.size) ** 2), np.shape(right)[1]
    half = float(stats.t.ppf(0.5 + level / 2, df) * np.sqrt(variance))
    return Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, int(x.size), examples, df)


def two_way(values: ArrayLike, right: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Variance of a mean balanced accuracy over both kinds of luck, draws and test examples; degrees of freedom.

    variance = s²/J + spread over examples − the interaction, which both of them hold once. With one class these are the
    numbers of :func:`transferlib.course.intervals.spread`; degrees of freedom as there (Satterthwaite 1946).

    Arguments: ``values`` (J,) balanced accuracies, ``right`` (J, T) the hits, ``y`` (T,) classes.
    """
    x, hits, truth = np.asarray(values, dtype=float), np.asarray(right, dtype=float), np.asarray(y)
    draws, (classes, counts) = len(x), np.unique(truth, return_counts=True)
    inside = []
    for c, count in zip(classes, counts, strict=True):
        part = hits[:, truth == c]  # (J, T_c)
        rest = part - part.mean(1, keepdims=True) - part.mean(0) + part.mean()
        inside.append((rest**2).sum() / ((draws - 1) * max(count - 1, 1)) / (draws * count))
    parts = np.array([x.var(ddof=1) / draws, example_spread(hits, truth), np.sum(inside) / len(classes) ** 2])
    free = max(len(truth) - len(classes), 1)
    freedom = np.array([draws - 1, free, (draws - 1) * free], dtype=float)
    both, which = float(parts[0] + parts[1] - parts[2]), int(parts[:2].argmax())
    if both <= parts[which]:
        return float(parts[which]), float(freedom[which])
    if parts[0] > both / 2:
        return both, float(freedom[0])
    return both, float(both**2 / (parts**2 / freedom).sum())


def example_spread(right: ArrayLike, y: ArrayLike) -> float:
    """Variance of a balanced accuracy, or of a difference of two, over the choice of test examples.

    ``right`` (J, T) hits, or differences of hits, of J seeds on the same T examples of classes ``y`` (T,).
    """
    each, truth = np.asarray(right, dtype=float).mean(0), np.asarray(y)
    classes = np.unique(truth)
    parts = [each[truth == c].var(ddof=1) / (truth == c).sum() if (truth == c).sum() > 1 else 0.25 for c in classes]
    return float(np.sum(parts) / len(classes) ** 2)


def decide(
    accuracy: Mapping[str, NDArray[np.float64]], names: Mapping[str, str], ratio: float,
    right: Mapping[str, NDArray[np.float64]] | None = None, y: ArrayLike = (),
) -> Decision:  # fmt: skip
    """The cheapest strategy that no dearer one beats.

    ``accuracy``: strategy → (J,) at one label budget, cheapest first, the same seeds in each; ``names`` for the
    sentence; ``ratio``, ``right`` (strategy → (J, T) hits, for a given split) and ``y`` as for :func:`resampled`. A
    dearer strategy replaces a cheaper one when its paired interval lies above 0. If another *might* be better by
    ``MARGIN``, the sentence says that there is not enough data to tell.

    Raises ``UserError`` for fewer than two strategies or seeds.
    """
    order: Sequence[str] = list(accuracy)
    if len(order) < 2 or min(len(v) for v in accuracy.values()) < 2:
        raise UserError("A decision needs two strategies and two seeds of each: run more.")

    def gap(a: str, b: str) -> Interval:
        return resampled(accuracy[a] - accuracy[b], ratio, right[a] - right[b] if right else None, y)

    chosen = order[0]
    for dearer in order[1:]:
        if gap(dearer, chosen).low > 0:
            chosen = dearer
    gaps = {other: gap(other, chosen) for other in order if other != chosen}
    open_ = sorted((other for other, g in gaps.items() if g.high > MARGIN), key=lambda other: -gaps[other].mean)
    best = max(gaps, key=lambda other: gaps[other].mean)
    span = spelled(gaps[best].scaled(100), "points")
    if open_:
        shown = [names[o] for o in open_[:2]]
        if len(open_) > 2:
            shown.append(f"{len(open_) - 2} more")
        listed = " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
        sentence = (
            f"Not enough data to tell: {names[chosen]} is the cheapest that nothing clearly beats, but "
            f"{listed} may still be better by {100 * MARGIN:.0f} points or more. "
            f"Measured: {names[best]} minus {names[chosen]} is {span}."
        )
    else:
        sentence = f"Use {names[chosen]}. The next best, {names[best]}, differs by {span}."
    return Decision(chosen, gaps, not open_, sentence)
