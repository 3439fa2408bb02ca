"""The leash: a reward minus β times the distance from the reference, and the policy that this asks for."""

from torch import Tensor

from transferlib.errors import UserError
from transferlib.preference.shapes import shaped


def leashed_reward(reward: Tensor, policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """r − β (log π(answer) − log π_ref(answer)): the reward that RLHF maximises, (B,) each.

    The log-ratio of a sampled answer is an unbiased estimate of the KL; ``policy`` is detached: the reward is a
    number to be maximised, not a path for gradients. Raises ``UserError`` for β < 0.

    >>> import torch
    >>> leashed_reward(torch.tensor([1.0]), torch.tensor([-2.0]), torch.tensor([-4.0]), beta=0.1)
    tensor([0.8000])
    """
    if not beta >= 0:
        raise UserError(f"The KL leash got beta = {beta}: use beta ≥ 0; below 0 it rewards leaving the reference.")
    shaped(policy=(policy, tuple(reward.shape)), reference=(reference, tuple(reward.shape)))
    return reward - beta * (policy - reference).detach()


def tilted(ref_log_probs: Tensor, reward: Tensor, beta: float) -> Tensor:
    """log π*, where π* ∝ π_ref · exp(r / β): the best policy for the leashed reward, over K listed answers (…, K).

    It maximises E_π[r] − β KL(π ‖ π_ref), whose value there is β log Σ π_ref exp(r / β). Raises ``UserError`` for
    other shapes and for β ≤ 0. Ziegler et al. 2019, arXiv:1909.08593; Rafailov et al. 2023, arXiv:2305.18290, eq. 4.

    >>> import torch
    >>> tilted(torch.tensor([0.5, 0.3, 0.2]).log(), torch.tensor([0.0, 1.0, 2.0]), beta=1.0).exp()
    tensor([0.1790, 0.2919, 0.5291])
    """
    if not beta > 0:
        raise UserError(
            f"The tilt got beta = {beta}: use beta > 0; without a leash everything goes to the best answer."
        )
    shaped(reward=(reward, tuple(ref_log_probs.shape)))
    return (ref_log_probs + reward / beta).log_softmax(-1)
