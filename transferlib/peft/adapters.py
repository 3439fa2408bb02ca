"""Adapters: a small bottleneck after a frozen layer. And two ways to adapt with fewer numbers still.

    h ← h + up(GELU(down(h)))          down: d → bottleneck,  up: bottleneck → d,  up = 0 at the start

Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", 2019, arXiv:1902.00751.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.freezing import freeze
from transferlib.backbones.modules import find_modules, replace_module
from transferlib.errors import UserError
from transferlib.peft.files import fingerprint, load_delta, save_delta

_KINDS = (nn.Linear, nn.LayerNorm, nn.Conv2d, nn.BatchNorm2d)


class Adapter(nn.Module):
    """A frozen layer followed by a residual bottleneck; exactly the layer at the start, because ``up`` is zero.

    Arguments: ``base`` gives (…, d) for Linear and LayerNorm, (N, d, H, W) for Conv2d and BatchNorm2d, whose every
    pixel is adapted alike; ``bottleneck`` the inner width. Adds 2 · d · bottleneck + bottleneck + d parameters.

    Raises:
        UserError: a bottleneck below 1 or above d.
    """

    def __init__(self, base: nn.Module, bottleneck: int, where: str = "this layer") -> None:
        super().__init__()
        self.base, self.is_map = base, isinstance(base, (nn.Conv2d, nn.BatchNorm2d))
        width = _width(base)
        if not 1 <= bottleneck <= width:
            raise UserError(f"bottleneck = {bottleneck} does not fit {where} of width {width}: use 1 to {width}.")
        like = next(base.parameters())
        self.down = nn.Linear(width, bottleneck, device=like.device, dtype=like.dtype)
        self.up = nn.Linear(bottleneck, width, device=like.device, dtype=like.dtype)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.base(x)
        wide = h.movedim(1, -1) if self.is_map else h  # (N, d, H, W) → (N, H, W, d)
        change = self.up(F.gelu(self.down(wide)))
        return h + (change.movedim(-1, 1) if self.is_map else change)  # (N, H, W, d) → (N, d, H, W)


class Scale(nn.Module):
    """(IA)³: a frozen linear layer whose input or output is multiplied, unit by unit, by factors (d,), 1 at first.

    Liu et al., "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", 2022,
    arXiv:2205.05638.
    """

    def __init__(self, base: nn.Linear, inputs: bool = False) -> None:
        super().__init__()
        self.base, self.inputs = base, inputs
        self.factor = nn.Parameter(base.weight.new_ones(base.in_features if inputs else base.out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x * self.factor) if self.inputs else self.base(x) * self.factor


def add_adapters(
    model: nn.Module, bottleneck: int = 16, target: str | Iterable[str] = "output.dense", norms: bool = True
) -> nn.Module:
    """Freeze ``model`` and put an adapter behind every layer that ``target`` matches, in place.

    ``"output.dense"`` is the paper's place in BERT: behind the attention and behind the feed-forward part, before
    the residual sum. For timm: ``["attn.proj", "mlp.fc2"]`` in a vision transformer, ``"bn3"`` in an EfficientNet.
    ``norms``: LayerNorm weights stay trainable, as in the paper; BatchNorm stays frozen.

    Raises:
        UserError: a pattern that matches nothing, or twice; a bottleneck that does not fit; adapters already there.
    """
    if any(isinstance(module, Adapter) for module in model.modules()):
        raise UserError("This model has adapters already: build it again for another set.")
    names = find_modules(model, target, _KINDS)
    new = {name: Adapter(model.get_submodule(name), bottleneck, name) for name in names}
    freeze(model)
    for name, adapter in new.items():
        replace_module(model, name, adapter)
    for module in model.modules():
        if norms and isinstance(module, nn.LayerNorm):
            module.requires_grad_(True)
    return model


def bitfit(model: nn.Module) -> nn.Module:
    """Freeze everything but the biases. Ben Zaken et al., "BitFit", 2022, arXiv:2106.10199.

    Raises:
        UserError: the model has no biases.
    """
    biases = [p for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"]
    if not biases:
        raise UserError(f"This {type(model).__name__} has no biases to train: use another method, such as LoRA.")
    freeze(model)
    for bias in biases:
        bias.requires_grad_(True)
    return model


def ia3(model: nn.Module, outputs: str | Iterable[str], inputs: str | Iterable[str]) -> nn.Module:
    """Freeze ``model`` and scale some activations, in place: see :class:`Scale`.

    The paper scales keys, values and the inner units of the feed-forward part. In BERT: ``outputs=["key", "value"]``,
    ``inputs="layer.*.output.dense"``; in Llama: ``["k_proj", "v_proj"]`` and ``"down_proj"``.

    Raises:
        UserError: a pattern that matches nothing, or twice.
    """
    places = {name: False for name in find_modules(model, outputs, (nn.Linear,))}
    for name in find_modules(model, inputs, (nn.Linear,)):
        if name in places:
            raise UserError(f"The layer {name!r} is matched by both outputs and inputs: keep one of them.")
        places[name] = True
    freeze(model)
    for name, at_input in places.items():
        base = model.get_submodule(name)
        assert isinstance(base, nn.Linear)
        replace_module(model, name, Scale(base, at_input))
    return model


def save_trainable(model: nn.Module, file: str | Path) -> int:
    """Write what may move, with the fingerprint of what may not, as safetensors. Returns the bytes written."""
    moving = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return save_delta(file, moving, fingerprint(_held(model, moving)))


def load_trainable(model: nn.Module, file: str | Path) -> None:
    """Read ``save_trainable``'s file into a model prepared in the same way.

    Raises:
        UserError: no such file, a damaged file, or one that was trained on another base model.
    """
    moving = {name: p for name, p in model.named_parameters() if p.requires_grad}
    tensors, _ = load_delta(file, fingerprint(_held(model, moving)))
    if {n: t.shape for n, t in tensors.items()} != {n: p.shape for n, p in moving.items()}:
        raise UserError(f"{str(file)!r} does not hold what this model trains: prepare the model in the same way first.")
    with torch.no_grad():
        for name, parameter in moving.items():
            parameter.copy_(tensors[name])


def _held(model: nn.Module, moving: Iterable[str]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if name not in set(moving)}


def _width(layer: nn.Module) -> int:
    """Length of the axis that a layer's output features lie on."""
    if isinstance(layer, nn.LayerNorm):
        return layer.normalized_shape[-1]
    return next(layer.parameters()).shape[0]  # Linear and Conv2d: out; BatchNorm: channels
