"""Learning rates per part of a model, as plain optimiser groups.

Each group carries a real ``lr``, so every torch optimiser and scheduler obeys it, and a ``name`` to print.
"""

from typing import Any

from torch import nn

from transferlib.backbones.layers import Layer, layers
from transferlib.backbones.modules import head_of, output_words
from transferlib.errors import UserError

Group = dict[str, Any]  # "name", "params", "lr"


def param_groups(model: nn.Module, head_lr: float = 1e-3, backbone_lr: float = 1e-5) -> list[Group]:
    """Two optimiser groups: the new head learns fast, the pretrained backbone slowly. Frozen parts are left out.

    ``model`` has a ``.backbone`` and a ``.head``, as the strategies build it, or is a whole model of torchvision, timm
    or transformers with a classification head. A weight that both parts share counts as the backbone's.

    >>> model = nn.ModuleDict({"body": nn.Linear(3, 4), "fc": nn.Linear(4, 2)})
    >>> [(group["name"], group["lr"]) for group in param_groups(model, 1e-3, 1e-5)]
    [('head', 0.001), ('backbone', 1e-05)]

    Raises:
        UserError: no head to be seen, or nothing that can be trained.
    """
    head, table = _parts(model)
    owners = _owned([*(p for layer in table for p in layer.parameters())], [*head.parameters()])
    return _complete(
        [
            {"name": "head", "params": owners[1], "lr": head_lr},
            {"name": "backbone", "params": owners[0], "lr": backbone_lr},
        ]
    )


def layer_lrs(model: nn.Module, base_lr: float = 1e-3, decay: float = 0.7) -> list[Group]:
    """Layer-wise learning rates: lr of the k-th layer below the head = base_lr · decayᵏ, the head has k = 0.

    Every group carries a real ``lr``, so any optimiser and scheduler obeys it. Frozen layers get no group but
    count as a step. ``model`` as for :func:`param_groups`; a weight that two layers share, as a tied embedding and
    head do, takes the rate of the layer nearest to the input. Discriminative fine-tuning: Howard & Ruder, 2018.

    >>> model = nn.ModuleDict({"body": nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)), "fc": nn.Linear(4, 2)})
    >>> [(group["name"], group["lr"]) for group in layer_lrs(model, base_lr=0.1, decay=0.5)]
    [('head', 0.1), ('1', 0.05), ('0', 0.025)]

    Raises:
        UserError: ``decay`` outside (0, 1], no head or no layers to be seen, or nothing that can be trained.
    """
    if not 0 < decay <= 1:
        raise UserError(f"decay = {decay} is not a shrinking factor: use 0 < decay ≤ 1, such as 0.7.")
    head, table = _parts(model)
    owners = _owned(*([*layer.parameters()] for layer in table), [*head.parameters()])
    groups: list[Group] = [{"name": "head", "params": owners[-1], "lr": base_lr}]
    for k, (layer, params) in enumerate(zip(reversed(table), reversed(owners[:-1]), strict=True), start=1):
        groups.append({"name": layer.name, "params": params, "lr": base_lr * decay**k})
    return _complete(groups)


def groups_table(groups: list[Group]) -> str:
    """The groups as text, one line each: name, learning rate, number of parameters.

    >>> print(groups_table([{"name": "head", "params": [nn.Parameter(nn.Linear(3, 2).weight)], "lr": 1e-3}]))
    head  1.00e-03            6
    """
    width = max(len(g["name"]) for g in groups)
    return "\n".join(
        f"{g['name']:<{width}}  {g['lr']:8.2e}  {sum(p.numel() for p in g['params']):>11,}" for g in groups
    )


def _owned(*parts: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    """What each part may train; a parameter that stands in two of them is the first one's."""
    seen: set[int] = set()
    out = []
    for part in parts:
        new = {id(p): p for p in part if p.requires_grad and id(p) not in seen}
        seen |= set(new)
        out.append(list(new.values()))
    return out


def _complete(groups: list[Group]) -> list[Group]:
    """The groups that train something."""
    if not any(group["params"] for group in groups):
        raise UserError("Every parameter of the model is frozen: there is nothing to train.")
    return [group for group in groups if group["params"]]


def _parts(model: nn.Module) -> tuple[nn.Module, list[Layer]]:
    """The head of ``model``, and the layers of the rest from input to output."""
    kind, backbone, head = type(model).__name__, getattr(model, "backbone", None), getattr(model, "head", None)
    if isinstance(backbone, nn.Module) and isinstance(head, nn.Module):
        table = layers(backbone)
    else:
        head = head_of(model) or output_words(model)
        if head is None:
            raise UserError(f"{kind} has no .backbone and .head: build the model with transferlib's strategies.")
        backbone, table = model, layers(model, head)
    inner = [m for m in backbone.modules() if m not in {*head.modules()} and any(True for _ in m.parameters(False))]
    if len(table) == 1 and len(inner) > 1:
        raise UserError(
            f"The layers of this {kind} cannot be told apart, they all stand in {table[0].name!r}: write the "
            "optimiser's groups yourself."
        )
    listed = {id(p) for p in head.parameters()} | {id(p) for layer in table for p in layer.parameters()}
    if lost := [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in listed]:
        raise UserError(f"{lost[0]!r} is in neither backbone nor head of this {kind}: write its group yourself.")
    return head, table
