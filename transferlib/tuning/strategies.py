"""Four ways to use a backbone: from scratch, linear probe, fine-tune, or fine-tune the last layers only.

Each returns a :class:`Classifier`, a plain module for ``transferlib.fit`` or any loop of yours. What differs
is where the weights come from and which of them may move; the learning rates are the optimiser's groups.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import freeze, hold_statistics, is_frozen, unfreeze
from transferlib.backbones.images import DEFAULT
from transferlib.backbones.layers import layers
from transferlib.backbones.named import named_backbone
from transferlib.errors import UserError
from transferlib.tuning.learning_rates import groups_table, layer_lrs, param_groups

__all__ = [
    "Classifier",
    "fine_tune",
    "freeze",
    "from_scratch",
    "groups_table",
    "hold_statistics",
    "is_frozen",
    "layer_lrs",
    "linear_probe",
    "param_groups",
    "partial_fine_tune",
    "unfreeze",
]


class Classifier(nn.Module):
    """logits = head(backbone(x)): raw data (N, …) → (N, num_classes).

    >>> Classifier(nn.Linear(3, 4), nn.Linear(4, 2))(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def encode(self, x: Any) -> Tensor:
        """Raw data to the tensor that ``forward`` eats: texts to ids, images unchanged."""
        return self.backbone.encode(x)  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


def from_scratch(
    num_classes: int, backbone: str | nn.Module = DEFAULT, *, size: int = 64, max_length: int = 32, seed: int = 0
) -> Classifier:
    """The same architecture with fresh random weights, drawn with ``seed``: the baseline for every head start.

    Arguments: ``num_classes`` ≥ 2; ``backbone`` a name, or a module, which is copied and re-initialised;
    ``size`` in pixels for images, ``max_length`` in tokens for texts.

    >>> from_scratch(3, "small-cnn", size=16)(torch.zeros(2, 3, 16, 16, dtype=torch.uint8)).shape
    torch.Size([2, 3])

    Raises:
        UserError: unknown name, fewer than two classes, a module with weights that cannot be re-drawn.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(backbone, nn.Module):
            fresh = copy.deepcopy(backbone)
            unfreeze(fresh)
            reset = [m for m in fresh.modules() if hasattr(m, "reset_parameters")]
            covered = {id(p) for m in reset for p in m.parameters(recurse=False)}
            if left := [name for name, p in fresh.named_parameters() if id(p) not in covered]:
                raise UserError(f"The weights {left[0]!r} cannot be re-drawn: pass the backbone by name instead.")
            for module in reset:
                module.reset_parameters()  # type: ignore[operator]
        else:
            fresh = named_backbone(backbone, False, size, max_length)
        return _with_head(fresh, num_classes, seed)


def fine_tune(
    num_classes: int,
    backbone: str | nn.Module = DEFAULT,
    *,
    live_batch_norm: bool = False,
    size: int = 64,
    max_length: int = 32,
    seed: int = 0,
) -> Classifier:
    """Pretrained backbone, new linear head, every weight may move: pair it with :func:`param_groups`.

    Arguments as for :func:`from_scratch`; a module is used as it is and not copied; ``seed`` draws the head.
    BatchNorm keeps its pretrained running statistics unless ``live_batch_norm``: see
    :func:`transferlib.backbones.freezing.hold_statistics` for why.

    >>> from transferlib.backbones.images import image_backbone
    >>> model = fine_tune(3, image_backbone("small-cnn", pretrained=False, size=16))
    >>> all(p.requires_grad for p in model.parameters()), model.head.out_features
    (True, 3)
    """
    whole = backbone if isinstance(backbone, nn.Module) else named_backbone(backbone, True, size, max_length)
    if not live_batch_norm:
        hold_statistics(whole)
    return _with_head(whole, num_classes, seed)


def linear_probe(
    num_classes: int, backbone: str | nn.Module = DEFAULT, *, size: int = 64, max_length: int = 32, seed: int = 0
) -> Classifier:
    """Pretrained backbone, frozen; only the new linear head learns. Arguments as for :func:`fine_tune`.

    >>> from transferlib.backbones.images import image_backbone
    >>> model = linear_probe(3, image_backbone("small-cnn", pretrained=False, size=16))
    >>> [name for name, p in model.named_parameters() if p.requires_grad]
    ['head.weight', 'head.bias']
    """
    model = fine_tune(num_classes, backbone, size=size, max_length=max_length, seed=seed)
    freeze(model.backbone)
    return model


def partial_fine_tune(
    num_classes: int,
    backbone: str | nn.Module = DEFAULT,
    *,
    train_last: int = 2,
    live_batch_norm: bool = False,
    size: int = 64,
    max_length: int = 32,
    seed: int = 0,
) -> Classifier:
    """Pretrained backbone whose last ``train_last`` layers may move, and a new head.

    Layers are those of :func:`transferlib.backbones.layers.layers`; 0 is a linear probe, all of them is fine-tuning.

    >>> from transferlib.backbones.images import image_backbone
    >>> model = partial_fine_tune(3, image_backbone("small-cnn", pretrained=False, size=16), train_last=1)
    >>> [is_frozen(block) for block in model.backbone.body.blocks]
    [True, True, False]

    Raises:
        UserError: as :func:`fine_tune`, and for ``train_last`` below 0 or above the number of layers.
    """
    model = fine_tune(
        num_classes, backbone, live_batch_norm=live_batch_norm, size=size, max_length=max_length, seed=seed
    )
    table = layers(model.backbone)
    if not 0 <= train_last <= len(table):
        names = ", ".join(layer.name for layer in table)
        raise UserError(f"train_last = {train_last} is not possible: the backbone has {len(table)} layers ({names}).")
    if train_last == 0:
        freeze(model.backbone)
    for layer in table[: len(table) - train_last]:
        for module in layer.modules:
            freeze(module)
        for parameter in layer.own:
            parameter.requires_grad_(False)
    return model


def _with_head(backbone: nn.Module, num_classes: int, seed: int) -> Classifier:
    if num_classes < 2:
        raise UserError(f"num_classes = {num_classes} is not a classification: use at least 2.")
    if not isinstance(width := getattr(backbone, "out_features", None), int):
        raise UserError(f"{type(backbone).__name__} has no integer .out_features: wrap it so that it says its width.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(backbone, nn.Linear(width, num_classes))
