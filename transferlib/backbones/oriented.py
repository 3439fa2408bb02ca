"""Edge detectors, told from round spots: filters that a wave in one direction explains better than a spot does."""

import torch
from torch import Tensor

from transferlib.backbones.filters import above_chance, explained, gabor_fit, grey_kernels


def spot_bank(k: int) -> Tensor:
    """Round spots with a surround, free of any mean, as an orthonormal basis of each pair (B, 2, k²), in float64.

    A pair is two Gaussians of widths w and 2 w around one centre, which leaves the same two free coefficients as a
    Gabor function. Centres lie up to half of (k − 1) / 2 pixels off the middle: a layer with a stride of 2 pads one
    side more than the other, and its round filters stand half a pixel off.

    >>> spot_bank(5).shape
    torch.Size([75, 2, 25])
    """
    at = torch.arange(k, dtype=torch.float64, device="cpu") - (k - 1) / 2
    pairs = []
    for cy in torch.linspace(-(k - 1) / 4, (k - 1) / 4, 5):
        for cx in torch.linspace(-(k - 1) / 4, (k - 1) / 4, 5):
            radius2 = (at[:, None] - cy) ** 2 + (at - cx) ** 2
            for width in (0.15 * k, 0.22 * k, 0.33 * k):
                pairs.append(torch.stack([torch.exp(-radius2 / (2 * (w * width) ** 2)).flatten() for w in (1, 2)]))
    bank = torch.stack(pairs)  # (B, 2, k²)
    return torch.linalg.svd(bank - bank.mean(-1, keepdim=True), full_matrices=False)[2]


def round_fit(kernels: Tensor) -> Tensor:
    """R²: the share of each filter's variance that the best round spot of :func:`spot_bank` explains.

    Arguments: ``kernels`` (N, k, k). Returns (N,), 0 to 1, in float64; 0 for a constant filter.

    >>> spot = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    >>> edge = torch.tensor([[-1.0, 0.0, 1.0]] * 3)
    >>> fit = round_fit(torch.stack([spot, edge]))
    >>> bool(fit[0] > 0.95 > 0.8 > fit[1])
    True
    """
    return explained(kernels, spot_bank(kernels.shape[-1]))


def orientation(weight: Tensor) -> Tensor:
    """How much better than a round spot a wave in the best direction explains each filter: Gabor R² minus round R².

    Arguments: ``weight`` of a convolution (N, C, k, k). Returns (N,), −1 to 1.

    >>> edge = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).expand(1, 1, 3, 3)
    >>> bool(orientation(edge) > 0.3)
    True
    """
    kernels = grey_kernels(weight)
    return gabor_fit(kernels) - round_fit(kernels)


def count_oriented(weight: Tensor, level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[int, float]:
    """How many filters are more oriented than random ones, and the bar: the ``level`` quantile over ``draws`` of these.

    Random filters of the same shape pass it with probability 1 − ``level``.

    >>> edge = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).expand(1, 1, 3, 3)
    >>> spot = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]).expand(1, 1, 3, 3)
    >>> count_oriented(torch.cat([edge, spot]))[0]
    1

    Raises:
        UserError: see :func:`transferlib.backbones.filters.above_chance`.
    """
    return above_chance(orientation, weight, level, draws, seed)
