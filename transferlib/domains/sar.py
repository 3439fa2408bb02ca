"""SAR: TENT that leaves out what it is unsure of, and looks for flat places, so that small batches do not break it."""

import math

import torch
from torch import Tensor, nn

from transferlib.domains.tent import Tent, entropy
from transferlib.errors import UserError


class Sar(Tent):
    """Sharpness-aware and reliable entropy minimisation: for LayerNorm and GroupNorm, and for batches of few pictures.

    Two changes to :class:`~transferlib.domains.tent.Tent`. *Reliable*: only predictions with
    H < certain · log K count, because the gradients of the others are large and noisy. *Sharpness-aware*: the gradient
    is taken at γ + ρ g / ‖g‖, where the entropy is worst nearby, and applied at γ, so that the walk ends where the
    entropy is low all around. (The paper also restores the model when the entropy collapses: call ``restore``.)

    Args:
        model: as for ``Tent``.
        lr: of Adam; the paper uses SGD with momentum.
        certain: the paper's 0.4; 1 lets all predictions count.
        rho: the radius ρ ≥ 0 in parameter units, 0.05 in the paper; 0 is one plain step.

    Raises:
        UserError: ``certain`` outside 0..1, ρ < 0, and what ``Tent`` raises.

    Paper: Niu et al. 2023, Towards Stable Test-Time Adaptation in Dynamic Wild World, arXiv:2302.12400, eq. 2 to 5.

    >>> _ = torch.manual_seed(0)
    >>> sar = Sar(nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.Linear(4, 2)), lr=0.1, certain=1.0)
    >>> unsure = [sar.adapt(torch.ones(1, 3))[1] for _ in range(20)]  # a batch of one
    >>> unsure[-1] < unsure[0]
    True
    """

    def __init__(self, model: nn.Module, lr: float = 1e-3, certain: float = 0.4, rho: float = 0.05) -> None:
        if not 0 < certain <= 1 or not rho >= 0:
            raise UserError(f"SAR got certain = {certain} and rho = {rho}: use 0 < certain ≤ 1 and rho ≥ 0.")
        super().__init__(model, lr)
        self.certain, self.rho = certain, rho

    def adapt(self, x: Tensor) -> tuple[Tensor, float]:
        """Predict one batch, then take one step, unless no prediction is certain. Arguments and returns: ``Tent``."""
        if not self.adapting:
            self.begin()
        logits, loss = self.unsure(x)
        if bool((sure := self.reliable(logits)).any()):
            grads = torch.autograd.grad(entropy(logits)[sure].mean(), self.moving, allow_unused=True)
            filled = [torch.zeros_like(p) if g is None else g for p, g in zip(self.moving, grads, strict=True)]
            self.step(x, sure, filled)
        return logits.detach(), loss.item()

    def reliable(self, logits: Tensor) -> Tensor:
        """Which predictions count: logits (N, K) → bools (N,)."""
        return entropy(logits.detach()) <= self.certain * math.log(logits.shape[1]) + 1e-6

    def step(self, x: Tensor, sure: Tensor, grads: list[Tensor]) -> None:
        """Climb to the worst place within ρ, take the gradient there of what is still certain, walk back, and move."""
        length = torch.stack([g.norm() for g in grads]).norm() + 1e-12
        moves = [self.rho * g / length for g in grads]
        with torch.no_grad():
            for p, move in zip(self.moving, moves, strict=True):
                p.add_(move)
        logits, _ = self.unsure(x)
        sure = sure & self.reliable(logits)
        self.optimiser.zero_grad()
        if bool(sure.any()):
            entropy(logits)[sure].mean().backward()
        with torch.no_grad():
            for p, move in zip(self.moving, moves, strict=True):
                p.sub_(move)
        self.optimiser.step()
