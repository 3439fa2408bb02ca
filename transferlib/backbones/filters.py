"""Edge detectors in a first layer: how well a Gabor function describes each filter."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from transferlib.errors import UserError


def grey_kernels(weight: Tensor) -> Tensor:
    """The dominant spatial pattern of each colour filter: (N, C, k, k) → (N, k, k).

    The first right singular vector of the filter seen as a (C, k²) matrix, times its singular value, in float64.

    Raises:
        UserError: not a convolution weight, or NaN in it.

    >>> edge = torch.tensor([[-1.0, 0.0, 1.0]] * 3)
    >>> pattern = grey_kernels(torch.stack([edge, 2 * edge])[None])[0]  # one filter, two channels
    >>> torch.allclose(pattern.abs(), 5**0.5 * edge.abs().double())
    True
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
    """Cosine and sine waves under a Gaussian window, free of any mean, as an orthonormal basis of each pair.

    The grid holds 12 orientations × 4 wavelengths (1.5 k … k/1.5 pixels) × 2 window widths, all centred; returns
    (96, 2, k²) in float64. A filter has two free coefficients in each pair, which stand for amplitude and phase. On a
    3 × 3 grid a sine of 2 pixels' length along an axis is 0 at every point: such a pair has one direction, and zeros.

    >>> bank = gabor_bank(3)
    >>> torch.linalg.matrix_norm(bank).square().round().int().unique(return_counts=True)  # rank 1 and rank 2
    (tensor([1, 2], dtype=torch.int32), tensor([ 4, 92]))
    """
    at = torch.arange(k, dtype=torch.float64, device="cpu") - (k - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    pairs = []
    for angle in (i * math.pi / 12 for i in range(12)):
        for wavelength in (k * 1.5 ** (1 - 2 * i / 3) for i in range(4)):
            for width in (0.3 * k, 0.6 * k):
                window = torch.exp(-(x**2 + y**2) / (2 * width**2))
                phase = 2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / wavelength
                pairs.append(torch.stack([window * phase.cos(), window * phase.sin()]).flatten(1))  # (2, k²)
    bank = torch.stack(pairs)  # (96, 2, k²)
    bank = bank - bank.mean(-1, keepdim=True)
    _, s, vh = torch.linalg.svd(bank, full_matrices=False)  # (96, 2), (96, 2, k²)
    return vh * (s > 1e-9 * s[:, :1])[..., None]  # a direction of mere rounding noise leaves


def gabor_fit(kernels: Tensor) -> Tensor:
    """R²: the share of each filter's variance that the best Gabor of :func:`gabor_bank` explains.

    max over the grid of ‖projection of the filter on the pair‖² / ‖filter‖², the filter's mean removed; for each
    grid point the two coefficients are least squares in closed form.

    Args:
        kernels: (N, k, k).

    Returns:
        (N,), 0 to 1, in float64; 0 for a constant filter.

    >>> edge, noise = torch.tensor([[-1.0, 0.0, 1.0]] * 3), torch.tensor([[1.0, -1, 1], [1, -1, -1], [-1, 1, 1]])
    >>> fit = gabor_fit(torch.stack([edge, noise]))
    >>> bool(fit[0] > 0.9 > 0.7 > fit[1])
    True
    """
    return explained(kernels, gabor_bank(kernels.shape[-1]))


def explained(kernels: Tensor, bank: Tensor) -> Tensor:
    """The share (N,) of each filter's variance that the best plane of a bank explains, in float64; 0 for a constant.

    Arguments: ``kernels`` (N, k, k); ``bank`` (B, 2, k²), an orthonormal basis of each plane, free of any mean.

    >>> explained(torch.tensor([[[-1.0, 0.0, 1.0]] * 3]), gabor_bank(3)) > 0.9
    tensor([True])
    """
    z = kernels.double().flatten(1)  # (N, k²)
    z = z - z.mean(1, keepdim=True)
    found = torch.einsum("bpk,nk->nbp", bank.to(z.device), z).square().sum(-1)  # (N, B)
    return found.max(1).values / z.square().sum(1).clamp(min=1e-30)


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

    >>> edge = torch.tensor([[-1.0, 0.0, 1.0]] * 3).expand(1, 3, 3, 3)
    >>> count, bar = count_edge_detectors(edge)
    >>> count, 0.5 < bar < 1
    (1, True)
    """
    return above_chance(lambda filters: gabor_fit(grey_kernels(filters)), weight, level, draws, seed)


def above_chance(
    score: Callable[[Tensor], Tensor], weight: Tensor, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[int, float]:
    """How many filters score above the ``level`` quantile over ``draws`` random Gaussian ones of their shape; that bar.

    Arguments: ``score`` of filters (N, C, k, k) → (N,). Raises ``UserError`` like :func:`grey_kernels`, and for a
    ``level`` outside 0..1.

    >>> above_chance(lambda filters: filters.flatten(1).norm(dim=1), torch.full((3, 1, 3, 3), 9.0))[0]
    3
    """
    if not 0 < level < 1:
        raise UserError(f"level = {level} is not a quantile: use a value between 0 and 1.")
    if weight.ndim != 4:
        grey_kernels(weight)  # says what is wrong
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(draws, *weight.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
    bar = float(score(noise).quantile(level))
    return int((score(weight) > bar).sum()), bar
