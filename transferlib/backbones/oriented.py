"""Edge detectors, told from round spots: filters that a wave in one direction explains and no circle does."""

import torch
from torch import Tensor

from transferlib.backbones.filters import gabor_fit, grey_kernels
from transferlib.errors import UserError


def round_fit(kernels: Tensor) -> Tensor:
    """R²: the share of each filter's variance that a round spot explains, that is, a function of the radius alone.

    The best such function takes the mean over all places of one radius.

    Arguments: ``kernels`` (N, k, k). Returns (N,), 0 to 1, in float64; 0 for a constant filter.

    >>> spot = torch.tensor([[0.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 0.0]])
    >>> edge = torch.tensor([[-1.0, 0.0, 1.0]] * 3)
    >>> round_fit(torch.stack([spot, edge])).tolist()
    [1.0, 0.0]
    """
    k = kernels.shape[-1]
    at = torch.arange(k, dtype=torch.float64, device=kernels.device) - (k - 1) / 2
    radius = (at[:, None] ** 2 + at**2).flatten()
    rings = torch.stack([(radius == r).double() for r in radius.unique()])  # (R, k²)
    z = kernels.double().flatten(1)
    z = z - z.mean(1, keepdim=True)
    explained = ((z @ rings.T).square() / rings.sum(1)).sum(1)  # (N,)
    return (explained / z.square().sum(1).clamp(min=1e-30)).clamp(max=1)


def orientation(weight: Tensor) -> Tensor:
    """How much better than a round spot a wave in the best direction explains each filter: Gabor R² minus round R².

    Arguments: ``weight`` of a convolution (N, C, k, k). Returns (N,), −1 to 1.

    >>> edge = torch.tensor([[-1.0, 0.0, 1.0]] * 3).expand(1, 1, 3, 3)
    >>> bool(orientation(edge) > 0.9)
    True
    """
    kernels = grey_kernels(weight)
    return gabor_fit(kernels) - round_fit(kernels)


def count_oriented(weight: Tensor, level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[int, float]:
    """How many filters are more oriented than random ones, and the bar: the ``level`` quantile over ``draws`` of these.

    Random filters of the same shape pass it with probability 1 − ``level``.

    >>> edge = torch.tensor([[-1.0, 0.0, 1.0]] * 3).expand(1, 1, 3, 3)
    >>> spot = torch.tensor([[0.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 0.0]]).expand(1, 1, 3, 3)
    >>> count_oriented(torch.cat([edge, spot]))[0]
    1

    Raises:
        UserError: ``level`` outside 0..1; see :func:`transferlib.backbones.filters.grey_kernels`.
    """
    if not 0 < level < 1:
        raise UserError(f"level = {level} is not a quantile: use a value between 0 and 1.")
    found = orientation(weight)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(draws, *weight.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
    bar = float(orientation(noise).quantile(level))
    return int((found > bar).sum()), bar
