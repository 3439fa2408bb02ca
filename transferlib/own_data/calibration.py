"""Calibration: of the cases a model is 80 % sure of, are 80 in 100 right?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from transferlib.errors import UserError

Array = NDArray[np.float64]


class Reliability(NamedTuple):
    """Per bin: mean probability ``sure`` (B,), share of right answers ``right`` (B,), examples ``size`` (B,).

    ``error`` is the mean gap between the two; up to ``luck`` of it is what a model without any gap would show.
    """

    sure: Array
    right: Array
    size: Array
    error: float
    luck: float


def reliability(probability: Tensor, y: Tensor, bins: int = 10, draws: int = 200, seed: int = 0) -> Reliability:
    """How far a classifier's probabilities are from how often it is right.

    error = Σ_b n_b / N · |right_b − sure_b| over bins of equal count, ordered by the highest probability (adaptive
    calibration error; Guo et al. 2017, arXiv:1706.04599, take bins of equal width). It is above 0 by luck alone:
    ``luck`` is the 95 % point of ``draws`` sets of answers that are right exactly as often as the model says (Bröcker
    and Smith 2007).

    Arguments: ``probability`` (N, C), rows that sum to one; ``y`` classes (N,). Raises ``UserError`` for no examples,
    or rows that are no probabilities.
    """
    p, truth = probability.double().numpy(), y.numpy()
    if not len(p) or (p < 0).any() or not np.allclose(p.sum(1), 1, atol=1e-4):
        raise UserError(f"Calibration needs probabilities that sum to one for each of {len(p)} examples: use softmax.")
    top, hit = p.max(1), (p.argmax(1) == truth).astype(float)
    order = np.argsort(top, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    count = np.array([len(part) for part in parts], dtype=float)

    def gap(hits: Array, sure: Array) -> float:
        return float(count @ np.abs(_means(hits, parts) - sure)) / len(top)

    sure, rng = _means(top, parts), np.random.default_rng(seed)
    honest = [gap((rng.random(len(top)) < top).astype(float), sure) for _ in range(draws)]
    return Reliability(sure, _means(hit, parts), count, gap(hit, sure), float(np.quantile(honest, 0.95)))


def _means(values: Array, parts: list[NDArray[np.intp]]) -> Array:
    return np.array([values[part].mean() for part in parts])
