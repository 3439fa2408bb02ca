"""Frozen means frozen: parameters, BatchNorm statistics and dropout, whatever ``.train()`` says."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

BatchNorm = nn.modules.batchnorm._BatchNorm
MARK = "_frozen_mode"  # in a held module's ``__dict__``: the function that says whether it may follow ``.train()``


def freeze(module: nn.Module, but: Iterable[nn.Module] = ()) -> nn.Module:
    """Freeze for good: no gradients, and eval mode that ``.train()`` does not undo, in place.

    ``but``: modules inside, such as a new head, that stay as they are.

    Without the second half BatchNorm goes on averaging the new data into its buffers and dropout goes on
    dropping, although no parameter moves. Classes and names stay as they are; a copy and a pickle are frozen, too,
    because a frozen module carries a mark that ``train`` obeys.
    Blocks of transformers that can checkpoint their activations look at ``.training`` to decide it, so theirs alone
    still follows ``.train()``; one that drops units by itself, as BART's, stays in eval mode and does not checkpoint.

    >>> net = freeze(nn.Sequential(nn.Linear(2, 2), nn.Dropout())).train()
    >>> is_frozen(net), net[1].training, type(net).__name__
    (True, False, 'Sequential')
    """
    left = {part for spared in but for part in spared.modules()}
    learning = {p for spared in but for p in spared.parameters() if p.requires_grad}
    for part in module.modules():
        if part not in left:
            _hold(part)
    module.requires_grad_(False)
    for parameter in learning:
        parameter.requires_grad_(True)
    return module


def hold_statistics(module: nn.Module) -> nn.Module:
    """Keep every BatchNorm inside on its running statistics, in place, whatever ``.train()`` says.

    Its weight and bias, and everything else, may still learn. With few labels the statistics of a batch are
    noise, and running statistics that lag behind make training and testing two different networks.

    >>> net = hold_statistics(nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())).train()
    >>> net[0].training, net[1].training, net[0].weight.requires_grad
    (False, True, True)
    """
    for part in module.modules():
        if isinstance(part, BatchNorm):
            _hold(part)
    return module


def unfreeze(module: nn.Module) -> nn.Module:
    """Undo :func:`freeze` and :func:`hold_statistics`, in place: gradients flow, ``.train()`` works again.

    >>> net = unfreeze(freeze(nn.Sequential(nn.Dropout()))).train()
    >>> net[0].training
    True
    """
    for part in module.modules():
        if is_held(part):
            del vars(part)[MARK]
    module.requires_grad_(True)
    return module


def is_held(part: nn.Module) -> bool:
    """Whether this one module, without its children, stays in eval mode whatever ``.train()`` says.

    >>> is_held(nn.BatchNorm1d(2)), is_held(hold_statistics(nn.BatchNorm1d(2)))
    (False, True)
    """
    return MARK in vars(part)


def is_frozen(module: nn.Module) -> bool:
    """Whether :func:`freeze` holds for all of it: then its outputs depend on nothing that training changes.

    >>> is_frozen(nn.Linear(2, 2)), is_frozen(freeze(nn.Linear(2, 2)))
    (False, True)
    """
    return all(map(is_held, module.modules())) and not any(p.requires_grad for p in module.parameters())


def moving(model: nn.Module) -> dict[str, Tensor]:
    """Everything that training changes, by name: parameters with gradients, running statistics that are not held.

    >>> list(moving(nn.BatchNorm1d(2)))
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    >>> list(moving(hold_statistics(nn.BatchNorm1d(2))))
    ['weight', 'bias']
    """
    live = [n for n, m in model.named_modules() if isinstance(m, BatchNorm) and not is_held(m)]
    owned = {name: buffer for name, buffer in model.named_buffers() if name.rpartition(".")[0] in live}
    return {name: p for name, p in model.named_parameters() if p.requires_grad} | owned


@contextmanager
def modes_kept(*models: nn.Module) -> Iterator[None]:
    """Give every module back its training flag when the block ends, also by an error.

    One by one, because ``model.train()`` afterwards would wake a part that was in eval mode on purpose.

    >>> net = nn.Dropout()
    >>> with modes_kept(net):
    ...     net.eval().training
    False
    >>> net.training
    True
    """
    modes = [(part, part.training) for model in models for part in model.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _hold(part: nn.Module) -> None:
    vars(part)[MARK] = _may_checkpoint
    part.training = False


def _may_checkpoint(part: nn.Module) -> bool:
    """Whether transformers asks ``part.training`` for checkpointing, and for nothing else."""
    drops = any("drop" in name and isinstance(rate, float) and rate > 0 for name, rate in vars(part).items())
    return hasattr(part, "gradient_checkpointing") and not drops


def _train(self: nn.Module, mode: bool = True) -> nn.Module:
    """``nn.Module.train``, after which a module with the mark is in eval mode again."""
    _torch_train(self, mode)  # modules added later, such as adapters, wake
    if is_held(self):
        self.training = mode and vars(self)[MARK](self)
    return self


# The mark must not refer to its module: a circle would keep every frozen model in memory, on a GPU until it is full.
# So it is torch's own ``train`` that asks for it; modules without the mark do what they always did.
_torch_train = nn.Module.train
nn.Module.train = _train  # type: ignore[assignment, method-assign]
