"""LoRA: learn a low-rank correction of a frozen weight.

    W_new = W_pretrained + (alpha / rank) · B A        A (rank, d_in),  B (d_out, rank),  B = 0 at the start

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, arXiv:2106.09685.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from transferlib.backbones.freezing import freeze
from transferlib.backbones.modules import find_modules, replace_module
from transferlib.errors import UserError, nearest


class LoRA(nn.Module):
    """A linear layer or a 2-D convolution with low-rank corrections beside its frozen weight.

    A convolution's weight is read as a matrix, one row per output channel: d_in = (in_channels / groups) · kh · kw.
    So one formula covers every stride, dilation, padding mode and grouping, depthwise included. Several named
    corrections can live here; the active ones are added up. Arguments: ``base`` the layer; ``rank``, ``alpha`` and
    ``name`` of the first correction; ``where`` names the layer in errors.

    Raises:
        UserError: a rank below 1 or above min(d_in, d_out), a name that is taken.
    """

    original: nn.Parameter | None

    def __init__(
        self, base: nn.Linear | nn.Conv2d, rank: int, alpha: float, name: str = "default", where: str = "this layer"
    ) -> None:
        super().__init__()
        self.base = base
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        self.alpha: dict[str, float] = {}
        self.active: dict[str, float] = {}  # name → the factor before B A: share · alpha / rank
        self.register_parameter("original", None)  # the pre-trained weight, while another one stands in its place
        self.add(rank, alpha, name, where)
        base.requires_grad_(False)  # last: a rank that is refused freezes nothing

    def add(self, rank: int, alpha: float, name: str, where: str = "this layer") -> None:
        """Put one more correction here; it becomes the only active one."""
        check_fit(self, rank, name, where)
        weight = self.base.weight
        d_out, d_in = weight.shape[0], weight[0].numel()
        # U(±1/√d_in), as the authors' code and peft draw A; the paper's text says Gaussian.
        self.a[name] = nn.Parameter(nn.init.kaiming_uniform_(weight.new_empty(rank, d_in), a=5**0.5))
        self.b[name] = nn.Parameter(weight.new_zeros(d_out, rank))
        self.alpha[name] = float(alpha)
        self.activate({name: 1.0})

    def activate(self, shares: Mapping[str, float]) -> None:
        """Use these corrections, each times its share; only they are trainable. Names unknown here are skipped."""
        self.unmerge()
        self.active = {name: shares[name] * self.alpha[name] / len(a) for name, a in self.a.items() if name in shares}
        for name in self.a:
            self.a[name].requires_grad_(name in shares)
            self.b[name].requires_grad_(name in shares)

    @property
    def weight(self) -> Tensor:
        """W + Σ (alpha / rank) · B A in the layer's own shape: what code that reads ``layer.weight`` must see."""
        weight: Tensor = self.base.weight
        if self.original is None:
            for name, scale in self.active.items():
                weight = weight + scale * (self.b[name] @ self.a[name]).view_as(weight)  # (d_out, d_in) → own shape
        return weight

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        if self.original is not None or not self.active:
            return self.base(x)
        if isinstance(self.base, nn.Conv2d):  # the layer's own forward keeps its padding, dilation and groups right
            return functional_call(self.base, {"weight": self.weight}, (x,))
        y = self.base(x)
        flat, out = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])  # (…, d) → (N, d)
        for name, scale in self.active.items():
            out = torch.addmm(out, flat @ self.a[name].T, self.b[name].T, alpha=scale)  # (N, d_out)
        return out.view_as(y)

    def merge(self) -> None:
        """Fold the active corrections into the weight. The original is kept aside, not recomputed."""
        if self.original is None:
            kept, merged = self.base.weight, nn.Parameter(self.weight.detach(), requires_grad=False)
            assert isinstance(kept, nn.Parameter)
            self.original, self.base.weight = kept, merged

    def unmerge(self) -> None:
        """Put the original weight back, bit by bit."""
        if self.original is not None:
            self.base.weight = self.original
            self.original = None


def check_fit(layer: nn.Module, rank: int, name: str, where: str) -> None:
    """Refuse a rank that ``layer`` is too small for, and a name that is taken there."""
    base, taken = (layer.base, layer.a) if isinstance(layer, LoRA) else (layer, ())
    assert isinstance(base, (nn.Linear, nn.Conv2d))
    d_out, d_in = base.weight.shape[0], base.weight[0].numel()
    limit = min(d_in, d_out)
    if not 1 <= rank <= limit:
        raise UserError(f"rank = {rank} does not fit {where}, a {d_out} × {d_in} matrix: use 1 ≤ rank ≤ {limit}.")
    if name in taken or not name or "." in name:
        raise UserError(f"An adapter of {where} cannot be called {name!r}: use a new name without a dot.")


def lora_layers(model: nn.Module) -> dict[str, LoRA]:
    """The LoRA layers of ``model``, by the name of the layer each one wraps."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRA)}


def add_lora(
    model: nn.Module, rank: int = 8, alpha: float = 16, target: str | Iterable[str] = (), name: str = "default"
) -> nn.Module:
    """Freeze ``model`` and give every layer that ``target`` matches a trainable correction, in place.

    ``target``: name patterns of Linear or Conv2d layers, as in ``["q_proj", "v_proj"]`` or ``"blocks.*.attn.qkv"``.
    ``name``: a second call with another name puts a second adapter on the same frozen model, and switches to it.
    Adds Σ rank · (d_in + d_out) trainable parameters; the output does not change until the first step.

    Raises:
        UserError: a pattern that matches nothing, or twice; a rank that does not fit; a name that is taken.
    """
    names = find_modules(model, target, (LoRA, nn.Linear, nn.Conv2d))
    names = [n for n in names if not isinstance(model.get_submodule(n.rpartition(".")[0]), LoRA)]
    return wrap_lora(model, {n: (rank, alpha) for n in names}, name)


def wrap_lora(model: nn.Module, ranks: Mapping[str, tuple[int, float]], name: str) -> nn.Module:
    """Freeze ``model`` and add correction ``name`` to the layers in ``ranks`` (layer → rank, alpha)."""
    old = {layer: model.get_submodule(layer) for layer in ranks}
    for layer, module in old.items():  # all of them before the first is changed: a refused call leaves no trace
        check_fit(module, ranks[layer][0], name, layer)
    new = {n: LoRA(m, *ranks[n], name, n) for n, m in old.items() if isinstance(m, (nn.Linear, nn.Conv2d))}
    for layer, module in old.items():
        if isinstance(module, LoRA):
            module.add(*ranks[layer], name, layer)
    if not lora_layers(model):
        freeze(model)
    for layer, wrapper in new.items():
        replace_module(model, layer, wrapper)
    activate_lora(model, name)
    return model


def activate_lora(model: nn.Module, adapters: str | Mapping[str, float] | None) -> None:
    """Switch: one adapter by name, several as ``{"task-a": 0.5, "task-b": 0.5}``, or ``None`` for the plain model.

    Raises:
        UserError: no layer has an adapter of that name.
    """
    shares = {adapters: 1.0} if isinstance(adapters, str) else dict(adapters or {})
    known = {name for layer in lora_layers(model).values() for name in layer.a}
    for name in shares:
        if name not in known:
            raise UserError(f"This model has no adapter {name!r}: {nearest(name, known)}")
    for layer in lora_layers(model).values():
        layer.activate(shares)


def merge_lora(model: nn.Module) -> None:
    """Fold the active adapters into the weights: inference costs what the plain model costs."""
    for layer in lora_layers(model).values():
        layer.merge()


def unmerge_lora(model: nn.Module) -> None:
    """Give every merged layer its original weight back, bit by bit."""
    for layer in lora_layers(model).values():
        layer.unmerge()
