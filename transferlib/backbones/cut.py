"""A backbone cut in two: the frozen front runs once over the data, only the back is trained.

Training steps go over the same pictures again and again. What the frozen layers make of them never changes,
so it is computed once: the same numbers as partial fine-tuning, in the time of the layers that move.
"""

from typing import cast

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import freeze, modes_kept
from transferlib.backbones.images import ImageBackbone
from transferlib.backbones.layers import layers
from transferlib.errors import UserError


def split(backbone: ImageBackbone, train_last: int) -> tuple[ImageBackbone, nn.Sequential]:
    """Cut a backbone before its last ``train_last`` layers: features = back(front(images)).

    The two share the backbone's modules; the front, preprocessing included, is frozen. Layers are those of
    :func:`transferlib.backbones.layers.layers`; 0 leaves the pooling to the back.

    Raises:
        UserError: ``train_last`` out of range, or a backbone whose layers are not run one after the other.
    """
    table = layers(backbone)
    if not 0 <= train_last <= len(table):
        raise UserError(f"train_last = {train_last} is not possible: the backbone has {len(table)} layers.")
    steps: list[nn.Module] = [nn.Sequential(*layer.modules) for layer in table]
    pooling = [module for module in backbone.body.children() if not module.state_dict()]
    cut = len(steps) - train_last
    mean, std = (tuple(float(v) for v in part.flatten()) for part in (backbone.mean, backbone.std))
    front = ImageBackbone(nn.Sequential(*steps[:cut]), backbone.out_features, backbone.size, mean, std)
    back = nn.Sequential(*steps[cut:], *pooling, nn.Flatten())
    _check_same(backbone, front, back)
    for module in steps[:cut]:
        freeze(module)
    return front, back


def activations(front: nn.Module, x: Tensor, batch_size: int = 64) -> Tensor:
    """What the front makes of the images: uint8 (N, C, H, W) → floats (N, channels, height, width)."""
    with torch.no_grad():  # not inference mode: the back has to differentiate through operations on these
        return torch.cat([front(part) for part in x.split(batch_size)])


def _check_same(backbone: ImageBackbone, front: ImageBackbone, back: nn.Sequential) -> None:
    """The cut network must compute what the whole one does: a skip across the cut, or another order, would not."""
    try:
        with modes_kept(backbone, front, back), torch.no_grad():
            x = backbone.example(2)
            parts = [part.eval() for part in (backbone, front, back)]
            whole, cut = parts[0](x), parts[2](cast(nn.Module, parts[1])(x))
        same = whole.shape == cut.shape and bool(torch.allclose(whole, cut, rtol=1e-4, atol=1e-5))
    except RuntimeError:
        same = False
    if not same:
        raise UserError(
            f"{type(backbone.body).__name__} does not run its layers one after the other: it cannot be cut."
        )
