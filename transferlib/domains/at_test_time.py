"""Adapting at test time, without source data or labels: BatchNorm's statistics, measured again.

Only BatchNorm has statistics of the source. :mod:`transferlib.domains.tent` moves what all normalisation layers have.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from transferlib.errors import UserError


def batchnorms(model: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers that keep running statistics.

    Raises:
        UserError: there is none, so that there is nothing to re-estimate.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if not layers:
        raise UserError(
            f"{type(model).__name__} has no BatchNorm layer with running statistics: there is nothing to re-estimate; "
            "Tent can adapt the scale and shift of LayerNorm and GroupNorm."
        )
    return layers


def check_batch(x: Tensor, least: int = 2) -> Tensor:
    """Return ``x`` (N, …) when the model can adapt to it; ``least`` is 2 where BatchNorm takes statistics of it.

    Raises:
        UserError: too few examples, NaN or infinite values.
    """
    if len(x) < least:
        raise UserError(
            f"The batch has {len(x)} example: BatchNorm statistics of it mean nothing; give at least {least}."
        )
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise UserError(f"The batch of {len(x)} examples holds NaN or infinite values: drop these examples.")
    return x


@torch.no_grad()
def reestimate_batchnorm(model: nn.Module, batches: Iterable[Tensor], prior: float = 0.0) -> nn.Module:
    """A copy of the model, in eval mode, whose BatchNorm layers hold the statistics of the target.

    One pass in which each layer normalises with its batch. μ and σ² are then those of *all* n values a channel
    saw (σ² divided by n − 1, as PyTorch does), not a mean of batch variances and not a moving average. With
    a prior of N pictures they become (N · source + n · target) / (N + n), n the number of *pictures* in ``batches``,
    whatever their size. No weight changes.

    Args:
        model: any module with BatchNorm; it is not changed.
        batches: target inputs, each (N, …) with N ≥ 2; bigger batches give the deeper layers truer inputs.
        prior: N, how many pictures the source statistics count as; 0 forgets the source. The paper tries 8 to 512.

    Raises:
        UserError: no BatchNorm layer, a batch of one, NaN in a batch, no batch at all, a negative prior.

    Paper: Li et al. 2016, Revisiting Batch Normalization (AdaBN); Schneider et al. 2020, Improving robustness against
    common corruptions by covariate shift adaptation, section 3, for the prior.

    >>> net, x = nn.Sequential(nn.BatchNorm2d(1)), torch.zeros(4, 1, 8, 8)
    >>> x[:2] = 10.0
    >>> [float(reestimate_batchnorm(net, [x], prior)[0].running_mean) for prior in (0, 4, 12)]  # the source's is 0
    [5.0, 2.5, 1.25]
    """
    if not prior >= 0:
        raise UserError(f"prior = {prior} is not possible: it counts source pictures, so it must be ≥ 0.")
    if isinstance(batches, Tensor):
        raise UserError(f"The batches are one tensor of shape {tuple(batches.shape)}: give a list of batches, as [x].")
    model = copy.deepcopy(model).eval()
    layers = batchnorms(model)
    seen: dict[nn.Module, tuple[int, Tensor, Tensor]] = {}  # count, mean, sum of squared deviations

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].transpose(0, 1).flatten(1).double()  # (N, C, …) → (C, N · …)
        n, mean, square = x.shape[1], x.mean(1), x.var(1, correction=0) * x.shape[1]
        if layer in seen:  # Chan et al. 1979: join two groups without keeping their values
            n0, mean0, square0 = seen[layer]
            gap, total = mean - mean0, n0 + n
            n, mean, square = total, mean0 + gap * n / total, square0 + square + gap.square() * n0 * n / total
        seen[layer] = n, mean, square

    hooks = [layer.register_forward_pre_hook(watch) for layer in layers]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.training = True  # not .train(): layers held by transferlib.backbones.freezing refuse it
        layer.momentum = 0.0  # the batch normalises, the running statistics stay the source's
    pictures = 0
    for batch in batches:
        model(check_batch(batch))
        pictures += len(batch)
    if not pictures:
        raise UserError("BatchNorm re-estimation got no batch: give at least one batch of target inputs.")
    for layer, hook, momentum in zip(layers, hooks, momenta, strict=True):
        hook.remove()
        layer.momentum = momentum
        if layer in seen and layer.running_mean is not None and layer.running_var is not None:
            n, mean, square = seen[layer]
            share = pictures / (prior + pictures)
            layer.running_mean.copy_((1 - share) * layer.running_mean + share * mean)
            layer.running_var.copy_((1 - share) * layer.running_var + share * square / max(1, n - 1))
    return model.eval()
