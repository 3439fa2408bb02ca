"""Uncertainty weighting: each task has a noise level, learned with the network, that divides its loss.

Kendall et al. 2018, arXiv:1705.07115, equations 7 and 10.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from transferlib.errors import UserError, nearest
from transferlib.multitask.losses import checked


class UncertaintyWeights(nn.Module):
    """L = Σ_i L_i / (2σ_i²) + log σ_i for a regression, L_i / σ_i² + log σ_i for a classification, σ_i learned.

    ``log_var`` s_i = log σ_i² is what is trained, so σ stays positive. At the optimum σ_i² equals the regression's
    loss, and twice the classification's. Give ``log_var`` to the optimiser beside the model's weights; it starts at 0,
    so bring the losses to one scale first, or its first steps only make up for their units.

    Arguments: ``kinds`` {task: "classification" | "regression"}; a regression's loss is the squared error. ``shape``
    of a loss: () for one network, (S,) for S networks side by side.

    >>> weights = UncertaintyWeights({"group": "classification", "size": "regression"})
    >>> weights({"group": torch.tensor(2.0), "size": torch.tensor(4.0)}).item()  # σ = 1 at the start: 2 + 4 / 2
    4.0

    Raises:
        UserError: an unknown kind or task, or a loss of another shape.
    """

    def __init__(self, kinds: Mapping[str, str], shape: Sequence[int] = ()) -> None:
        super().__init__()
        for kind in kinds.values():
            if kind not in ("classification", "regression"):
                raise UserError(f"Unknown kind {kind!r}: {nearest(kind, ['classification', 'regression'])}")
        self.kinds, self.shape = dict(kinds), tuple(shape)
        start = torch.zeros(self.shape, dtype=torch.float32)
        self.log_var = nn.ParameterDict({task: nn.Parameter(start.clone()) for task in kinds})

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """{task: loss of ``shape``} → the weighted sum, of ``shape``. Tasks may be missing from a batch."""
        checked(losses, self.kinds, self.shape)
        factor = {task: 0.5 if kind == "regression" else 1.0 for task, kind in self.kinds.items()}
        parts = [factor[t] * torch.exp(-self.log_var[t]) * loss + self.log_var[t] / 2 for t, loss in losses.items()]
        return torch.stack(parts).sum(0)
