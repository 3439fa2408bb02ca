"""Adapters: a small bottleneck after a frozen layer.

    h ← h + up(GELU(down(h)))          down: d → bottleneck,  up: bottleneck → d,  up = 0 at the start

Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", 2019, arXiv:1902.00751.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.freezing import freeze
from transferlib.backbones.modules import (
    check_called,
    find_modules,
    heads_of,
    linear_kinds,
    matrix,
    replace_module,
)
from transferlib.errors import UserError
from transferlib.peft.around import Around

_KINDS = (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Conv2d, nn.BatchNorm2d)


class Adapter(Around):
    """A frozen layer followed by a residual bottleneck; exactly the layer at the start, because ``up`` is zero.

    Arguments: ``base`` gives (…, d) for Linear and LayerNorm, (N, d, H, W) for Conv2d and BatchNorm2d, whose every
    pixel is adapted alike; ``bottleneck`` the inner width. Adds 2 · d · bottleneck + bottleneck + d parameters.

    >>> adapter = Adapter(nn.Linear(6, 4), bottleneck=2)
    >>> x = torch.randn(3, 6)
    >>> torch.equal(adapter(x), adapter.base(x))
    True

    Raises:
        UserError: a bottleneck below 1 or above d.
    """

    def __init__(self, base: nn.Module, bottleneck: int, where: str = "this layer") -> None:
        super().__init__(base)
        self.is_map = isinstance(base, (nn.Conv2d, nn.BatchNorm2d))
        width = _width(base)
        if not 1 <= bottleneck <= width:
            raise UserError(f"bottleneck = {bottleneck} does not fit {where} of width {width}: use 1 to {width}.")
        like = next(base.parameters())
        kind = torch.promote_types(like.dtype, torch.float32)  # half precision would round the first steps away
        self.down = nn.Linear(width, bottleneck, device=like.device, dtype=kind)
        self.up = nn.Linear(bottleneck, width, device=like.device, dtype=kind)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.base(x)
        wide = h.movedim(1, -1) if self.is_map else h  # (N, d, H, W) → (N, H, W, d)
        change = self.up(F.gelu(self.down(wide.to(self.down.weight.dtype)))).to(h.dtype)
        return h + (change.movedim(-1, 1) if self.is_map else change)  # (N, H, W, d) → (N, d, H, W)


def add_adapters(
    model: nn.Module,
    bottleneck: int = 16,
    target: str | Iterable[str] = "output.dense",
    norms: bool = True,
    heads: str | Iterable[str] | None = None,
) -> nn.Module:
    """Freeze ``model`` and put an adapter behind every layer that ``target`` matches, in place.

    ``"output.dense"`` is the paper's place in BERT: behind the attention and behind the feed-forward part, before
    the residual sum. For timm: ``["attn.proj", "mlp.fc2"]`` in a vision transformer, ``"bn3"`` in an EfficientNet; for
    Llama ``["o_proj", "down_proj"]``; for PyTorch's own encoder layers ``"linear2"``.
    ``norms``: LayerNorm and RMSNorm weights stay trainable, as in the paper; BatchNorm stays frozen.
    ``heads``: patterns of modules that go on learning; default: the model's classification head; ``()`` freezes it.

    >>> net = add_adapters(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), bottleneck=1, target="0")
    >>> [name for name, p in net.named_parameters() if p.requires_grad]
    ['0.down.weight', '0.down.bias', '0.up.weight', '0.up.bias', '1.weight', '1.bias']

    Raises:
        UserError: a pattern that matches nothing, or twice; a bottleneck that does not fit; adapters already there; a
            layer inside of ``nn.MultiheadAttention``, which would never call the adapter.
    """
    if any(isinstance(module, Adapter) for module in model.modules()):
        raise UserError("This model has adapters already: build it again for another set.")
    names = find_modules(model, target, (*_KINDS, *linear_kinds()[1:]))
    check_called(model, names)
    new = {name: Adapter(model.get_submodule(name), bottleneck, name) for name in names}
    freeze(model, but=heads_of(model, heads))
    for name, adapter in new.items():
        adapter.base.requires_grad_(False)
        replace_module(model, name, adapter)
    for module in model.modules():
        if norms and _is_norm(module):
            module.requires_grad_(True)
    return model


def _is_norm(module: nn.Module) -> bool:
    """LayerNorm or RMSNorm, also under the names that timm and transformers give their own."""
    named = type(module).__name__.lower().endswith(("layernorm", "rmsnorm"))
    return isinstance(module, (nn.LayerNorm, nn.RMSNorm)) or (
        named and isinstance(getattr(module, "weight", 0), Tensor)
    )


def _width(layer: nn.Module) -> int:
    """Length of the axis that a layer's output features lie on."""
    if isinstance(layer, nn.LayerNorm):
        return layer.normalized_shape[-1]
    if isinstance(layer, (nn.Conv2d, *linear_kinds())):
        return matrix(layer).shape[0]
    return next(layer.parameters()).shape[-1]  # BatchNorm: channels; RMSNorm: the last axis
