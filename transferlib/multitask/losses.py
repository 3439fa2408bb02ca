"""What is asked of several losses before they are weighed: known names, and one number for each network."""

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from transferlib.errors import UserError, nearest


def checked(losses: Mapping[str, Tensor], tasks: Iterable[str], shape: Sequence[int] = ()) -> None:
    """Raise ``UserError`` for no loss, a task that is not one of ``tasks``, or a loss that is not of ``shape``.

    ``shape`` is () for one network and (S,) for S networks that learn side by side.

    >>> import torch
    >>> checked({"kind": torch.tensor(0.5)}, ["kind", "ink"])
    """
    known = list(tasks)
    if not losses:
        raise UserError(f"No loss was given: pass at least one of {', '.join(known)}.")
    for task, loss in losses.items():
        if task not in known:
            raise UserError(f"Unknown task {task!r}: {nearest(task, known)}")
        if tuple(loss.shape) != tuple(shape):
            fix = f"pass one mean for each network, of shape {tuple(shape)}" if shape else "pass its mean, a scalar"
            raise UserError(f"The loss of task {task!r} has shape {tuple(loss.shape)}: {fix}.")
