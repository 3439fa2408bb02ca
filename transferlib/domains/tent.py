"""TENT: adapting at test time by making the predictions certain, without source data or labels.

It moves the scale and shift of every normalisation layer: BatchNorm, LayerNorm, GroupNorm, InstanceNorm, RMSNorm.
:mod:`transferlib.domains.sar` makes it steady where batches are small.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from transferlib.domains.at_test_time import check_batch
from transferlib.errors import UserError
from transferlib.tensors import HALF, at_least_single

NORMS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def affine_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Scale γ and shift β of every normalisation layer, each once: what TENT and SAR move.

    Raises:
        UserError: no normalisation layer, none with γ or β, or half precision, in which a step is rounded away.
    """
    layers = [m for m in model.modules() if isinstance(m, NORMS)]
    if not layers:
        raise UserError(
            f"{type(model).__name__} has no BatchNorm, LayerNorm, GroupNorm, InstanceNorm or RMSNorm layer: there is "
            "no scale and shift to adapt."
        )
    own = [p for layer in layers for name, p in layer.named_parameters(recurse=False) if name in ("weight", "bias")]
    moving = list(dict.fromkeys(own))  # a layer used twice moves once
    if not moving:
        raise UserError("The normalisation layers have no scale and shift (affine=False): there is nothing to move.")
    if half := [p for p in moving if p.dtype in HALF]:
        raise UserError(
            f"The scale and shift are {half[0].dtype}, in which steps of 1e-3 round away: load the model in float32."
        )
    return moving


def entropy(logits: Tensor) -> Tensor:
    """H = −Σ_k p_k log p_k in nats, with p = softmax(logits): (N, K) → (N,). A logit of −inf is a class ruled out.

    >>> entropy(torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, -torch.inf]])).abs()
    tensor([0.6931, 0.6931, 0.0000])
    """
    logits = at_least_single(logits)
    logp = logits.log_softmax(1)
    return -(logits.softmax(1) * logp.masked_fill(logp == -torch.inf, 0)).sum(1)  # 0 · log 0 is 0


class Tent:
    """TENT: at test time, lower the entropy of the predictions by moving the normalisation's scale and shift.

    min over (γ, β) of mean_n H(softmax(model(x_n))), one gradient step per batch. Each BatchNorm layer normalises
    with the batch; the source's running statistics stay in their buffers. LayerNorm and GroupNorm have no statistics
    to take from a batch, so that models without BatchNorm adapt to a batch of one, too. :meth:`restore` gives the
    source model back bit by bit: weights, buffers, gradients switched on or off, modes. :meth:`adapt` after it begins
    anew, from the model as it then is.

    The model is adapted in place. Use one object per stream of target batches.

    Args:
        model: maps (N, …) to logits (N, K); it needs a normalisation layer with γ and β, in float32 or float64.
        lr: of Adam, as in the paper for small images (1e-3).

    Raises:
        UserError: no normalisation layer, only layers without γ and β, or these in half precision.

    Paper: Wang et al. 2021, Tent: Fully Test-Time Adaptation by Entropy Minimization; Niu et al. 2023 for LayerNorm
    and GroupNorm.

    >>> _ = torch.manual_seed(0)
    >>> tent, x = Tent(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)), lr=0.1), torch.randn(8, 3)
    >>> unsure = [tent.adapt(x)[1] for _ in range(20)]
    >>> unsure[-1] < unsure[0]
    True
    >>> source = tent.restore()
    """

    def __init__(self, model: nn.Module, lr: float = 1e-3) -> None:
        self.model, self.lr = model, lr
        self.begin()

    def begin(self) -> None:
        """Remember the model as it is, and let nothing but γ and β move."""
        model, self.moving = self.model, affine_parameters(self.model)
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
        self.least = 2 if norms else 1
        self._state = copy.deepcopy(model.state_dict())
        self._grads = {p: p.requires_grad for p in model.parameters()}
        self._modes = {m: m.training for m in model.modules()}
        self._momenta = {layer: layer.momentum for layer in norms}
        model.eval().requires_grad_(False)
        for layer in norms:
            layer.training = True  # not .train(): layers held by transferlib.backbones.freezing refuse it
            layer.momentum = 0.0  # never overwrite what the way back needs
        for p in self.moving:
            p.requires_grad_(True)
        self.optimiser = torch.optim.Adam(self.moving, lr=self.lr)
        self.adapting = True

    def adapt(self, x: Tensor) -> tuple[Tensor, float]:
        """Predict one batch, then take one step.

        Args:
            x: inputs (N, …); N ≥ 2 where the model has BatchNorm.

        Returns:
            Logits (N, K) from before the step, and their mean entropy in nats.

        Raises:
            UserError: a batch of one, NaN in the batch, or an entropy that is not finite.
        """
        if not self.adapting:
            self.begin()
        logits, loss = self.unsure(x)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return logits.detach(), loss.item()

    def unsure(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and the mean of their entropies, a scalar with its graph."""
        logits = self.model(check_batch(x, self.least))
        loss = entropy(logits).mean()
        if not torch.isfinite(loss):
            raise UserError(f"The entropy of {len(x)} predictions is not finite: restore() the model and lower lr.")
        return logits, loss

    def restore(self) -> nn.Module:
        """Undo everything: the returned model is the source model again, exactly. A second call changes nothing."""
        if not self.adapting:
            return self.model
        self.optimiser.zero_grad()
        self.model.load_state_dict(self._state)
        for parameter, grad in self._grads.items():
            parameter.requires_grad_(grad)
        for layer, momentum in self._momenta.items():
            layer.momentum = momentum
        for module, mode in self._modes.items():
            module.training = mode
        self.adapting = False
        return self.model
