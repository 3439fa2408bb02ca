"""Every layer on the same grid: layers compared by what they see, and not by how finely they are pooled."""

from collections.abc import Sequence

import joblib
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from transferlib.backbones.features import features
from transferlib.backbones.layer_features import EveryLayer
from transferlib.backbones.named import named_backbone
from transferlib.runs.cache import store
from transferlib.runs.provenance import digest, modules_key


class SameGrid(EveryLayer):
    """:class:`~transferlib.backbones.layer_features.EveryLayer` with each map averaged on grids of the same sizes.

    Arguments: ``backbone`` a network with feature maps; ``grids`` numbers of places a side, one after the other: 1 is
    the mean over the whole map. A map that is smaller than a grid is spread over it.

    >>> from transferlib.backbones.images import image_backbone
    >>> inside = SameGrid(image_backbone("small-cnn", pretrained=False, size=32), grids=(2,))
    >>> inside(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape, inside.sizes
    (torch.Size([1, 896]), [128, 256, 512])
    """

    def __init__(self, backbone: torch.nn.Module, grids: Sequence[int] = (1, 2)) -> None:
        super().__init__(backbone)
        self.grids = tuple(grids)

    def pool(self, z: Tensor, x: Tensor) -> Tensor:
        """One layer's output (N, C, H, W) → (N, C · Σ g²)."""
        if z.ndim != 4:
            return super().pool(z, x)
        return torch.cat([F.adaptive_avg_pool2d(z, g).flatten(1) for g in self.grids], 1)


def cached_grid_features(
    name: str, x: Tensor, *, size: int = 64, grids: Sequence[int] = (1, 2), pretrained: bool = True, seed: int = 0
) -> dict[int, dict[str, Tensor]]:
    """Grid → layer name → features (N, C·g²), computed once and then read from the cache folder.

    Arguments as for :func:`transferlib.backbones.features.cached_features`, for images; ``grids`` as for
    :class:`SameGrid`.

    >>> found = cached_grid_features("small-cnn", torch.zeros(2, 3, 32, 32, dtype=torch.uint8), pretrained=False)
    >>> [found[grid]["blocks.0"].shape[1] for grid in (1, 2)]
    [32, 128]
    """
    key = digest(joblib.hash(x.numpy()), modules_key(__name__))
    found = store("grid_features").cache(_compute, ignore=["x"])(key, name, x, size, tuple(grids), pretrained, seed)
    return {g: {layer: torch.from_numpy(value) for layer, value in layers.items()} for g, layers in found.items()}


def _compute(
    key: str, name: str, x: Tensor, size: int, grids: tuple[int, ...], pretrained: bool, seed: int
) -> dict[int, dict[str, NDArray[np.float32]]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inside = SameGrid(named_backbone(name, pretrained, size, 0), grids)
    together = features(inside, x)
    parts = dict(zip(inside.names, together.split(inside.sizes, dim=1), strict=True))
    squares = [g * g for g in grids]
    found: dict[int, dict[str, NDArray[np.float32]]] = {g: {} for g in grids}
    for layer, value in parts.items():
        channels = value.shape[1] // sum(squares)
        for g, part in zip(grids, value.split([channels * s for s in squares], dim=1), strict=True):
            found[g][layer] = part.contiguous().numpy()
    return found
