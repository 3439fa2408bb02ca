"""Bradley–Terry rewards: a number for each answer, learned from which of two answers was preferred."""

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError
from transferlib.preference.shapes import paired, shaped
from transferlib.tensors import at_least_single


def reward_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Bradley–Terry: −log σ(r_chosen − r_rejected), rewards (B,) → losses (B,).

    Raises ``UserError`` for no pair. Bradley and Terry 1952; Ouyang et al. 2022, arXiv:2203.02155, equation 1.

    >>> reward_loss(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.0]))  # log 2 without a difference
    tensor([0.6931, 0.0486])
    """
    paired(chosen, rejected)
    return -F.logsigmoid(chosen - rejected)


def fit_reward(chosen: Tensor, rejected: Tensor, ridge: float = 0.1) -> Tensor:
    """A linear reward r(y) = w · x(y): features (P, D) of the chosen and of the rejected answers → w (D,), float64.

    min over w of Σ_p −log σ(w · (chosen_p − rejected_p)) + ½ ridge ‖w‖², to its bottom by Newton's method with step
    halving. Only differences enter, so a constant that all answers share has no weight. Raises ``UserError`` for no
    pair, for other shapes, and for ridge ≤ 0: where every pair can be told apart, the best w would be infinitely long.

    >>> one, two = torch.tensor([[2.0], [1.0], [0.0]]), torch.tensor([[0.0], [0.0], [1.0]])
    >>> fit_reward(one, two, ridge=1.0)
    tensor([0.4097], dtype=torch.float64)
    """
    if not ridge > 0:
        raise UserError(f"A reward got ridge = {ridge}: use ridge > 0; separable pairs have no finite best reward.")
    if chosen.ndim != 2 or len(chosen) == 0:
        raise UserError(f"The chosen answers have shape {tuple(chosen.shape)}: features of at least one pair (P, D).")
    shaped(rejected=(rejected, tuple(chosen.shape)))
    d = (at_least_single(chosen) - at_least_single(rejected)).double()  # (P, D)
    w = d.new_zeros(d.shape[1])

    def loss(w: Tensor) -> Tensor:
        return -F.logsigmoid(d @ w).sum() + ridge / 2 * (w @ w)

    for _ in range(50):
        wrong = torch.sigmoid(-(d @ w))  # (P,) probability that the reward gives to the other answer
        slope = ridge * w - d.T @ wrong
        bend = d.T @ (d * (wrong * (1 - wrong))[:, None]) + ridge * torch.eye(len(w), dtype=d.dtype, device=d.device)
        move, size = torch.linalg.solve(bend, slope), 1.0
        while size > 1e-6 and loss(w - size * move) > loss(w):
            size /= 2
        w = w - size * move
        if move.abs().max() < 1e-10:
            break
    return w
