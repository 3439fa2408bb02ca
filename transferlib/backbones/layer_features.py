"""Looking inside: the features of a backbone after every layer, and a network cut at a depth of your choice."""

from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from transferlib.backbones.features import features
from transferlib.backbones.freezing import freeze
from transferlib.backbones.layers import layers
from transferlib.backbones.named import named_backbone
from transferlib.errors import UserError
from transferlib.runs.cache import store
from transferlib.runs.provenance import digest, modules_key


class EveryLayer(nn.Module):
    """What a backbone says after each of its :func:`transferlib.backbones.layers.layers`, pooled and side by side.

    Feature maps (N, C, H, W) are averaged on a g × g grid, with the largest g for which C·g² ≤ ``width`` and
    g ≤ H, and g = 1 at least; the default ``width`` of 0 is the plain mean over positions. Token vectors (N, L, D)
    are averaged over the real tokens.

    Arguments: ``backbone`` a network with feature maps or token vectors; ``width`` features a layer at most.

    Raises:
        UserError: a layer whose output is neither.
    """

    def __init__(self, backbone: nn.Module, width: int = 0) -> None:
        super().__init__()
        self.backbone, self.width, self.pad = backbone, width, 0
        self.names = [layer.name for layer in layers(backbone)]
        self.sizes: list[int] = []

    def encode(self, x: Any) -> Tensor:
        """Texts to token ids; images unchanged."""
        return self.backbone.encode(x)  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) or token ids (N, L) → (N, sum of ``sizes``); ``sizes`` lists each layer's width."""
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Any:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                seen[name] = self.pool(output[0] if isinstance(output, tuple) else output, x)

            return hook

        table = [layer for layer in layers(self.backbone) if layer.modules]
        hooks = [layer.modules[-1].register_forward_hook(keep(layer.name)) for layer in table]
        try:
            self.backbone(x)
        finally:
            for hook in hooks:
                hook.remove()
        self.sizes = [seen[name].shape[1] for name in self.names]
        return torch.cat([seen[name] for name in self.names], dim=1)

    def pool(self, z: Tensor, x: Tensor) -> Tensor:
        """One layer's output → (N, D)."""
        if z.ndim == 4:
            grid = min(int((max(self.width, 1) / z.shape[1]) ** 0.5), z.shape[2])
            return F.adaptive_avg_pool2d(z, max(grid, 1)).flatten(1)  # (N, C, g, g) → (N, C·g²)
        if z.ndim == 3 and x.ndim == 2:
            real = x[:, : z.shape[1]].ne(self.pad).unsqueeze(-1).to(z.dtype)  # (N, L, 1)
            return (z * real).sum(1) / real.sum(1)
        raise UserError(f"A layer returned shape {tuple(z.shape)}: only feature maps and token vectors can be pooled.")


def layer_features(
    backbone: nn.Module, x: Tensor | Sequence[str], width: int = 0, batch_size: int = 64, device: str = "cpu"
) -> dict[str, Tensor]:
    """Layer name → features (N, D) after it, from first to last. Arguments: :class:`EveryLayer`.

    Raises:
        UserError: as :func:`transferlib.backbones.features.features`.
    """
    inside = EveryLayer(backbone, width)
    pad = getattr(getattr(backbone, "tokenizer", None), "pad_token_id", 0)
    inside.pad = 0 if pad is None else pad
    together = features(inside, x, batch_size, device)
    return dict(zip(inside.names, together.split(inside.sizes, dim=1), strict=True))


def cached_layer_features(
    name: str, x: Tensor | Sequence[str], *, size: int = 64, max_length: int = 32, width: int = 0,
    pretrained: bool = True, seed: int = 0,
) -> dict[str, Tensor]:  # fmt: skip
    """:func:`layer_features` of a backbone given by name, computed once and then read from the cache folder.

    Arguments as for :func:`transferlib.backbones.features.cached_features`; ``width`` as for :class:`EveryLayer`.
    """
    plain = x if isinstance(x, Tensor) else list(x)
    key = digest(
        joblib.hash(plain.numpy() if isinstance(plain, Tensor) else plain),
        modules_key("transferlib.backbones.layer_features"),
    )
    compute = store("layer_features").cache(_compute, ignore=["x"])
    found = compute(key, name, plain, size, max_length, width, pretrained, seed)
    return {layer: torch.from_numpy(value) for layer, value in found.items()}


def _compute(
    key: str, name: str, x: Tensor | list[str], size: int, max_length: int, width: int, pretrained: bool, seed: int
) -> dict[str, NDArray[np.float32]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = named_backbone(name, pretrained, size, max_length)
    return {layer: value.numpy() for layer, value in layer_features(backbone, x, width).items()}


def graft(fresh: nn.Module, pretrained: nn.Module, keep: int) -> nn.Module:
    """Give ``fresh`` the first ``keep`` layers of ``pretrained``, frozen; its other layers stay as they were drawn.

    The experiment of Yosinski et al. 2014, "How transferable are features in deep neural networks?", with a frozen
    start. Both networks have the same architecture; ``fresh`` is changed and returned.

    Raises:
        UserError: ``keep`` outside 0 … the number of layers, or networks with different layers.
    """
    new, old = layers(fresh), layers(pretrained)
    if not 0 <= keep <= len(new):
        raise UserError(f"keep = {keep} is not possible: the backbone has {len(new)} layers, so use 0 to {len(new)}.")
    if [layer.name for layer in new] != [layer.name for layer in old]:
        raise UserError("The two networks have different layers: build both with the same backbone name.")
    for mine, theirs in zip(new[:keep], old[:keep], strict=True):
        for module, source in zip(mine.modules, theirs.modules, strict=True):
            module.load_state_dict(source.state_dict())
            freeze(module)
        for parameter, value in zip(mine.own, theirs.own, strict=True):
            parameter.data.copy_(value.data)
            parameter.requires_grad_(False)
    return fresh
