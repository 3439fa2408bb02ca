"""One training run on several GPUs: each process takes its share of every batch, and the gradients are averaged.

``accelerate launch --num_processes 4 script.py`` starts the processes; :func:`transferlib.tuning.training.fit` finds
out. A script that was started without it is a team of one, and nothing is different.
"""

import os

from torch import Tensor, nn

from transferlib.errors import UserError, needs


def place() -> tuple[int, int]:
    """This process's number and the size of the team: ``RANK`` and ``WORLD_SIZE``, or 0 and 1."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def own_device(device: str) -> str:
    """``device``, and for "cuda" in a team the GPU of this process."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" and place()[1] > 1 else device


def joined(model: nn.Module) -> nn.Module:
    """``model`` as the team trains it: a backward pass leaves the mean of all gradients in every process.

    Arguments: ``model`` with the same weights in each process. A team of one gets the model itself.
    Raises ``UserError`` when the package ``accelerate`` is missing.
    """
    if place()[1] == 1:
        return model
    needs("accelerate", "lm", "Training on several processes")
    from accelerate import Accelerator

    accelerator = Accelerator()
    team: nn.Module = accelerator.prepare_model(model.to(accelerator.device))
    return team


def share(rows: Tensor) -> tuple[slice, float]:
    """Which part of a batch of ``rows`` (B,) is this process's, and the factor for its mean loss.

    The team averages Σ over processes of factor · mean(part) / size: with factor = len(part) · size / B this is the
    mean over the whole batch, also when the parts are unlike.

    Raises ``UserError`` for a batch with fewer examples than processes.
    """
    rank, size = place()
    if len(rows) < size:
        raise UserError(f"A batch of {len(rows)} cannot be shared by {size} processes: use a larger batch_size.")
    return slice(rank, None, size), len(range(rank, len(rows), size)) * size / len(rows)
