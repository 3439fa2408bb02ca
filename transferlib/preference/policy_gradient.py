"""Policy gradients without a critic: each answer is compared with the other answers to the same prompt."""

import torch
from torch import Tensor

from transferlib.errors import UserError
from transferlib.preference.shapes import shaped


def advantages(reward: Tensor) -> Tensor:
    """r_i − mean of the *other* rewards (leave-one-out), rewards (B,) → (B,): unbiased, no value network.

    RLOO. Raises ``UserError`` for a single reward and for rewards that are not finite. Kool et al. 2019, for several
    answers to one input; Ahmadian et al. 2024, arXiv:2402.14740.

    >>> advantages(torch.tensor([1.0, 2.0, 6.0]))  # 1 − 4, 2 − 3½, 6 − 1½
    tensor([-3.0000, -1.5000,  4.5000])
    """
    shaped(rewards=(reward, (len(reward),)))
    if len(reward) < 2 or not torch.isfinite(reward).all():
        raise UserError(f"Advantages need at least two finite rewards: got {reward.tolist()[:4]}.")
    return (reward - reward.mean()) * len(reward) / (len(reward) - 1)


def group_advantages(reward: Tensor) -> Tensor:
    """(r_i − mean) / standard deviation of the group, rewards (B,) → (B,); all 0 where all rewards are equal.

    GRPO: every group pushes equally hard, however little its answers differ. Raises ``UserError`` as ``advantages``.
    Shao et al. 2024, arXiv:2402.03300.

    >>> group_advantages(torch.tensor([1.0, 2.0, 6.0]))
    tensor([-0.7559, -0.3780,  1.1339])
    """
    centred, spread = advantages(reward), reward.std()
    return centred * (len(reward) - 1) / len(reward) / torch.where(spread > 0, spread, torch.ones_like(spread))


def policy_gradient_loss(log_probs: Tensor, advantage: Tensor) -> Tensor:
    """−mean_i A_i log π(y_i): log-probabilities of sampled answers (B,) and their advantages (B,) → a scalar.

    Its gradient, with leave-one-out advantages, has the mean −∇ E_π[r]: REINFORCE, Williams 1992, with RLOO's
    baseline. The advantage is detached. Raises ``UserError`` for no answer or other shapes.

    >>> policy_gradient_loss(torch.tensor([-1.0, -3.0]), torch.tensor([1.0, -1.0]))
    tensor(-1.)
    """
    if len(log_probs) == 0:
        raise UserError("The policy gradient got no answer: sample at least two, so that they can be compared.")
    shaped(log_probabilities=(log_probs, (len(log_probs),)), advantage=(advantage, (len(log_probs),)))
    return -(advantage.detach() * log_probs).mean()
