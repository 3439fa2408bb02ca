"""Where it fails: the share of right answers in parts of the data, with an interval for each."""

from collections.abc import Sequence

import pandas as pd
from scipy.stats import binomtest
from torch import Tensor


def slices(right: Tensor, part: Sequence[str]) -> pd.DataFrame:
    """A row for each part, the worst first: ``tested``, ``right`` in %, 95 % Wilson interval ``low`` and ``high``.

    Arguments: hits ``right`` (N,), each example once; ``part`` the name of each example's part. Wilson 1927.

    >>> import torch
    >>> slices(torch.tensor([True, False, True, True]), ["a", "a", "b", "b"]).round(0).loc["a"].tolist()
    [2.0, 50.0, 9.0, 91.0]
    """
    frame = pd.DataFrame({"right": right.numpy(), "part": list(part)})
    counts = frame.groupby("part", sort=False)["right"].agg(["size", "sum"])
    rows = {}
    for name, (size, hits) in counts.iterrows():
        span = binomtest(int(hits), int(size)).proportion_ci(method="wilson")
        rows[name] = {"tested": int(size), "right": 100 * hits / size, "low": 100 * span.low, "high": 100 * span.high}
    return pd.DataFrame(rows).T.sort_values("right", kind="stable").rename_axis("part")
