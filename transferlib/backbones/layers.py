"""The layers of a backbone, from input to output, whatever library it comes from."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn


class Layer(NamedTuple):
    """One step of depth: a ``name``, its ``modules``, and ``own`` parameters that belong to no submodule."""

    name: str
    modules: list[nn.Module]
    own: list[nn.Parameter]

    def parameters(self) -> Iterator[nn.Parameter]:
        yield from self.own
        for module in self.modules:
            yield from module.parameters()


def layers(backbone: nn.Module) -> list[Layer]:
    """Split a backbone by depth: stem, then every block of its lists of blocks, then what follows them.

    EfficientNet: stem, blocks.0 … blocks.6, top. BERT: embeddings, encoder.layer.0 … ViT: stem (patches,
    positions), blocks.0 …, norm. Every parameter is in exactly one layer.
    """
    body = backbone.body if isinstance(getattr(backbone, "body", None), nn.Module) else backbone
    assert isinstance(body, nn.Module)
    named: list[tuple[str, nn.Module, bool]] = []  # name, module, whether it is one of a list of blocks
    for name, child in body.named_children():
        if not child.state_dict():
            continue  # activations, pooling, identities
        path, blocks = name, child
        inner = dict(child.named_children())
        if len(inner) == 1 and not _is_list(child):  # BERT keeps its list one level down: encoder.layer
            path, blocks = f"{name}.{next(iter(inner))}", next(iter(inner.values()))
        if _is_list(blocks) and len(list(blocks.children())) > 1:
            named += [(f"{path}.{k}", block, True) for k, block in blocks.named_children() if block.state_dict()]
        else:
            named.append((name, child, False))
    block = [i for i, (_, _, is_block) in enumerate(named) if is_block] or list(range(len(named)))
    first, last = (block[0], block[-1]) if block else (0, -1)
    own = list(body.parameters(recurse=False))
    stem, top = named[:first], named[last + 1 :]
    out = [Layer(stem[0][0] if len(stem) == 1 and not own else "stem", [m for _, m, _ in stem], own)]
    out += [Layer(name, [module], []) for name, module, _ in named[first : last + 1]]
    out.append(Layer(top[0][0] if len(top) == 1 else "top", [m for _, m, _ in top], []))
    return [layer for layer in out if layer.modules or layer.own]


def _is_list(module: nn.Module) -> bool:
    return isinstance(module, (nn.Sequential, nn.ModuleList))
