"""Learning rates per part of a model, as plain optimiser groups.

Each group carries a real ``lr``, so every torch optimiser and scheduler obeys it, and a ``name`` to print.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

from transferlib.backbones.layers import layers
from transferlib.errors import UserError

Group = dict[str, Any]  # "name", "params", "lr"


def param_groups(model: nn.Module, head_lr: float = 1e-3, backbone_lr: float = 1e-5) -> list[Group]:
    """Two optimiser groups: the new head learns fast, the pretrained backbone slowly. Frozen parts are left out.

    ``torch.optim.AdamW(param_groups(model, 1e-3, 1e-5))``. Raises ``UserError`` when nothing can be trained.
    """
    backbone, head = _parts(model)
    groups = [
        {"name": "head", "params": [p for p in head.parameters() if p.requires_grad], "lr": head_lr},
        {"name": "backbone", "params": [p for p in backbone.parameters() if p.requires_grad], "lr": backbone_lr},
    ]
    return _complete(model, groups)


def layer_lrs(model: nn.Module, base_lr: float = 1e-3, decay: float = 0.7) -> list[Group]:
    """Layer-wise learning rates: lr of the k-th layer below the head = base_lr · decayᵏ, the head has k = 0.

    Every group carries a real ``lr``, so any optimiser and scheduler obeys it. Frozen layers get no group but
    count as a step. Discriminative fine-tuning: Howard & Ruder, 2018.

    Raises:
        UserError: ``decay`` outside (0, 1], or nothing that can be trained.
    """
    if not 0 < decay <= 1:
        raise UserError(f"decay = {decay} is not a shrinking factor: use 0 < decay ≤ 1, such as 0.7.")
    backbone, head = _parts(model)
    groups: list[Group] = [{"name": "head", "params": [p for p in head.parameters() if p.requires_grad], "lr": base_lr}]
    for k, layer in enumerate(reversed(layers(backbone)), start=1):
        params = [p for p in layer.parameters() if p.requires_grad]
        groups.append({"name": layer.name, "params": params, "lr": base_lr * decay**k})
    return _complete(model, groups)


def groups_table(groups: list[Group]) -> str:
    """The groups as text, one line each: name, learning rate, number of parameters."""
    width = max(len(g["name"]) for g in groups)
    return "\n".join(
        f"{g['name']:<{width}}  {g['lr']:8.2e}  {sum(p.numel() for p in g['params']):>11,}" for g in groups
    )


def _complete(model: nn.Module, groups: list[Group]) -> list[Group]:
    """The groups that train something, after checking that every trainable parameter is in exactly one."""
    listed = [id(p) for g in groups for p in g["params"]]
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    if not trainable:
        raise UserError("Every parameter of the model is frozen: there is nothing to train.")
    assert sorted(listed) == sorted(trainable), "each trainable parameter belongs in exactly one group"
    return [g for g in groups if g["params"]]


def _parts(model: nn.Module) -> Iterator[nn.Module]:
    for name in ("backbone", "head"):
        if not isinstance(part := getattr(model, name, None), nn.Module):
            raise UserError(f"{type(model).__name__} has no .{name}: build the model with transferlib's strategies.")
        yield part
