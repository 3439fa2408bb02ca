"""Find and replace the modules of any network by name."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from transferlib.errors import UserError


def matches(name: str, pattern: str) -> bool:
    """Does the dotted ``name`` end with ``pattern``, part by part? ``*`` stands for anything within one part."""
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) >= len(wanted) and all(map(fnmatchcase, parts[len(parts) - len(wanted) :], wanted))


def find_modules(model: nn.Module, target: str | Iterable[str], kinds: tuple[type[nn.Module], ...]) -> list[str]:
    """Names of the modules of ``model`` that ``target`` points at and that are of one of ``kinds``.

    ``target``: one pattern or several. ``"q_proj"`` means every module with that last name; ``"layer.*.query"``
    reads the last three parts.

    Raises:
        UserError: no pattern; a pattern that matches nothing of these kinds; two that match the same module.
    """
    if not (patterns := [target] if isinstance(target, str) else list(target)):
        raise UserError("No target was given: name at least one pattern, such as 'query' or 'blocks.*.attn.qkv'.")
    modules = dict(model.named_modules())
    found: dict[str, str] = {}
    for pattern in patterns:
        named = [name for name in modules if name and matches(name, pattern)]
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


def _closest(pattern: str, modules: Mapping[str, nn.Module], kinds: tuple[type[nn.Module], ...]) -> list[str]:
    """One full name for each of the last names most like the last part of ``pattern``."""
    tails = {name.rsplit(".", 1)[-1]: name for name, module in modules.items() if name and isinstance(module, kinds)}
    close = get_close_matches(pattern.rsplit(".", 1)[-1], tails, n=3, cutoff=0.4) or list(tails)[:3]
    return [tails[tail] for tail in close]


def replace_module(model: nn.Module, name: str, new: nn.Module) -> None:
    """Put ``new`` where the module called ``name`` stands."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, new)


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters of ``model``; a weight shared by two layers counts once."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trainable in sizes if trainable), sum(n for n, _ in sizes)
