"""Pairs of domains: the same task in two places, as frozen features in shared directions.

These functions remember their results, so that the many cells of a sweep prepare each pair once a process.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from transferlib.backbones.images import DEFAULT
from transferlib.backbones.layer_features import cached_layer_features
from transferlib.backbones.texts import DEFAULT_TEXT
from transferlib.datasets.named import load
from transferlib.domains.checks import check_labels
from transferlib.errors import UserError, nearest
from transferlib.tuning.probes import cached_features

TASKS = {"emoji": "style", "sentiment": "domain"}
BACKBONES = {"emoji": DEFAULT, "sentiment": DEFAULT_TEXT}


class DomainPair(NamedTuple):
    """Features (N, dims) and labels (N,): source train and test, target train and test."""

    source: Tensor
    source_y: Tensor
    home: Tensor
    home_y: Tensor
    target: Tensor
    target_y: Tensor
    test: Tensor
    test_y: Tensor


@cache
def domain(
    task: str, name: str, split: str, size: int = 64, limit: int | None = None, layer: str = ""
) -> tuple[Tensor, Tensor]:
    """Frozen features (N, D) and labels (N,) of one domain of ``"emoji"`` (a style) or ``"sentiment"`` (a domain).

    ``size`` in pixels for pictures; ``limit`` keeps a fixed random choice of that many examples, the same choice in
    domains of equal size; ``layer`` is one of :func:`transferlib.backbones.layers.layers`, or empty for the output.
    Raises ``UserError`` for an unknown task, and what :func:`transferlib.datasets.named.load` raises.
    """
    if task not in TASKS:
        raise UserError(f"Unknown task {task!r} for a pair of domains: {nearest(task, TASKS)}")
    data = load(task, split, **{TASKS[task]: name})
    some = np.random.default_rng(0).permutation(len(data))[:limit]
    x = data.x[some] if isinstance(data.x, Tensor) else [data.x[i] for i in some]
    if layer:
        return cached_layer_features(BACKBONES[task], x, size=size)[layer], data.y[some]
    return cached_features(None, x, size=size), data.y[some]


@cache
def domain_pair(
    task: str, source: str, target: str, size: int = 64, limit: int | None = None, dims: int = 128, layer: str = ""
) -> DomainPair:
    """Source and target in the ``dims`` directions that vary most over the training examples of both.

    No label is used. The features are divided by one number, the source's standard deviation over all of them.

    Raises:
        UserError: unknown task or domain, domains with different labels, or more ``dims`` than examples.
    """
    classes = [load(task, "test", **{TASKS[task]: name}).classes for name in (source, target)]
    check_labels(classes[0], classes[1])
    parts = [domain(task, name, split, size, limit, layer) for name in (source, target) for split in ("train", "test")]
    both = torch.cat([parts[0][0], parts[2][0]]).numpy()
    if dims > min(both.shape):
        raise UserError(f"dims = {dims} is more than {both.shape[0]} examples of {both.shape[1]} features give.")
    main = PCA(dims, svd_solver="randomized", random_state=0).fit(both)
    flat = [torch.from_numpy(main.transform(x.numpy())).float() for x, _ in parts]
    scale = flat[0].std()
    return DomainPair(*(item for x, (_, y) in zip(flat, parts, strict=True) for item in (x / scale, y)))
