"""Take off what a prompt likes whatever was asked: with a question that says nothing, or with many questions."""

from torch import Tensor

from transferlib.errors import UserError
from transferlib.tensors import at_least_single


def contextual(scores: Tensor, content_free: Tensor) -> Tensor:
    """Contextual calibration: p̂_c ∝ p_c / p_cf,c; scores (N, C) and content_free (M, C) → log-probabilities (N, C).

    ``content_free`` are the scores of prompts whose query says nothing ("N/A", "[MASK]", ""); their mean probability
    p_cf is the bias of prompt and label words alone. Raises ``UserError`` when the label counts differ.
    Source: Zhao et al. 2021, arXiv:2102.09690.

    >>> import torch
    >>> contextual(torch.tensor([[0.6, 0.4]]).log(), torch.tensor([[0.7, 0.3]]).log()).exp()  # the answer flips
    tensor([[0.3913, 0.6087]])
    """
    if scores.dim() != 2 or content_free.dim() != 2 or scores.shape[1] != content_free.shape[1]:
        raise UserError(
            f"Calibration got {tuple(scores.shape)} scores and {tuple(content_free.shape)} content-free ones: "
            "both need one row a prompt and one column a label, the same labels."
        )
    scores, content_free = at_least_single(scores), at_least_single(content_free)
    bias = content_free.softmax(1).mean(0).log()  # (C,)
    return (scores.log_softmax(1) - bias).log_softmax(1)


def batch(scores: Tensor) -> Tensor:
    """Batch calibration: p̂_c ∝ p_c / mean over the batch of p_c; scores (N, C) → log-probabilities (N, C).

    The mean answer to many real questions takes the place of the answer to an empty one. No label is used, but every
    answer then depends on the company of the others, and a batch in which one class is rare is pulled towards it.
    Raises ``UserError`` for fewer than two questions. Source: Zhou et al. 2023, arXiv:2309.17249.

    >>> import torch
    >>> batch(torch.tensor([[0.9, 0.1], [0.5, 0.5]]).log()).argmax(1)  # as it is, 0 wins or ties everywhere
    tensor([0, 1])
    """
    if scores.dim() != 2 or len(scores) < 2:
        raise UserError(f"Batch calibration got scores of shape {tuple(scores.shape)}: it needs two or more questions.")
    return contextual(scores, scores)
