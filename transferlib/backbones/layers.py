"""The layers of a backbone, from input to output, whatever library it comes from."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn


class Layer(NamedTuple):
    """One step of depth: a ``name``, its ``modules``, and ``own`` parameters that belong to no submodule.

    >>> sum(p.numel() for p in Layer("stem", [nn.Linear(2, 3)], []).parameters())
    9
    """

    name: str
    modules: list[nn.Module]
    own: list[nn.Parameter]

    def parameters(self) -> Iterator[nn.Parameter]:
        yield from self.own
        for module in self.modules:
            yield from module.parameters()


def layers(backbone: nn.Module, without: nn.Module | None = None) -> list[Layer]:
    """Split a backbone by depth: stem, then every block of its lists of blocks, then what follows them.

    EfficientNet: stem, blocks.0 … blocks.6, top. BERT: embeddings, encoder.layer.0 … ViT: stem (patches,
    positions), blocks.0 …, norm. Every parameter is in at least one layer; only a weight that the model shares
    between two places is in both. ``without`` leaves one module out, such as the head of a whole model.

    >>> blocks = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    >>> [layer.name for layer in layers(nn.ModuleDict({"embed": nn.Linear(3, 4), "blocks": blocks}))]
    ['embed', 'blocks.0', 'blocks.1']
    """
    body = backbone.body if isinstance(getattr(backbone, "body", None), nn.Module) else backbone
    assert isinstance(body, nn.Module)
    steps, own = _steps(body, "", without)
    seen: set[int] = set()
    named = [step for step in steps if _adds(step[1], seen)]  # T5's decoder has the encoder's embedding again
    block = [i for i, (_, _, is_block) in enumerate(named) if is_block] or list(range(len(named)))
    first, last = (block[0], block[-1]) if block else (0, -1)
    stem, top = named[:first], named[last + 1 :]
    out = [Layer(stem[0][0] if len(stem) == 1 and not own else "stem", [m for _, m, _ in stem], own)]
    out += [Layer(name, [module], []) for name, module, _ in named[first : last + 1]]
    out.append(Layer(top[0][0] if len(top) == 1 else "top", [m for _, m, _ in top], []))
    return [layer for layer in out if layer.modules or layer.own]


Step = tuple[str, nn.Module, bool]  # name, module, whether it is one of a list of blocks


def _steps(body: nn.Module, prefix: str, without: nn.Module | None) -> tuple[list[Step], list[nn.Parameter]]:
    """The parts of ``body`` from input to output, lists of blocks opened; and parameters that belong to no part."""
    named: list[Step] = []
    closed: list[int] = []  # steps that may hide a list of blocks inside
    for name, child in body.named_children():
        if not child.state_dict() or child is without:
            continue  # activations, pooling, identities
        path, blocks = prefix + name, child
        inner = dict(child.named_children())
        if len(inner) == 1 and not _is_list(child):  # BERT keeps its list one level down: encoder.layer
            path, blocks = f"{path}.{next(iter(inner))}", next(iter(inner.values()))
        if _is_list(blocks) and len(list(blocks.children())) > 1:
            named += [(f"{path}.{k}", block, True) for k, block in blocks.named_children() if block.state_dict()]
        else:
            closed.append(len(named))
            named.append((prefix + name, child, False))
    own = list(body.parameters(recurse=False))
    if any(is_block for _, _, is_block in named):
        return named, own
    for at in reversed(closed):  # torchvision: encoder.layers; Llama: model.layers; T5: encoder.block and decoder.block
        name, child, _ = named[at]
        if 3 * _size(child) >= _size(body):
            inside, more = _steps(child, f"{name}.", without)
            if any(is_block for _, _, is_block in inside):
                named[at : at + 1] = inside
                own += more
    return named, own


def _adds(module: nn.Module, seen: set[int]) -> bool:
    """Whether ``module`` has a tensor that is not in ``seen`` yet; they are afterwards."""
    new = {id(tensor) for tensor in (*module.parameters(), *module.buffers())} - seen
    seen |= new
    return bool(new)


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _is_list(module: nn.Module) -> bool:
    return isinstance(module, (nn.Sequential, nn.ModuleList))
