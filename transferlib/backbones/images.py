"""Image backbones: a timm network without its classifier, with its own preprocessing inside.

A backbone eats raw ``uint8`` images and returns features, so that training, probing and
serving can never disagree about resizing or normalisation.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.weights import MANIFEST, path
from transferlib.errors import UserError, nearest

DEFAULT = "efficientnet-lite0"
_PACKAGED = {f"efficientnet-lite{n}": f"tf_efficientnet_lite{n}" for n in range(3)}


class ImageBackbone(nn.Module):
    """features = body(normalise(resize(images))).

    Arguments: ``body`` maps (N, 3, size, size) floats to (N, out_features); ``size`` in pixels;
    ``mean`` and ``std`` per channel on the 0..1 scale.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, body: nn.Module, out_features: int, size: int, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.body, self.out_features, self.size = body, out_features, size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def encode(self, x: Tensor) -> Tensor:
        """Raw data to the tensor that ``forward`` eats; images already are that tensor."""
        return x

    def example(self, count: int) -> Tensor:
        """``count`` images that are the same on every call, to compare networks on: uint8 (count, 3, size, size)."""
        shape = (count, 3, self.size, self.size)
        return torch.arange(math.prod(shape)).remainder(251).to(torch.uint8).reshape(shape)

    def forward(self, x: Tensor) -> Tensor:
        """uint8 (N, 1 or 3, H, W) in 0..255 → features (N, out_features)."""
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise UserError(f"Images come as (N, 1 or 3, H, W): got shape {tuple(x.shape)}.")
        x = x.to(self.mean.dtype) / 255
        x = x.expand(-1, 3, -1, -1)  # grey → (N, 3, H, W)
        if x.shape[-2:] != (self.size, self.size):
            shrinking = min(x.shape[-2:]) > self.size
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=shrinking)  # (N, 3, size, size)
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.body(x)


class SmallCNN(nn.Module):
    """Three 3×3 convolutions with batch normalisation: a network that suits small pictures."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        blocks = [
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))
            for i, o in ((3, width), (width, 2 * width), (2 * width, 4 * width))
        ]
        self.blocks, self.pool, self.num_features = nn.Sequential(*blocks), nn.AdaptiveAvgPool2d(2), 16 * width

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.blocks(x)).flatten(1)  # (N, 4·width, 2, 2) → (N, 16·width)


def image_backbone(name: str = DEFAULT, pretrained: bool = True, size: int = 64) -> ImageBackbone:
    """Build an image backbone by name.

    ``name``: a packaged model (``efficientnet-lite0``, ``-lite1``, ``-lite2``: real ImageNet weights, no model
    hub needed), ``small-cnn`` (no pretrained weights exist), or any timm name (weights from the hub).
    ``size``: side of the square the images are resized to, in pixels.

    Raises ``UserError`` for an unknown name (the nearest are suggested) and for weights that cannot be had.
    """
    if name == "small-cnn":
        if pretrained:
            raise UserError("'small-cnn' has no pretrained weights: pass pretrained=False or use 'efficientnet-lite0'.")
        cnn = SmallCNN()
        return ImageBackbone(cnn, cnn.num_features, size, (0.5,) * 3, (0.5,) * 3).to(memory_format=torch.channels_last)
    import timm  # slow to import, needed only here

    timm_name = _PACKAGED.get(name, name)
    if not is_image_name(name):
        known = [n for n, entry in MANIFEST.items() if entry["kind"] != "language"]
        raise UserError(f"Unknown backbone {name!r}: {nearest(name, [*known, 'small-cnn', *timm.list_models()])}")
    try:
        is_fixed = getattr(timm.get_pretrained_cfg(timm_name), "fixed_input_size", False)  # ViTs and the like
        fixed: dict[str, Any] = {"img_size": size} if is_fixed else {}
        body: Any = timm.create_model(
            timm_name, pretrained=pretrained and name not in _PACKAGED, num_classes=0, **fixed
        )
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The weights of {name!r} are not packaged and the model hub did not answer ({type(error).__name__}): "
            f"use one of {', '.join(_PACKAGED)} or connect to the network once."
        ) from error
    if pretrained and name in _PACKAGED:
        body.load_state_dict(packaged_state_dict(name, timm_name))
    for module in body.modules():
        # TensorFlow ports carry 0.01: a hundred steps later the running statistics still are the old ones.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.1
    config = body.pretrained_cfg
    width = getattr(body, "head_hidden_size", body.num_features)  # MobileNetV3 has a layer after its features
    backbone = ImageBackbone(body, width, size, tuple(config["mean"]), tuple(config["std"]))
    return backbone.to(memory_format=torch.channels_last)


def is_image_name(name: str) -> bool:
    """Whether :func:`image_backbone` knows ``name``: packaged, "small-cnn", or an architecture of timm's.

    >>> is_image_name("efficientnet-lite0"), is_image_name("resnet18"), is_image_name("holiday")
    (True, True, False)
    """
    import timm

    return name == "small-cnn" or _PACKAGED.get(name, name).split(".")[0] in timm.list_models()


def packaged_state_dict(name: str, timm_name: str, head: bool = False) -> dict[str, Tensor]:
    """The packaged checkpoint under timm's names; its tensors stand in timm's order, shapes are checked.

    ``head=True`` keeps the 1,000-class ImageNet classifier. Raises ``UserError`` when the order does not match.
    """
    import timm

    source = list(torch.load(path(name), map_location="cpu", weights_only=True).values())
    target = timm.create_model(timm_name).state_dict()
    if [t.shape for t in source] != [t.shape for t in target.values()]:
        raise UserError(
            f"The packaged file of {name!r} does not fit timm's {timm_name!r}: use the pinned timm version."
        )
    named = dict(zip(target, source, strict=True))
    return named if head else {k: v for k, v in named.items() if not k.startswith("classifier.")}
