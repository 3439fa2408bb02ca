"""Reptile: walk towards where plain training on each task leads."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from transferlib.errors import UserError


@torch.no_grad()
def reptile_step(model: nn.Module, adapted: Sequence[Mapping[str, Tensor]], step: float) -> None:
    """θ ← θ + step · (mean_k φ_k − θ), in place: walk towards the weights that the inner loops found.

    ``adapted`` are results of ``maml_adapt(..., first_order=True)``. Raises ``UserError`` for none, and for those of
    another model. Nichol et al. 2018, arXiv:1803.02999, the batched version.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> reptile_step(model, [{"weight": torch.tensor([[2.0]])}, {"weight": torch.tensor([[4.0]])}], step=1.0)
    >>> model.weight.item()
    3.0
    """
    if not adapted:
        raise UserError("Reptile was given no adapted weights: pass at least one result of maml_adapt.")
    own = {name: p for name, p in model.named_parameters()}
    if odd := [n for n, p in own.items() for fast in adapted if n not in fast or fast[n].shape != p.shape]:
        raise UserError(f"The adapted weights have no {odd[0]!r} of the model's shape: adapt this very model.")
    for name, p in own.items():
        p.add_(torch.stack([fast[name] for fast in adapted]).mean(0) - p, alpha=step)
