"""Edge detectors in a first layer: how well a Gabor function describes each filter."""

import math

import torch
from torch import Tensor

from transferlib.errors import UserError


def grey_kernels(weight: Tensor) -> Tensor:
    """The dominant spatial pattern of each colour filter: (N, C, k, k) → (N, k, k).

    The first right singular vector of the filter seen as a (C, k²) matrix, times its singular value.

    Raises:
        UserError: not a convolution weight, or NaN in it.
    """
    if weight.ndim != 4 or weight.shape[-1] != weight.shape[-2] or weight.shape[-1] < 3:
        raise UserError(
            f"Filters of shape {tuple(weight.shape)}: a weight (filters, channels, k, k), k ≥ 3, is needed."
        )
    if not torch.isfinite(weight).all():
        raise UserError("The filters hold NaN or infinite values: check the checkpoint.")
    n, _, k, _ = weight.shape
    _, s, vh = torch.linalg.svd(weight.detach().double().flatten(2), full_matrices=False)  # (N, C, k²)
    return (s[:, :1] * vh[:, 0]).view(n, k, k)  # (N, k²) → (N, k, k)


def gabor_bank(k: int) -> Tensor:
    """Pairs of cosine and sine waves under a Gaussian window, each pair orthonormal and free of any mean.

    The grid holds 12 orientations × 4 wavelengths (1.5 k … k/1.5 pixels) × 2 window widths, all centred; returns
    (96, 2, k²). A filter has two free coefficients in each pair, which stand for amplitude and phase.
    """
    at = torch.arange(k, dtype=torch.float64) - (k - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    pairs = []
    for angle in torch.arange(12) * math.pi / 12:
        for wavelength in torch.logspace(math.log10(1.5 * k), math.log10(k / 1.5), 4, dtype=torch.float64):
            for width in (0.3 * k, 0.6 * k):
                window = torch.exp(-(x**2 + y**2) / (2 * width**2))
                phase = 2 * math.pi * (x * torch.cos(angle) + y * torch.sin(angle)) / wavelength
                pairs.append(torch.stack([window * phase.cos(), window * phase.sin()]).flatten(1))  # (2, k²)
    bank = torch.stack(pairs)  # (96, 2, k²)
    bank = bank - bank.mean(-1, keepdim=True)
    return torch.linalg.qr(bank.transpose(1, 2))[0].transpose(1, 2)


def gabor_fit(kernels: Tensor) -> Tensor:
    """R²: the share of each filter's variance that the best Gabor of :func:`gabor_bank` explains.

    max over the grid of ‖projection of the filter on the pair‖² / ‖filter‖², the filter's mean removed; for each
    grid point the two coefficients are least squares in closed form.

    Args:
        kernels: (N, k, k).

    Returns:
        (N,), 0 to 1; 0 for a constant filter.
    """
    z = kernels.double().flatten(1)  # (N, k²)
    z = z - z.mean(1, keepdim=True)
    explained = torch.einsum("gpk,nk->ngp", gabor_bank(kernels.shape[-1]), z).square().sum(-1)  # (N, 96)
    return explained.max(1).values / z.square().sum(1).clamp(min=1e-30)


def count_edge_detectors(weight: Tensor, level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[int, float]:
    """How many filters look more like a Gabor than random filters do.

    A small kernel is fitted well by chance: nine numbers against two coefficients, an angle, a wavelength and a
    width. So the bar is the ``level`` quantile of R² over ``draws`` random Gaussian filters of the same shape; random
    weights pass it with probability 1 − ``level``.

    Args:
        weight: of a convolution (N, C, k, k).

    Returns:
        The number of filters above the bar, and the bar.

    Raises:
        UserError: see :func:`grey_kernels`; ``level`` outside 0..1.
    """
    if not 0 < level < 1:
        raise UserError(f"level = {level} is not a quantile: use a value between 0 and 1.")
    noise = torch.randn(draws, *weight.shape[1:], generator=torch.Generator().manual_seed(seed))
    bar = float(gabor_fit(grey_kernels(noise)).quantile(level))
    return int((gabor_fit(grey_kernels(weight)) > bar).sum()), bar
