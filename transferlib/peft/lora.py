"""LoRA in a whole model: put it in, switch, merge, take it off. One layer: :mod:`transferlib.peft.lora_layer`.

    W_new = W_pretrained + (alpha / rank) · B A        A (rank, d_in),  B (d_out, rank),  B = 0 at the start

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, arXiv:2106.09685.
"""

from collections.abc import Iterable, Mapping

from torch import nn

from transferlib.backbones.freezing import freeze
from transferlib.backbones.modules import check_called, find_modules, heads_of, linear_kinds, replace_module
from transferlib.errors import UserError, nearest
from transferlib.peft.lora_layer import LoRA, check_fit


def lora_layers(model: nn.Module) -> dict[str, LoRA]:
    """The LoRA layers of ``model``, by the name of the layer each one wraps.

    >>> list(lora_layers(add_lora(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)), 1, 2, "1")))
    ['1']
    """
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRA)}


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float = 16,
    target: str | Iterable[str] = (),
    name: str = "default",
    *,
    dropout: float = 0.0,
    rank_stabilised: bool = False,
    heads: str | Iterable[str] | None = None,
    kind: type[LoRA] = LoRA,
) -> nn.Module:
    """Freeze ``model`` and give every layer that ``target`` matches a trainable correction, in place.

    Adds Σ rank · (d_in + d_out) trainable parameters; the output does not change until the first step.

    >>> net = add_lora(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), rank=1, alpha=2, target=["0", "2"])
    >>> sum(p.numel() for p in net.parameters() if p.requires_grad)
    16
    >>> [name for name, _ in unload_lora(net).named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']

    Arguments:
        target: name patterns of linear or Conv2d layers, as in ``["q_proj", "v_proj"]`` or ``"blocks.*.attn.qkv"``;
            ``"all-linear"`` for every linear layer but the head.
        name: a second call with another name puts a second adapter on the same frozen model, and switches to it.
        dropout: the share of a correction's inputs that is zero in a step of training.
        rank_stabilised: the factor is alpha / √rank (Kalajdzievski, 2023, arXiv:2312.03732), so that a higher rank
            does not learn more slowly.
        heads: patterns of modules that go on learning at full rank and are saved with the adapter. Default: the
            model's classification head; ``()`` freezes it.
        kind: another form of the layer, of :mod:`transferlib.peft.variants`.

    Raises:
        UserError: a pattern that matches nothing, or twice; a rank that does not fit; a name that is taken; a second
            adapter beside a head that learns.
    """
    names = find_modules(model, target, (LoRA, nn.Linear, nn.Conv2d, *linear_kinds()[1:]))
    names = [n for n in names if not isinstance(model.get_submodule(n.rpartition(".")[0]), LoRA)]
    alpha = alpha * rank**0.5 if rank_stabilised else alpha
    if not lora_layers(model):
        return wrap_lora(model, {n: (rank, alpha) for n in names}, name, dropout, heads_of(model, heads), kind)
    learning = extras(model)
    if heads is None and learning:
        raise UserError(
            f"{next(iter(learning))!r} learned with the first adapter of this model, and {name!r} would change it: "
            "save the first one, then pass heads=() to go on with it frozen."
        )
    wrap_lora(model, {n: (rank, alpha) for n in names}, name, dropout, (), kind)
    for parameter in learning.values():
        parameter.requires_grad_(False)
    return model


def wrap_lora(
    model: nn.Module,
    ranks: Mapping[str, tuple[int, float]],
    name: str,
    dropout: float = 0.0,
    heads: Iterable[nn.Module] = (),
    kind: type[LoRA] = LoRA,
) -> nn.Module:
    """Freeze ``model`` but its ``heads`` and add correction ``name`` to the layers in ``ranks`` (rank, alpha)."""
    old = {layer: model.get_submodule(layer) for layer in ranks}
    for layer, module in old.items():  # all of them before the first is changed: a refused call leaves no trace
        check_fit(module, ranks[layer][0], name, layer)
        if isinstance(module, LoRA) and type(module) is not kind:
            raise UserError(f"{layer} has a {type(module).__name__} already: a {kind.__name__} cannot stand beside it.")
    if dropout:
        check_called(model, ranks)
    new = {n: kind(m, *ranks[n], name, n, dropout) for n, m in old.items() if not isinstance(m, LoRA)}
    for layer, module in old.items():
        if isinstance(module, LoRA):
            module.add(*ranks[layer], name, layer, dropout)
    if not lora_layers(model):
        freeze(model, but=heads)
    for layer, wrapper in new.items():
        replace_module(model, layer, wrapper)
    activate_lora(model, name)
    return model


def extras(model: nn.Module) -> dict[str, nn.Parameter]:
    """What learns outside of the corrections: a head, norms."""
    inner = {p for layer in lora_layers(model).values() for p in layer.parameters()}
    return {name: p for name, p in model.named_parameters() if p.requires_grad and p not in inner}


def activate_lora(model: nn.Module, adapters: str | Mapping[str, float] | None) -> None:
    """Switch: one adapter by name, several as ``{"task-a": 0.5, "task-b": 0.5}``, or ``None`` for the plain model.

    >>> net = add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0", name="a")
    >>> activate_lora(net, {"a": 0.5})
    >>> net[0].active  # 0.5 · alpha / rank
    {'a': 1.0}

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
    """Fold the active adapters into the weights: inference costs what the plain model costs.

    >>> net = add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0")
    >>> merge_lora(net)
    >>> net[0].original.shape
    torch.Size([2, 3])
    """
    for layer in lora_layers(model).values():
        layer.merge()


def unmerge_lora(model: nn.Module) -> None:
    """Give every merged layer its original weight back, bit by bit.

    >>> net = add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0")
    >>> merge_lora(net)
    >>> unmerge_lora(net)
    >>> net[0].original is None
    True
    """
    for layer in lora_layers(model).values():
        layer.unmerge()


def unload_lora(model: nn.Module) -> nn.Module:
    """Take LoRA off, in place: the plain model again, with its own layers and names, as ``save_pretrained`` wants it.

    After :func:`merge_lora` it has the merged weights, and the pretrained ones leave the memory; without it, it has
    the pretrained ones. It stays frozen: :func:`transferlib.backbones.freezing.unfreeze` lets it learn again.

    >>> net = add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0")
    >>> merge_lora(net)
    >>> unload_lora(net)
    Sequential(
      (0): Linear(in_features=3, out_features=2, bias=True)
    )

    Raises:
        UserError: a merged weight that the plain model shares with another layer, as a tied head does.
    """
    found = lora_layers(model)
    owners = [(n, m, p) for n, m in model.named_modules() for p in m._parameters.values() if p is not None]
    for name, layer in found.items():
        shared = [other for other, module, p in owners if p is layer.original and module is not layer]
        if shared:
            raise UserError(
                f"The merged weight of {name} would be lost, because the plain model shares one weight between it and "
                f"{shared[0]}: unmerge_lora first, or leave it out of target."
            )
    for name, layer in found.items():
        replace_module(model, name, layer.base)
    return model
