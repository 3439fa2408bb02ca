"""Where the chosen way is wrong: which classes it confuses, the surest mistakes, how far its probabilities are off."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from transferlib.own_data.calibration import Reliability, reliability
from transferlib.own_data.compare import Compared
from transferlib.own_data.saved import temperature


class Mistakes(NamedTuple):
    """``confusion`` (C, C): % of each true class (row) that got each label; its largest entries off the diagonal are
    ``mixed``, as (true, said, %); ``hardest``: surest first, with ``row``, ``guess`` and ``sure``.

    ``factor`` on the scores makes probabilities of them: ``before`` and ``after`` say how good these are.
    """

    confusion: NDArray[np.float64]
    mixed: list[tuple[int, int, float]]
    hardest: pd.DataFrame
    factor: float
    before: Reliability
    after: Reliability


def mistakes(compared: Compared, way: str, seed: int = 0) -> Mistakes:
    """Of the way's test examples, over all seeds, at its largest budget.

    The factor is fitted on all of them; ``after`` is what one fitted on half of them does for the other half.
    """
    draws, n = compared.draws, compared.budgets(way)[-1]
    runs = compared.runs[(compared.runs["strategy"] == way) & (compared.runs["n"] == n)].sort_values("seed")
    rows = np.concatenate([draws.test[s].numpy() for s in runs["seed"]])  # (J · T,) test rows, one seed after the other
    scores = torch.tensor(np.concatenate(runs["scores"].to_list()))  # (J · T, C)
    truth, guess = draws.y[rows], scores.argmax(1)
    classes = scores.shape[1]
    confusion = torch.bincount(truth * classes + guess, minlength=classes**2).view(classes, classes).double().numpy()
    confusion = 100 * confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    off = confusion - np.diag(np.diag(confusion))
    worst = np.dstack(np.unravel_index(np.argsort(-off, axis=None)[:5], off.shape))[0]
    mixed = [(int(i), int(j), float(off[i, j])) for i, j in worst if off[i, j] > 0]

    factor = temperature(scores, truth)
    sure = (scores * factor).softmax(1).max(1).values
    wrong = pd.DataFrame({"row": rows, "guess": guess.numpy(), "sure": sure.numpy()})[(truth != guess).numpy()]
    hardest = wrong.groupby("row").agg(sure=("sure", "mean"), guess=("guess", lambda g: g.mode()[0]))
    hardest = hardest.sort_values("sure", ascending=False).head(12).reset_index()

    once = np.unique(rows, return_index=True)[1]  # each example once: the first draw that tested it
    held, judged = np.array_split(np.random.default_rng(seed).permutation(once), 2)
    fitted = temperature(scores[held], truth[held])
    bins = int(np.clip(len(judged) // 10, 2, 10))  # ten examples in each, or more
    before, after = (reliability((scores[judged] * f).softmax(1), truth[judged], bins) for f in (1.0, fitted))
    return Mistakes(confusion, mixed, hardest, factor, before, after)
