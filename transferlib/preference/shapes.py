"""What every preference function asks of its tensors: shapes that would broadcast to a wrong loss are refused."""

from torch import Tensor

from transferlib.errors import UserError


def shaped(**given: tuple[Tensor, tuple[int, ...]]) -> None:
    """Each tensor beside the shape that it must have. Raises ``UserError`` for another one.

    >>> import torch
    >>> shaped(rewards=(torch.zeros(4), (4,)))
    """
    for name, (tensor, shape) in given.items():
        if tuple(tensor.shape) != shape:
            fix = "; squeeze(1) drops the last dimension" if tuple(tensor.shape) == (*shape, 1) else ""
            raise UserError(
                f"The {name.replace('_', ' ')} has shape {tuple(tensor.shape)}, but {shape} is needed{fix}."
            )


def paired(chosen: Tensor, rejected: Tensor) -> None:
    """One rejected answer (B,) to each chosen one (B,), B ≥ 1. Raises ``UserError`` otherwise.

    >>> import torch
    >>> paired(torch.zeros(3), torch.ones(3))
    """
    if len(chosen) == 0 or len(chosen) != len(rejected):
        got = f"got {len(chosen)} chosen and {len(rejected)} rejected"
        raise UserError(f"A preference needs pairs, {got}: give one rejected answer to each chosen one.")
    shaped(chosen=(chosen, (len(chosen),)), rejected=(rejected, (len(chosen),)))


def four_log_probs(chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor) -> None:
    """Policy and reference, chosen and rejected: (B,) each. Raises ``UserError`` otherwise.

    >>> import torch
    >>> four_log_probs(*torch.zeros(4, 2))
    """
    paired(chosen, rejected)
    shape = tuple(chosen.shape)
    shaped(reference_of_the_chosen=(ref_chosen, shape), reference_of_the_rejected=(ref_rejected, shape))


def for_each(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``mask`` (B, L); one (1, L) counts for every text. Raises ``UserError`` for another shape.

    >>> import torch
    >>> for_each(torch.ones(1, 3), (2, 3)).shape
    torch.Size([2, 3])
    """
    if mask.ndim == 2 and len(mask) == 1:
        mask = mask.expand(shape[0], -1)
    shaped(mask=(mask, shape))
    return mask
