"""A backbone by name and depth: ``efficientnet-lite0@blocks.4`` ends after that layer, ``…@`` gives all of them.

A probe may do better on an earlier layer than on the last one, which has specialised in what the network was made for.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.backbones.images import ImageBackbone
from transferlib.backbones.layer_features import EveryLayer
from transferlib.backbones.layers import layers
from transferlib.backbones.named import named_backbone
from transferlib.backbones.texts import TextBackbone
from transferlib.errors import UserError, nearest

WIDTH = 1280  # numbers of a layer at most: maps are averaged on as fine a grid as that allows


def at_depth(name: str, size: int, pretrained: bool = True) -> nn.Module:
    """The backbone ``name``, up to a layer after ``@``; with nothing after it, every layer side by side.

    ``size`` in pixels, or tokens. Pictures: a layer's maps (N, C, H, W) averaged on a g × g grid, (N, C·g²). Texts: the
    mean over the real tokens, scaled to length one. Raises ``UserError`` for a layer that there is not.

    >>> at_depth("small-cnn@blocks.1", 16, pretrained=False).out_features
    1024
    """
    plain, at, layer = name.partition("@")
    backbone = named_backbone(plain, pretrained, size, size)
    if not at:
        return backbone
    if not layer:
        return Layers(backbone, WIDTH)
    table = layers(backbone)
    known = [step.name for step in table]
    if layer not in known:
        raise UserError(f"{plain!r} has no layer {layer!r}: {nearest(layer, known)}")
    kept = known.index(layer) + 1
    if isinstance(backbone, TextBackbone):
        blocks = backbone.body.encoder.layer  # type: ignore[union-attr]
        backbone.body.encoder.layer = blocks[: kept - 1]  # type: ignore[union-attr, index]
        return backbone
    assert isinstance(backbone, ImageBackbone)
    steps = [nn.Sequential(*step.modules) for step in table[:kept]]
    mean, std = (tuple(float(v) for v in part.flatten()) for part in (backbone.mean, backbone.std))
    short = ImageBackbone(nn.Sequential(*steps), 0, size, mean, std).to(memory_format=torch.channels_last)
    with modes_kept(short), torch.no_grad():
        _, channels, height, _ = short.eval()(short.example(1)).shape
    grid = max(min(int((WIDTH / channels) ** 0.5), height), 1)
    short.body.extend([nn.AdaptiveAvgPool2d(grid), nn.Flatten()])  # type: ignore[operator]
    short.out_features = channels * grid**2
    return short


class Layers(EveryLayer):
    """Every layer of a backbone side by side, each as :func:`at_depth` gives it: (N, …) → (N, sum of ``sizes``)."""

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__(backbone, width)
        pad = getattr(getattr(backbone, "tokenizer", None), "pad_token_id", 0)
        self.pad = 0 if pad is None else pad
        self.tokenizer = getattr(backbone, "tokenizer", None)

    def pool(self, z: Tensor, x: Tensor) -> Tensor:
        pooled = super().pool(z, x)
        return F.normalize(pooled, dim=-1) if z.ndim == 3 else pooled


def layer_widths(name: str, size: int) -> dict[str, int]:
    """How many numbers each layer of a backbone gives, in the order in which ``name@`` puts them side by side."""
    inside = at_depth(f"{name}@", size)
    assert isinstance(inside, Layers)
    backbone = inside.backbone
    x = backbone.example(1) if isinstance(backbone, ImageBackbone) else inside.encode(["a word"])
    with modes_kept(inside), torch.no_grad():
        inside.eval()(x)
    return dict(zip(inside.names, inside.sizes, strict=True))
