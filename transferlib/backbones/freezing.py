"""Frozen means frozen: parameters, BatchNorm statistics and dropout, whatever ``.train()`` says."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from torch import nn


def freeze(module: nn.Module) -> nn.Module:
    """Freeze for good: no gradients, and eval mode that ``.train()`` does not undo, in place.

    Without the second half BatchNorm goes on averaging the new data into its buffers and dropout goes on
    dropping, although no parameter moves. Printing the module shows ``Frozen…`` where it is frozen.
    """
    for part in module.modules():
        if not isinstance(part, _Frozen):
            part.__class__ = _frozen_class(type(part))  # type: ignore[arg-type]
        part.training = False
    module.requires_grad_(False)
    return module


def hold_statistics(module: nn.Module) -> nn.Module:
    """Keep every BatchNorm inside on its running statistics, in place, whatever ``.train()`` says.

    Its weight and bias, and everything else, may still learn. With few labels the statistics of a batch are
    noise, and running statistics that lag behind make training and testing two different networks.
    """
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and not isinstance(part, _Frozen):
            part.__class__ = _frozen_class(type(part))  # type: ignore[arg-type, assignment]
            part.training = False
    return module


def unfreeze(module: nn.Module) -> nn.Module:
    """Undo :func:`freeze` and :func:`hold_statistics`, in place: gradients flow, ``.train()`` works again."""
    for part in module.modules():
        if isinstance(part, _Frozen):
            part.__class__ = _thawed_class(part)  # type: ignore[assignment]
    module.requires_grad_(True)
    return module


def is_frozen(module: nn.Module) -> bool:
    """Whether :func:`freeze` holds for all of it: then its outputs depend on nothing that training changes."""
    return all(isinstance(m, _Frozen) for m in module.modules()) and not any(
        p.requires_grad for p in module.parameters()
    )


@contextmanager
def modes_kept(*models: nn.Module) -> Iterator[None]:
    """Give every module back its training flag when the block ends, also by an error.

    One by one, because ``model.train()`` afterwards would wake a part that was in eval mode on purpose.
    """
    modes = [(part, part.training) for model in models for part in model.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


class _Frozen(nn.Module):
    """Put in front of a module's own class by :func:`freeze`; survives deepcopy and pickle."""

    def train(self, mode: bool = True) -> "_Frozen":
        super().train(mode)  # modules added later, such as adapters, follow; frozen ones refuse for themselves
        self.training = False
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _new_frozen, (_thawed_class(self),), self.__dict__


@cache
def _frozen_class(base: type[nn.Module]) -> type[nn.Module]:
    return type(f"Frozen{base.__name__}", (_Frozen, base), {})


def _thawed_class(part: "_Frozen") -> type[nn.Module]:
    return type(part).__mro__[2]  # Frozen…, _Frozen, then the module's own class


def _new_frozen(base: type[nn.Module]) -> nn.Module:
    kind: type[nn.Module] = _frozen_class(base)  # type: ignore[arg-type]
    return kind.__new__(kind)
