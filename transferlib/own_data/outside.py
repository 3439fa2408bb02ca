"""What the chosen way says about examples that it did not learn from: one row of probabilities for each."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from transferlib.own_data.compare import Compared


class Outside(NamedTuple):
    """M examples that were tested at least once: ``rows`` (M,), labels ``y`` (M,), ``probability`` (M, C)."""

    rows: Tensor
    y: Tensor
    probability: Tensor


def outside(compared: Compared, way: str, factor: float) -> Outside:
    """At the way's largest budget: softmax(scores · factor), the mean over the draws that tested an example.

    No model that is asked about an example has learned from it: it was in the test part of that draw.
    """
    draws, n = compared.draws, compared.budgets(way)[-1]
    runs = compared.runs[(compared.runs["strategy"] == way) & (compared.runs["n"] == n)].sort_values("seed")
    rows = torch.from_numpy(np.concatenate([draws.test[s].numpy() for s in runs["seed"]]))  # (J · T,)
    p = (torch.tensor(np.concatenate(runs["scores"].to_list())).double() * factor).softmax(1)  # (J · T, C)
    once, where, times = rows.unique(return_inverse=True, return_counts=True)
    mean = torch.zeros(len(once), p.shape[1], dtype=torch.double).index_add_(0, where, p) / times[:, None]
    return Outside(once, draws.y[once], mean)
