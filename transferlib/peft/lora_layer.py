"""One layer with LoRA: a low-rank correction beside a frozen weight.

    W_new = W_pretrained + (alpha / rank) · B A        A (rank, d_in),  B (d_out, rank),  B = 0 at the start

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, arXiv:2106.09685.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from transferlib.backbones.modules import is_transposed, matrix
from transferlib.errors import UserError


class LoRA(nn.Module):
    """A linear layer or a 2-D convolution with low-rank corrections beside its frozen weight.

    A convolution's weight is read as a matrix, one row per output channel: d_in = (in_channels / groups) · kh · kw.
    So one formula covers every stride, dilation, padding mode and grouping, depthwise included. Several named
    corrections can live here; the active ones are added up. Beside a weight in half precision they are float32: there
    the first steps of Adam, a millionth of a weight, would be rounded away or to infinity.

    Arguments: ``base`` the layer; ``rank``, ``alpha`` and ``name`` of the first correction; ``where`` names the layer
    in errors; ``dropout`` the share of inputs that the correction does not see in training.

    >>> layer = LoRA(nn.Linear(6, 4), rank=2, alpha=4)
    >>> layer.a["default"].shape, layer.b["default"].shape, layer.active
    (torch.Size([2, 6]), torch.Size([4, 2]), {'default': 2.0})

    Raises:
        UserError: a rank below 1 or above min(d_in, d_out), a name that is taken, a quantised weight.
    """

    original: nn.Parameter | None

    def __init__(
        self,
        base: nn.Module,
        rank: int,
        alpha: float,
        name: str = "default",
        where: str = "this layer",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.base = base
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        self.alpha: dict[str, float] = {}
        self.dropout: dict[str, float] = {}
        self.active: dict[str, float] = {}  # name → the factor before B A: share · alpha / rank
        self.register_parameter("original", None)  # the pre-trained weight, while another one stands in its place
        self.add(rank, alpha, name, where, dropout)
        base.requires_grad_(False)  # last: a rank that is refused freezes nothing

    def add(self, rank: int, alpha: float, name: str, where: str = "this layer", dropout: float = 0.0) -> None:
        """Put one more correction here; it becomes the only active one."""
        check_fit(self, rank, name, where)
        weight = matrix(self.base)
        (d_out, d_in), kind = weight.shape, torch.promote_types(weight.dtype, torch.float32)
        # U(±1/√d_in), as the authors' code and peft draw A; the paper's text says Gaussian.
        self.a[name] = nn.Parameter(nn.init.kaiming_uniform_(weight.new_empty(rank, d_in, dtype=kind), a=5**0.5))
        self.b[name] = nn.Parameter(weight.new_zeros(d_out, rank, dtype=kind))
        self.alpha[name], self.dropout[name] = float(alpha), float(dropout)
        self.activate({name: 1.0})

    def activate(self, shares: Mapping[str, float]) -> None:
        """Use these corrections, each times its share; only they are trainable. Names unknown here are skipped."""
        self.unmerge()
        self.active = {name: shares[name] * self.alpha[name] / len(a) for name, a in self.a.items() if name in shares}
        for name, p in self.named_parameters():
            if not name.startswith("base."):
                p.requires_grad_(name.rpartition(".")[2] in shares)

    def factors(self, name: str) -> tuple[Tensor, Tensor]:
        """A (rank, d_in) and B (d_out, rank) of one correction."""
        return self.a[name], self.b[name]

    def own(self, name: str) -> dict[str, nn.Parameter]:
        """All tensors of one correction: ``{"a": …, "b": …}``."""
        parts = ((key, part) for key, part in self.named_children() if isinstance(part, nn.ParameterDict))
        return {key: part[name] for key, part in parts}

    @property
    def weight(self) -> Tensor:
        """W + Σ (alpha / rank) · B A in the layer's own shape: what code that reads ``layer.weight`` must see."""
        weight: Tensor = self.base.weight  # type: ignore[assignment]
        if self.original is None:
            for name, scale in self.active.items():
                a, b = self.factors(name)
                change = (b @ a).T if is_transposed(self.base) else (b @ a).view_as(weight)  # (d_out, d_in) → own shape
                weight = weight + scale * change
        return weight.to(self.base.weight.dtype)  # type: ignore[arg-type]

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        if self.original is not None or not self.active:
            return self.base(x)
        if isinstance(self.base, nn.Conv2d):
            return self._convolve(x)
        y = self.base(x)
        flat, out = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])  # (…, d) → (N, d)
        for name, scale in self.active.items():
            a, b = self.factors(name)
            inner = self._dropped(flat, name) @ a.T
            out = torch.addmm(out.to(b.dtype), inner, b.T, alpha=scale)  # (N, d_out)
        return out.view_as(y).to(y.dtype)

    def _convolve(self, x: Tensor) -> Tensor:
        weight = self.base.weight
        if weight.element_size() >= 4 and not any(self.dropout[name] for name in self.active):  # type: ignore[operator]
            # One convolution instead of two; its own forward keeps padding, dilation and groups right.
            return functional_call(self.base, {"weight": self.weight}, (x,))
        y = out = self.base(x)
        for name, scale in self.active.items():
            out = out + scale * self.change(x, name)
        return out.to(y.dtype)

    def change(self, x: Tensor, name: str) -> Tensor:
        """B A x: what one correction adds to the output, before its factor, in its own precision."""
        a, b = self.factors(name)
        x = self._dropped(x, name)
        if isinstance(self.base, nn.Conv2d):
            return self.base._conv_forward(x, (b @ a).view_as(self.base.weight), None)
        return x @ a.T @ b.T

    def _dropped(self, x: Tensor, name: str) -> Tensor:
        """What a correction sees: ``x`` in its precision; in training, without a share of it."""
        x, share = x.to(self.a[name].dtype), self.dropout[name]
        return F.dropout(x, share, self.training) if share else x

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

    def get_extra_state(self) -> Tensor:
        """Every alpha: without it the factors of a ``state_dict`` would mean another correction elsewhere."""
        return torch.tensor([self.alpha[name] for name in self.a], dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        for name, alpha in zip(self.a, state.tolist(), strict=True):
            if name in self.active:
                self.active[name] *= alpha / self.alpha[name]
            self.alpha[name] = alpha


def check_fit(layer: nn.Module, rank: int, name: str, where: str) -> None:
    """Refuse a rank that ``layer`` is too small for, a name that is taken there, a weight of whole numbers."""
    base, taken = (layer.base, layer.a) if isinstance(layer, LoRA) else (layer, ())
    weight = matrix(base)
    if not weight.is_floating_point():
        raise UserError(f"The weight of {where} is {weight.dtype}: a quantised layer takes no correction here.")
    limit = min(weight.shape)
    if not 1 <= rank <= limit:
        size = " × ".join(map(str, weight.shape))
        raise UserError(f"rank = {rank} does not fit {where}, a {size} matrix: use 1 ≤ rank ≤ {limit}.")
    if name in taken or not name or "." in name:
        raise UserError(f"An adapter of {where} cannot be called {name!r}: use a new name without a dot.")
