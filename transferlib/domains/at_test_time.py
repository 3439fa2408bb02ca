"""Adapting at test time, without source data or labels: BatchNorm re-estimation and TENT."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from transferlib.errors import UserError


def batchnorms(model: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers that keep running statistics.

    Raises:
        UserError: there is none, so that there is nothing these methods could adapt.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if not layers:
        raise UserError(
            f"{type(model).__name__} has no BatchNorm layer with running statistics: re-estimation and TENT cannot "
            "adapt it."
        )
    return layers


def check_batch(x: Tensor) -> Tensor:
    """Return ``x`` (N, …) when BatchNorm can take statistics of it.

    Raises:
        UserError: fewer than two examples, NaN or infinite values.
    """
    if len(x) < 2:
        raise UserError(f"The batch has {len(x)} example: BatchNorm statistics of it mean nothing; give at least 2.")
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise UserError(f"The batch of {len(x)} examples holds NaN or infinite values: drop these examples.")
    return x


@torch.no_grad()
def reestimate_batchnorm(model: nn.Module, batches: Iterable[Tensor], prior: float = 0.0) -> nn.Module:
    """A copy of the model, in eval mode, whose BatchNorm layers hold the statistics of the target.

    One pass in which each layer normalises with its batch. μ and σ² are then those of *all* n values a channel
    saw (σ² divided by n − 1, as PyTorch does), not a mean of batch variances and not a moving average. With
    a prior they become (prior · source + n · target) / (prior + n). No weight changes.

    Args:
        model: any module with BatchNorm; it is not changed.
        batches: target inputs, each (N, …) with N ≥ 2; bigger batches give the deeper layers truer inputs.
        prior: how many values per channel the source statistics count as; 0 forgets the source.

    Raises:
        UserError: no BatchNorm layer, a batch of one, NaN in a batch, no batch at all, a negative prior.

    Paper: Li et al. 2016, Revisiting Batch Normalization (AdaBN); Schneider et al. 2020 for the prior.
    """
    if prior < 0:
        raise UserError(f"prior = {prior} is not possible: it counts source values, so it must be ≥ 0.")
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
    for batch in batches:
        model(check_batch(batch))
    if not seen:
        raise UserError("BatchNorm re-estimation got no batch: give at least one batch of target inputs.")
    for layer, hook, momentum in zip(layers, hooks, momenta, strict=True):
        hook.remove()
        layer.momentum = momentum
        if layer in seen and layer.running_mean is not None and layer.running_var is not None:
            n, mean, square = seen[layer]
            share = n / (prior + n)
            layer.running_mean.copy_((1 - share) * layer.running_mean + share * mean)
            layer.running_var.copy_((1 - share) * layer.running_var + share * square / max(1, n - 1))
    return model.eval()


def entropy(logits: Tensor) -> Tensor:
    """H = −Σ_k p_k log p_k in nats, with p = softmax(logits): (N, K) → (N,)."""
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1)


class Tent:
    """TENT: at test time, lower the entropy of the predictions by moving BatchNorm's scale and shift.

    min over (γ, β) of mean_n H(softmax(model(x_n))), one gradient step per batch. Each BatchNorm layer normalises
    with the batch; the source's running statistics stay in their buffers. :meth:`restore` gives the source model
    back bit by bit: weights, buffers, gradients switched on or off, modes.

    The model is adapted in place. Use one object per stream of target batches.

    Args:
        model: maps (N, …) to logits (N, K); it needs BatchNorm with γ and β.
        lr: of Adam, as in the paper for small images (1e-3).

    Raises:
        UserError: no BatchNorm layer, or only layers without γ and β.

    Paper: Wang et al. 2021, Tent: Fully Test-Time Adaptation by Entropy Minimization.
    """

    def __init__(self, model: nn.Module, lr: float = 1e-3) -> None:
        layers = batchnorms(model)
        self.model, self.layers = model, [layer for layer in layers if layer.affine]
        if not self.layers:
            raise UserError("The BatchNorm layers have no scale and shift (affine=False): TENT has nothing to move.")
        self._state = copy.deepcopy(model.state_dict())
        self._grads = {p: p.requires_grad for p in model.parameters()}
        self._modes = {m: m.training for m in model.modules()}
        self._momenta = {layer: layer.momentum for layer in layers}
        model.eval().requires_grad_(False)
        for layer in layers:
            layer.training = True  # not .train(): layers held by transferlib.backbones.freezing refuse it
            layer.momentum = 0.0  # never overwrite what the way back needs
        for layer in self.layers:
            layer.requires_grad_(True)
        moving = [p for layer in self.layers for p in (layer.weight, layer.bias)]
        self.optimiser = torch.optim.Adam(moving, lr=lr)

    def adapt(self, x: Tensor) -> tuple[Tensor, float]:
        """Predict one batch, then take one step.

        Args:
            x: inputs (N, …), N ≥ 2.

        Returns:
            Logits (N, K) from before the step, and their mean entropy in nats.

        Raises:
            UserError: a batch of one, NaN in the batch, or an entropy that is not finite.
        """
        logits = self.model(check_batch(x))
        loss = entropy(logits).mean()
        if not torch.isfinite(loss):
            raise UserError(f"The entropy of {len(x)} predictions is not finite: restore() the model and lower lr.")
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return logits.detach(), loss.item()

    def restore(self) -> nn.Module:
        """Undo everything: the returned model is the source model again, exactly."""
        self.optimiser.zero_grad()
        self.model.load_state_dict(self._state)
        for parameter, grad in self._grads.items():
            parameter.requires_grad_(grad)
        for layer, momentum in self._momenta.items():
            layer.momentum = momentum
        for module, mode in self._modes.items():
            module.training = mode
        return self.model
