"""What grew out of LoRA, each a few lines on top of it: DoRA, PiSSA, LoRA+, and several adapters in one batch.

``add_lora(model, 8, 16, "q_proj", kind=DoRA)`` and ``kind=PiSSA`` give another layer; the rest works on any of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transferlib.backbones.modules import is_transposed, matrix, only_read
from transferlib.errors import UserError, nearest
from transferlib.peft.lora import LoRA, lora_layers


class DoRA(LoRA):
    """The correction turns each row of the weight; its length is learned apart.

        W' = m · V / ‖V‖      V = W + (alpha / rank) · B A,  m (d_out,) and ‖V‖ one number a row,  m = ‖W‖ at the start

    ‖V‖ counts as a constant in the gradient, as the authors found to be cheaper and no worse.
    Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024, arXiv:2402.09353.

    >>> from transferlib.peft.lora import add_lora
    >>> net = add_lora(nn.Sequential(nn.Linear(6, 4)), 2, 4, "0", kind=DoRA)
    >>> {part: tuple(p.shape) for part, p in net[0].own("default").items()}
    {'a': (2, 6), 'b': (4, 2), 'magnitude': (4,)}
    """

    def add(self, rank: int, alpha: float, name: str, where: str = "this layer", dropout: float = 0.0) -> None:
        if not hasattr(self, "magnitude"):
            self.magnitude = nn.ParameterDict()
        super().add(rank, alpha, name, where, dropout)
        self.magnitude[name] = nn.Parameter(matrix(self.base).detach().to(self.a[name].dtype).norm(dim=1))

    def activate(self, shares: Any) -> None:
        if len([name for name in shares if name in self.a]) > 1:
            raise UserError("Corrections by DoRA cannot be added up, each has a length of its own: activate one.")
        super().activate(shares)

    def stretch(self) -> Tensor:
        """m / ‖V‖ (d_out,) of the active correction."""
        ((name, scale),) = self.active.items()
        a, b = self.factors(name)
        length = (matrix(self.base).to(a.dtype) + scale * (b @ a)).norm(dim=1)
        return self.magnitude[name] / length.detach()

    @property
    def weight(self) -> Tensor:
        weight = super().weight
        if self.original is not None or not self.active:
            return weight
        stretch = self.stretch()
        shape = (1, -1) if is_transposed(self.base) else (-1, *[1] * (weight.ndim - 1))
        return (weight * stretch.view(shape)).to(weight.dtype)  # (d_out,) → beside the weight's output axis

    def forward(self, x: Tensor) -> Tensor:
        if self.original is not None or not self.active:
            return self.base(x)
        ((name, scale),) = self.active.items()
        y, bias = self.base(x), 0 if self.bias is None else self.bias
        channels = (-1, 1, 1) if isinstance(self.base, nn.Conv2d) else (-1,)
        bias = bias.view(channels) if isinstance(bias, Tensor) else bias
        out = self.stretch().view(channels) * (y - bias + scale * self.change(x, name)) + bias
        return out.to(y.dtype)


class PiSSA(LoRA):
    """B A starts as the best approximation of W of its rank, and what is learned is the difference from that start.

        W' = W + (alpha / rank) · (B A − B₀ A₀)      (alpha / rank) · B₀ A₀ = U_r S_r V_rᵀ,  the largest singular values

    The gradients are those of the paper's form, in which W − B₀ A₀ is frozen; here W stays as it is, bit by bit, and
    the model's output changes at the start by rounding alone. Meng et al., 2024, arXiv:2404.02948.

    >>> from transferlib.peft.lora import add_lora
    >>> net = add_lora(nn.Sequential(nn.Linear(6, 4)), 2, 4, "0", kind=PiSSA)
    >>> largest = torch.linalg.svdvals(net[0].base.weight)[:2]
    >>> torch.allclose(torch.linalg.svdvals(2 * net[0].b["default"] @ net[0].a["default"])[:2], largest, atol=1e-5)
    True
    """

    def add(self, rank: int, alpha: float, name: str, where: str = "this layer", dropout: float = 0.0) -> None:
        if not hasattr(self, "a0"):
            self.a0, self.b0 = nn.ParameterDict(), nn.ParameterDict()
        super().add(rank, alpha, name, where, dropout)
        weight = matrix(self.base).detach().to(self.a[name].dtype)
        u, s, v = torch.linalg.svd(weight, full_matrices=False)
        root = (s[:rank] * rank / alpha).sqrt()
        self.a[name].data, self.b[name].data = root[:, None] * v[:rank], u[:, :rank] * root
        self.a0[name] = nn.Parameter(self.a[name].detach().clone(), requires_grad=False)
        self.b0[name] = nn.Parameter(self.b[name].detach().clone(), requires_grad=False)

    def activate(self, shares: Any) -> None:
        super().activate(shares)
        self.a0.requires_grad_(False)
        self.b0.requires_grad_(False)

    def factors(self, name: str) -> tuple[Tensor, Tensor]:
        """[A; A₀] (2 rank, d_in) and [B, −B₀] (d_out, 2 rank): a plain correction of twice the rank."""
        return torch.cat([self.a[name], self.a0[name]]), torch.cat([self.b[name], -self.b0[name]], dim=1)


KINDS: dict[str, type[LoRA]] = {kind.__name__: kind for kind in (LoRA, DoRA, PiSSA)}


def lora_plus(model: nn.Module, lr: float = 1e-4, ratio: float = 16) -> list[dict[str, Any]]:
    """LoRA+: optimiser groups in which B learns ``ratio`` times as fast as A; whatever else learns does so at ``lr``.

    With one rate for both, a very wide layer does not learn its features efficiently: Hayou et al., 2024,
    arXiv:2402.12354.

    >>> from transferlib.peft.lora import add_lora
    >>> groups = lora_plus(add_lora(nn.Sequential(nn.Linear(6, 4)), 2, 4, "0"), lr=1e-3, ratio=16)
    >>> [(group["name"], group["lr"]) for group in groups]
    [('A and the rest', 0.001), ('B', 0.016)]

    Raises:
        UserError: a model without LoRA.
    """
    layers = lora_layers(model).values()
    if not layers:
        raise UserError(f"This {type(model).__name__} has no LoRA: call add_lora first.")
    b = [p for layer in layers for p in layer.b.values() if p.requires_grad]
    rest = [p for p in model.parameters() if p.requires_grad and not any(p is other for other in b)]
    return [{"name": "A and the rest", "params": rest, "lr": lr}, {"name": "B", "params": b, "lr": lr * ratio}]


@contextmanager
def per_row(model: nn.Module, names: Sequence[str | None]) -> Iterator[None]:
    """In this block, row i of every batch goes through adapter ``names[i]``; None is the plain model. For inference.

    >>> from transferlib.peft.lora import add_lora
    >>> net = add_lora(add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0", name="a"), 1, 2, "0", name="b")
    >>> with per_row(net, ["a", None, "b"]):
    ...     net(torch.zeros(3, 3)).shape
    torch.Size([3, 2])

    Raises:
        UserError: an unknown name, another number of rows, a merged model, DoRA, or a layer that is read, not called.
    """
    layers = lora_layers(model)
    known = {name for layer in layers.values() for name in layer.a}
    for name in set(names) - {None} - known:
        raise UserError(f"This model has no adapter {name!r}: {nearest(str(name), known)}")
    for where, layer in layers.items():
        if layer.original is not None or isinstance(layer, DoRA) or only_read(model, where):
            raise UserError(
                f"{where} cannot mix adapters in one batch: unmerge it; DoRA and an attention's out_proj never can."
            )
    active = {layer: layer.active for layer in layers.values()}
    hooks = [layer.register_forward_hook(lambda layer, x, y: _mixed(layer, x[0], y, names)) for layer in active]
    try:
        for layer in active:
            layer.active = {}
        yield
    finally:
        for layer, hook in zip(active, hooks, strict=True):
            layer.active = active[layer]
            hook.remove()


def _mixed(layer: nn.Module, x: Tensor, y: Tensor, names: Sequence[str | None]) -> Tensor:
    """``y`` (rows, …) of the plain layer, with each row's own correction added."""
    assert isinstance(layer, LoRA)
    if len(x) != len(names):
        raise UserError(f"per_row was given {len(names)} names for a batch of {len(x)} rows: one name a row.")
    out = y.clone()
    for name in set(names) & set(layer.a):
        rows = torch.tensor([row for row, wanted in enumerate(names) if wanted == name], device=y.device)
        factor = layer.alpha[str(name)] / len(layer.a[str(name)])
        out[rows] += (factor * layer.change(x[rows], str(name))).to(y.dtype)
    return out
