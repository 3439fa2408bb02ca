"""How well do the scores rank the questions, wherever the border between the two answers lies?"""

import torch
from torch import Tensor

from transferlib.errors import UserError
from transferlib.tensors import class_numbers


def auc_parts(scores: Tensor, y: Tensor) -> Tensor:
    """One number a question whose mean is the AUC, and whose spread over questions is that of the AUC: (N,).

    The AUC is the share of pairs, one question of each class, that ``scores`` (N,) put in the right order; a tie is
    half a pair. With V_n the share of pairs of question n, its part is AUC + N / N_c · (V_n − AUC), N_c being the
    number of questions of its own class, y in {0, 1}. The variance of the mean of N such parts is DeLong's of the AUC.

    Raises ``UserError`` for scores of another length than y, and where a class has no question.
    Source: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837–845.

    >>> auc_parts(torch.tensor([0.1, 0.4, 0.3, 0.9]), torch.tensor([0, 0, 1, 1])).mean()  # three of four pairs
    tensor(0.7500)
    """
    y = class_numbers(y, len(scores), 2)
    if scores.dim() != 1 or len(y.unique()) < 2:
        raise UserError(f"An AUC needs one score a question and both classes: got shape {tuple(scores.shape)}.")
    gap = scores[y == 1][:, None] - scores[y == 0][None]  # (N₁, N₀)
    wins = (gap > 0).to(scores.dtype) + 0.5 * (gap == 0).to(scores.dtype)
    own = torch.empty_like(scores)
    own[y == 1], own[y == 0] = wins.mean(1), wins.mean(0)
    count = torch.bincount(y)[y].to(scores.dtype)  # (N,): how many questions the own class has
    return wins.mean() + len(y) / count * (own - wins.mean())
