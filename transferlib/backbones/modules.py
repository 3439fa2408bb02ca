"""Find and replace the modules of any network by name."""

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import Tensor, nn

from transferlib.errors import UserError


def linear_kinds() -> tuple[type[nn.Module], ...]:
    """The classes of linear layers: ``nn.Linear``, and GPT-2's ``Conv1D`` once transformers is there to make one."""
    transformers = sys.modules.get("transformers.pytorch_utils")
    return (nn.Linear, transformers.Conv1D) if transformers else (nn.Linear,)


def is_transposed(layer: nn.Module) -> bool:
    """Whether the weight is stored as (d_in, d_out), the other way round than in ``nn.Linear``."""
    return isinstance(layer, linear_kinds()) and not isinstance(layer, nn.Linear)


def matrix(layer: nn.Module) -> Tensor:
    """The weight of a linear layer or a convolution as the map from inputs to outputs: (d_out, d_in).

    >>> matrix(nn.Conv2d(4, 6, 3, groups=2)).shape
    torch.Size([6, 18])
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.T if is_transposed(layer) else weight.flatten(1)  # (d_out, d_in / groups · kh · kw)


HEADS = ("head", "heads", "fc", "classifier", "score")  # what libraries call the part that a new task draws anew


def head_of(model: nn.Module) -> nn.Module | None:
    """The classification head of a whole ``model``, if it has one that computes scores.

    >>> head_of(nn.ModuleDict({"body": nn.Linear(3, 4), "fc": nn.Linear(4, 2)}))
    Linear(in_features=4, out_features=2, bias=True)
    """
    if isinstance(getattr(model, "backbone", None), nn.Module) and isinstance(
        head := getattr(model, "head", None), nn.Module
    ):
        return head
    for name, part in model.named_children():
        if name in HEADS and any(isinstance(module, (nn.Linear, nn.Conv2d)) for module in part.modules()):
            return part  # ConvNeXt without classes still has a head, in which there is only a norm
    return None


def heads_of(model: nn.Module, target: str | Iterable[str] | None = None) -> list[nn.Module]:
    """The modules that go on learning at full size while the rest is frozen: those named, or by default the head."""
    if target is None:
        return [] if (head := head_of(model)) is None else [head]
    return [model.get_submodule(name) for name in find_modules(model, target, (nn.Module,))] if target else []


def output_words(model: nn.Module) -> nn.Module | None:
    """The layer of a language model of transformers that scores the next word."""
    found = getattr(model, "get_output_embeddings", lambda: None)()
    return found if isinstance(found, nn.Module) else None


def matches(name: str, pattern: str) -> bool:
    """Does the dotted ``name`` end with ``pattern``, part by part? ``*`` stands for anything within one part.

    >>> matches("layer.0.attn.query", "attn.*"), matches("layer.0.attn.query", "uery")
    (True, False)
    """
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) >= len(wanted) and all(map(fnmatchcase, parts[len(parts) - len(wanted) :], wanted))


def find_modules(model: nn.Module, target: str | Iterable[str], kinds: tuple[type[nn.Module], ...]) -> list[str]:
    """Names of the modules of ``model`` that ``target`` points at and that are of one of ``kinds``.

    ``target``: one pattern or several. ``"q_proj"`` means every module with that last name; ``"layer.*.query"``
    reads the last three parts. ``"all-linear"`` means every linear layer but the head and the output words, as in peft.
    A module that stands in two places is listed once, under its first name.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2)))
    >>> find_modules(net, ["0"], (nn.Linear,)), find_modules(net, "2.*", (nn.Linear,))
    (['0', '2.0'], ['2.0'])

    Raises:
        UserError: no pattern; a pattern that matches nothing of these kinds; two that match the same module.
    """
    if not (patterns := [target] if isinstance(target, str) else list(target)):
        raise UserError("No target was given: name at least one pattern, such as 'query' or 'blocks.*.attn.qkv'.")
    if patterns == ["all-linear"]:
        return _all_linear(model, kinds)
    modules = dict(model.named_modules(remove_duplicate=False))
    first = {module: name for name, module in reversed(modules.items())}  # a module used twice has its first name
    found: dict[str, str] = {}
    for pattern in patterns:
        named = list(dict.fromkeys(first[m] for name, m in modules.items() if name and matches(name, pattern)))
        fit = [name for name in named if isinstance(modules[name], kinds)]
        if not fit:
            wanted = " or ".join(kind.__name__ for kind in kinds)
            if named:
                what = f"{named[0]} is a {type(modules[named[0]]).__name__}"
            else:
                what = f"the closest names are {', '.join(_closest(pattern, modules, kinds)) or 'none'}"
            raise UserError(f"The pattern {pattern!r} matches no {wanted} of this {type(model).__name__}: {what}.")
        for name in fit:
            if name in found:
                raise UserError(
                    f"The patterns {found[name]!r} and {pattern!r} both match the module {name!r}: keep one of them."
                )
            found[name] = pattern
    return list(found)


def _all_linear(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[str]:
    """Every linear layer outside of the heads; where a wrapper of ``kinds`` holds one as ``base``, the wrapper."""
    heads = [part for part in (head_of(model), output_words(model)) if part is not None]
    left = {module for part in heads for module in part.modules()}
    fit = {name: m for name, m in model.named_modules() if name and isinstance(m, kinds) and m not in left}
    return [name for name, m in fit.items() if isinstance(getattr(m, "base", m), linear_kinds())]


def _closest(pattern: str, modules: Mapping[str, nn.Module], kinds: tuple[type[nn.Module], ...]) -> list[str]:
    """One full name for each of the last names most like the last part of ``pattern``."""
    tails = {name.rsplit(".", 1)[-1]: name for name, module in modules.items() if name and isinstance(module, kinds)}
    close = get_close_matches(pattern.rsplit(".", 1)[-1], tails, n=3, cutoff=0.4) or list(tails)[:3]
    return [tails[tail] for tail in close]


def replace_module(model: nn.Module, name: str, new: nn.Module) -> None:
    """Put ``new`` where the module called ``name`` stands, in every place if the model uses it more than once.

    >>> net = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    >>> replace_module(net, "0", nn.GELU())
    >>> net[0]
    GELU(approximate='none')
    """
    old = model.get_submodule(name)
    places = [(parent, last) for parent in model.modules() for last, part in parent._modules.items() if part is old]
    for parent, last in places:  # collected first: ``new`` may hold the old module
        setattr(parent, last, new)


def only_read(model: nn.Module, name: str) -> bool:
    """Whether PyTorch's attention takes this layer's weight and leaves its ``forward`` alone."""
    return isinstance(model.get_submodule(name.rpartition(".")[0]), nn.MultiheadAttention)


def check_called(model: nn.Module, names: Iterable[str]) -> None:
    """Refuse a layer whose ``forward`` the model never calls: what is put there would not be seen."""
    if read := next((name for name in names if only_read(model, name)), None):
        raise UserError(f"{read} is read by nn.MultiheadAttention and never called: leave it out of the patterns.")


def called(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """A hook that does nothing: PyTorch's encoder layers call their parts one by one only where there is one."""


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters of ``model``; a weight shared by two layers counts once.

    >>> count_parameters(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1).requires_grad_(False)))
    (9, 13)
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trainable in sizes if trainable), sum(n for n, _ in sizes)
