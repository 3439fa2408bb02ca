"""Learning from preferences: Bradley–Terry rewards, DPO and PPO as pure functions of log-probabilities.

Shapes: B texts, L tokens, V words in the vocabulary. A ``mask`` (B, L) is 1 on the tokens of the answer, 0 on the
prompt and on padding. Log-probabilities are natural logarithms, so that KL is in nats.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError


def token_log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """log p(token t | tokens before t), (B, L, V) and ids (B, L) → (B, L); the first token has no past and counts 0.

    The logits at position t − 1 predict token t. Raises ``UserError`` for logits that are not finite.
    """
    if not torch.isfinite(logits).all():
        raise UserError(
            "The model's logits hold NaN or infinity: lower the learning rate, or load the model in float32."
        )
    logp = F.log_softmax(logits[:, :-1], dim=-1).gather(2, ids[:, 1:, None]).squeeze(2)  # (B, L−1, 1) → (B, L−1)
    return F.pad(logp, (1, 0))  # (B, L)


def sequence_log_probs(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """log p(answer | prompt) = Σ_t mask_t · log p(token t | before): (B, L, V), (B, L), (B, L) → (B,).

    Raises ``UserError`` for an answer without a token, and for logits that are not finite.
    """
    if (mask[:, 1:].sum(1) == 0).any():
        empty = int((mask[:, 1:].sum(1) == 0).nonzero()[0])
        raise UserError(f"Text {empty} of the batch has no answer token: drop the pair or give it a longer answer.")
    return (token_log_probs(logits, ids) * mask).sum(1)


def reward_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Bradley–Terry: −log σ(r_chosen − r_rejected), rewards (B,) → losses (B,).

    Raises ``UserError`` for no pair. Bradley and Terry 1952; Ouyang et al. 2022, arXiv:2203.02155, equation 1.
    """
    _paired(chosen, rejected)
    return -F.logsigmoid(chosen - rejected)


def dpo_loss(
    policy_chosen: Tensor, policy_rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, Tensor, Tensor]:
    """−log σ(β (log π/π_ref of the chosen − log π/π_ref of the rejected)): losses (B,) and both implied rewards (B,).

    All inputs are ``sequence_log_probs`` (B,). The implied reward of an answer is β log π/π_ref; at the optimum
    π ∝ π_ref exp(r/β). Raises ``UserError`` for no pair and for β ≤ 0. Rafailov et al. 2023, arXiv:2305.18290, eq. 7.
    """
    _paired(policy_chosen, policy_rejected)
    if not beta > 0:
        raise UserError(f"DPO got beta = {beta}: use beta > 0; a smaller one lets the policy move further.")
    chosen = beta * (policy_chosen - ref_chosen)
    rejected = beta * (policy_rejected - ref_rejected)
    return -F.logsigmoid(chosen - rejected), chosen.detach(), rejected.detach()


def ppo_loss(new: Tensor, old: Tensor, advantage: Tensor, mask: Tensor, clip: float = 0.2) -> Tensor:
    """Mean over answer tokens of −min(ρ A, clamp(ρ, 1 − clip, 1 + clip) A), ρ = π_new / π_old: a scalar.

    ``new``, ``old`` ``token_log_probs`` (B, L); ``advantage`` (B,) of the whole answer or (B, L) of each token.
    Raises ``UserError`` for clip ≤ 0 and for a mask without tokens. Schulman et al. 2017, arXiv:1707.06347, eq. 7.
    """
    if not clip > 0:
        raise UserError(f"PPO got clip = {clip}: use clip > 0; 0.2 is the paper's.")
    if not mask.any():
        raise UserError("PPO got no answer token: the mask is 0 everywhere; generate at least one token.")
    ratio = (new - old.detach()).exp()  # (B, L)
    a = advantage[:, None] if advantage.dim() == 1 else advantage  # (B,) → (B, 1)
    objective = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    return -(objective * mask).sum() / mask.sum()


def kl(policy: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """KL(π ‖ π_ref) of the next-token distributions, summed over the answer's tokens: logits (B, L, V) → nats (B,).

    Exact over the vocabulary at each position of the sampled text. As in ``token_log_probs``, the logits at t − 1
    belong to token t.
    """
    p, q = F.log_softmax(policy[:, :-1], -1), F.log_softmax(reference[:, :-1], -1)
    return ((p.exp() * (p - q)).sum(-1) * mask[:, 1:]).sum(1)  # (B, L−1, V) → (B, L−1) → (B,)


def leashed_reward(reward: Tensor, policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """r − β (log π(answer) − log π_ref(answer)): the reward that RLHF maximises, (B,) each.

    The log-ratio of a sampled answer is an unbiased estimate of the KL; ``policy`` is detached: the reward is a
    number to be maximised, not a path for gradients. Raises ``UserError`` for β < 0.
    """
    if not beta >= 0:
        raise UserError(f"The KL leash got beta = {beta}: use beta ≥ 0; below 0 it rewards leaving the reference.")
    return reward - beta * (policy - reference).detach()


def advantages(reward: Tensor) -> Tensor:
    """r_i − mean of the *other* rewards (leave-one-out), rewards (B,) → (B,): unbiased, no value network.

    Raises ``UserError`` for a single reward and for rewards that are not finite. Kool et al. 2019.
    """
    if len(reward) < 2 or not torch.isfinite(reward).all():
        raise UserError(f"Advantages need at least two finite rewards: got {reward.tolist()[:4]}.")
    return (reward - reward.mean()) * len(reward) / (len(reward) - 1)


def best_of_n(chooser: Tensor, value: Tensor, n: int) -> Tensor:
    """The mean ``value`` of the answer that ``chooser`` puts first among n of the N answers: two (N,) → a scalar.

    Exact over all choices of n, not drawn: the j-th smallest of N wins with probability C(j − 1, n − 1) / C(N, n).
    KL from the reference is at most log n − (n − 1) / n. Raises ``UserError`` unless 1 ≤ n ≤ N. Stiennon et al.
    2020, arXiv:2009.01325.
    """
    count = len(chooser)
    if not 1 <= n <= count:
        raise UserError(f"Best of n got n = {n} with {count} answers: use 1 ≤ n ≤ {count}.")
    wins = [math.comb(j - 1, n - 1) / math.comb(count, n) for j in range(1, count + 1)]
    return torch.tensor(wins, dtype=torch.double) @ value.double()[chooser.argsort()]


def same_tokens(policy_vocabulary: dict[str, int], reward_vocabulary: dict[str, int]) -> None:
    """Raise ``UserError`` when reward model and policy would read the same ids as different words."""
    for word, i in policy_vocabulary.items():
        if reward_vocabulary.get(word) != i:
            raise UserError(
                f"The policy's token {word!r} has id {i} but the reward model's has {reward_vocabulary.get(word)}: "
                "use one tokenizer for both, or pass text instead of ids."
            )


def _paired(chosen: Tensor, rejected: Tensor) -> None:
    if len(chosen) == 0 or chosen.shape != rejected.shape:
        got = f"got {len(chosen)} chosen and {len(rejected)} rejected"
        raise UserError(f"A preference needs pairs, {got}: give one rejected answer to each chosen one.")
