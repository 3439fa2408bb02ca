"""Probe, then fine-tune (LP-FT): full fine-tuning that starts from the exact solution of the probe.

A random head sends random gradients into the backbone, which moves before the head knows anything. Starting
from the fitted probe, the first step already points where the labels point (Kumar et al., 2022).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.errors import UserError
from transferlib.tensors import at_least_single, class_numbers
from transferlib.tuning.probes import Probe, fit_probe
from transferlib.tuning.strategies import Classifier

SCALES = tuple(float(s) for s in np.geomspace(1, 64, 13))  # factors on the probe's scores, equal ratios


def start_from_probe(model: Classifier, probe: Probe, scale: float = 1.0) -> Classifier:
    """Write the probe into the head, in place: logits = scale · (features · weight + bias).

    A positive ``scale`` changes no decision; it says how sure the scores are, see :func:`score_scale`.
    BatchNorm must hold its statistics, as the strategies do, or training starts somewhere else.

    Arguments: ``probe`` fitted on the features of ``model.backbone``: weight (D, C), bias (C,).

    Raises:
        UserError: a head that is not one linear layer of the probe's shape, or a scale that is not positive.

    >>> model = Classifier(nn.Identity(), nn.Linear(2, 2))
    >>> probe = Probe(weight=torch.tensor([[1.0, 0.0], [0.0, 1.0]]), bias=torch.zeros(2), lam=1.0)
    >>> start_from_probe(model, probe, scale=10.0)(torch.tensor([[0.3, 0.7]]))
    tensor([[3., 7.]], grad_fn=<AddmmBackward0>)
    """
    head, shape = model.head, tuple(probe.weight.T.shape)
    if not isinstance(head, nn.Linear) or tuple(head.weight.shape) != shape or head.bias is None:
        found = tuple(head.weight.shape) if isinstance(head, nn.Linear) else type(head).__name__
        raise UserError(f"The probe fits a linear head of shape {shape} with bias, but the model has {found}.")
    if not scale > 0:
        raise UserError(f"scale = {scale} would turn the probe's decisions around: use a positive number.")
    with torch.no_grad():
        head.weight.copy_(scale * probe.weight.T)  # (D, C) → (C, D)
        head.bias.copy_(scale * probe.bias)
    return model


def score_scale(x: Tensor, y: Tensor, probe: Probe, folds: int = 5, seed: int = 0) -> float:
    """The factor that turns the probe's scores into logits: of ``SCALES``, the one with the least cross-entropy.

    A ridge fitted to zeros and ones has scores near 0 and 1: as logits they mean "almost no idea", so the
    first steps of fine-tuning would blow the head up. The factor is chosen on predictions for examples that
    were left out, fold by fold; no label outside (x, y) is used. Temperature scaling: Guo et al., 2017.

    Arguments: ``x`` features (N, D); ``y`` classes (N,). Raises ``UserError`` like :func:`fit_probe`.

    >>> g, y = torch.Generator().manual_seed(0), torch.arange(100) % 2
    >>> x = torch.randn(100, 3, generator=g) + 2 * y[:, None]
    >>> score_scale(x, y, fit_probe(x, y)) > 1  # the classes are easy, so the scores may be surer than they are
    True
    """
    x, y = at_least_single(x), class_numbers(y, len(x))
    if not 2 <= folds <= len(y):
        raise UserError(f"folds = {folds} is not possible with {len(y)} examples: use 2 to {len(y)}.")
    fold = torch.from_numpy(np.random.default_rng(seed).permutation(len(y)) % folds).to(x.device)
    scores = x.new_empty(len(y), probe.weight.shape[1])
    for k in range(folds):
        kept = fit_probe(x[fold != k], y[fold != k], probe.weight.shape[1], [probe.lam])
        scores[fold == k] = x[fold == k] @ kept.weight + kept.bias
    return min(SCALES, key=lambda scale: float(F.cross_entropy(scale * scores, y.to(x.device))))
