"""(IA)³: multiply a few activations of a frozen model, unit by unit.

Liu et al., "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", 2022,
arXiv:2205.05638.
"""

from collections.abc import Iterable

import torch
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


class Scale(Around):
    """(IA)³: a frozen linear layer whose input or output is multiplied, unit by unit, by factors (d,), 1 at first.

    >>> Scale(nn.Linear(6, 4)).factor.shape, Scale(nn.Linear(6, 4), inputs=True).factor.shape
    (torch.Size([4]), torch.Size([6]))
    """

    def __init__(self, base: nn.Module, inputs: bool = False) -> None:
        super().__init__(base)
        self.inputs = inputs
        weight = matrix(base)
        kind = torch.promote_types(weight.dtype, torch.float32)
        self.factor = nn.Parameter(weight.new_ones(weight.shape[1 if inputs else 0], dtype=kind))

    def forward(self, x: Tensor) -> Tensor:
        if self.inputs:
            return self.base((x * self.factor).to(x.dtype))
        y = self.base(x)
        return (y * self.factor).to(y.dtype)


def ia3(model: nn.Module, outputs: str | Iterable[str], inputs: str | Iterable[str]) -> nn.Module:
    """Freeze ``model`` and scale some activations, in place: see :class:`Scale`.

    The paper scales keys, values and the inner units of the feed-forward part. In BERT: ``outputs=["key", "value"]``,
    ``inputs="layer.*.output.dense"``; in Llama: ``["k_proj", "v_proj"]`` and ``"down_proj"``.

    The model's classification head goes on learning.

    >>> net = ia3(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), outputs="0", inputs="1")
    >>> [(name, tuple(p.shape)) for name, p in net.named_parameters() if p.requires_grad]
    [('0.factor', (3,)), ('1.factor', (3,))]

    Raises:
        UserError: a pattern that matches nothing, or twice.
    """
    places = {name: False for name in find_modules(model, outputs, linear_kinds())}
    for name in find_modules(model, inputs, linear_kinds()):
        if name in places:
            raise UserError(f"The layer {name!r} is matched by both outputs and inputs: keep one of them.")
        places[name] = True
    check_called(model, places)
    freeze(model, but=heads_of(model))
    for name, at_input in places.items():
        replace_module(model, name, Scale(model.get_submodule(name), at_input).requires_grad_(False))
    for module in model.modules():
        if isinstance(module, Scale):
            module.factor.requires_grad_(True)
    return model
