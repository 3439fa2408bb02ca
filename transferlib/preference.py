"""Learning from preferences: Bradley–Terry rewards, DPO and PPO as pure functions of log-probabilities.

Shapes: B texts, L tokens, V words in the vocabulary. A ``mask`` (B, L), or (1, L) for all, is 1 on the tokens of the
answer, 0 on the prompt and on padding. Log-probabilities are natural logarithms, so that KL is in nats. A logit of
−inf bans a token. Every function raises ``UserError`` for shapes that do not belong together: they would broadcast to
wrong losses. Logits in half precision are read in float32.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError
from transferlib.tensors import at_least_single


def token_log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """log p(token t | tokens before t), (B, L, V) and ids (B, L) → (B, L); the first token has no past and counts 0.

    The logits at position t − 1 predict token t. Raises ``UserError`` for logits that are NaN or +inf.

    >>> even = torch.zeros(1, 3, 4)  # four tokens, all alike
    >>> token_log_probs(even, torch.tensor([[0, 1, 2]]))
    tensor([[ 0.0000, -1.3863, -1.3863]])
    """
    _shapes(logits=(logits, (*ids.shape, logits.shape[-1])))
    if bool(logits.isnan().any()) or bool(logits.isposinf().any()):
        raise UserError(
            "The model's logits hold NaN or infinity: lower the learning rate, or load the model in float32."
        )
    logits = at_least_single(logits)
    logp = F.log_softmax(logits[:, :-1], dim=-1).gather(2, ids[:, 1:, None]).squeeze(2)  # (B, L−1, 1) → (B, L−1)
    return F.pad(logp, (1, 0))  # (B, L)


def sequence_log_probs(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """log p(answer | prompt) = Σ_t mask_t · log p(token t | before): (B, L, V), (B, L), (B, L) → (B,).

    Raises ``UserError`` for an answer without a token or with one that the model bans, and for logits that are NaN.

    >>> even, ids = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]])
    >>> sequence_log_probs(even, ids, mask=torch.tensor([[0, 0, 1]]))  # log ¼
    tensor([-1.3863])
    """
    mask = _for_each(mask, tuple(ids.shape))
    if (mask[:, 1:].sum(1) == 0).any():
        empty = int((mask[:, 1:].sum(1) == 0).nonzero()[0])
        raise UserError(f"Text {empty} of the batch has no answer token: drop the pair or give it a longer answer.")
    total = (token_log_probs(logits, ids).masked_fill(mask == 0, 0) * mask).sum(1)  # 0 · −inf would be NaN
    if bool(torch.isneginf(total).any()):
        banned = int(torch.isneginf(total).nonzero()[0])
        raise UserError(f"Text {banned} of the batch holds an answer token that the model bans: drop the pair.")
    return total


def reward_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Bradley–Terry: −log σ(r_chosen − r_rejected), rewards (B,) → losses (B,).

    Raises ``UserError`` for no pair. Bradley and Terry 1952; Ouyang et al. 2022, arXiv:2203.02155, equation 1.

    >>> reward_loss(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.0]))  # log 2 without a difference
    tensor([0.6931, 0.0486])
    """
    _paired(chosen, rejected)
    return -F.logsigmoid(chosen - rejected)


def dpo_loss(
    policy_chosen: Tensor, policy_rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, Tensor, Tensor]:
    """−log σ(β (log π/π_ref of the chosen − log π/π_ref of the rejected)): losses (B,) and both implied rewards (B,).

    All inputs are ``sequence_log_probs`` (B,). The implied reward of an answer is β log π/π_ref; at the optimum
    π ∝ π_ref exp(r/β). Raises ``UserError`` for no pair and for β ≤ 0. Rafailov et al. 2023, arXiv:2305.18290, eq. 7.

    >>> before, after = torch.tensor([-4.0]), torch.tensor([-3.0])  # the chosen answer has become likelier
    >>> dpo_loss(after, before, before, before, beta=0.5)
    (tensor([0.4741]), tensor([0.5000]), tensor([0.]))
    """
    _paired(policy_chosen, policy_rejected)
    _shapes(**{"reference of the chosen": (ref_chosen, tuple(policy_chosen.shape)),
               "reference of the rejected": (ref_rejected, tuple(policy_chosen.shape))})  # fmt: skip
    if not beta > 0:
        raise UserError(f"DPO got beta = {beta}: use beta > 0; a smaller one lets the policy move further.")
    chosen = beta * (policy_chosen - ref_chosen)
    rejected = beta * (policy_rejected - ref_rejected)
    return -F.logsigmoid(chosen - rejected), chosen.detach(), rejected.detach()


def ppo_loss(new: Tensor, old: Tensor, advantage: Tensor, mask: Tensor, clip: float = 0.2) -> Tensor:
    """Mean over answer tokens of −min(ρ A, clamp(ρ, 1 − clip, 1 + clip) A), ρ = π_new / π_old: a scalar.

    ``new``, ``old`` ``token_log_probs`` (B, L); ``advantage`` (B,) of the whole answer or (B, L) of each token.
    Raises ``UserError`` for clip ≤ 0 and for a mask without tokens. Schulman et al. 2017, arXiv:1707.06347, eq. 7.

    >>> old, mask = torch.tensor([[0.0, -1.0]]), torch.tensor([[0, 1]])
    >>> ppo_loss(old + torch.tensor([[0.0, 0.5]]), old, torch.tensor([1.0]), mask)  # ρ = 1.65 is cut to 1.2
    tensor(-1.2000)
    """
    if not clip > 0:
        raise UserError(f"PPO got clip = {clip}: use clip > 0; 0.2 is the paper's.")
    if not mask.any():
        raise UserError("PPO got no answer token: the mask is 0 everywhere; generate at least one token.")
    _shapes(old=(old, tuple(new.shape)))
    mask = _for_each(mask, tuple(new.shape))
    a = advantage[:, None] if advantage.dim() == 1 else advantage  # (B,) → (B, 1)
    if tuple(a.shape) not in ((len(new), 1), tuple(new.shape)):
        raise UserError(f"The advantage has shape {tuple(advantage.shape)}: ({len(new)},) or {tuple(new.shape)} fits.")
    ratio = (new - old.detach()).masked_fill(mask == 0, 0).exp()  # (B, L); what is masked may be banned: −inf − −inf
    objective = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    return -(objective * mask).sum() / mask.sum()


def kl(policy: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """KL(π ‖ π_ref) of the next-token distributions, summed over the answer's tokens: logits (B, L, V) → nats (B,).

    Exact over the vocabulary at each position of the sampled text. As in ``token_log_probs``, the logits at t − 1
    belong to token t. A token that the policy bans adds nothing; one that only the reference bans makes it infinite.

    >>> sure, even = torch.tensor([[[0.0, -torch.inf]] * 2]), torch.zeros(1, 2, 2)
    >>> kl(sure, even, torch.tensor([[0, 1]])), kl(even, sure, torch.tensor([[0, 1]]))  # log 2, and infinity
    (tensor([0.6931]), tensor([inf]))
    """
    _shapes(reference=(reference, tuple(policy.shape)))
    mask = _for_each(mask, tuple(policy.shape[:2]))
    p = F.log_softmax(at_least_single(policy)[:, :-1], -1)
    q = F.log_softmax(at_least_single(reference)[:, :-1], -1)
    ratio = (p - q).masked_fill(torch.isneginf(p), 0)  # 0 · log(0 / q) is 0, where −inf − −inf would be NaN
    each = (p.exp() * ratio).sum(-1)  # (B, L−1, V) → (B, L−1)
    return (each.masked_fill(mask[:, 1:] == 0, 0) * mask[:, 1:]).sum(1)  # (B,)


def leashed_reward(reward: Tensor, policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """r − β (log π(answer) − log π_ref(answer)): the reward that RLHF maximises, (B,) each.

    The log-ratio of a sampled answer is an unbiased estimate of the KL; ``policy`` is detached: the reward is a
    number to be maximised, not a path for gradients. Raises ``UserError`` for β < 0.

    >>> leashed_reward(torch.tensor([1.0]), torch.tensor([-2.0]), torch.tensor([-4.0]), beta=0.1)
    tensor([0.8000])
    """
    if not beta >= 0:
        raise UserError(f"The KL leash got beta = {beta}: use beta ≥ 0; below 0 it rewards leaving the reference.")
    _shapes(policy=(policy, tuple(reward.shape)), reference=(reference, tuple(reward.shape)))
    return reward - beta * (policy - reference).detach()


def advantages(reward: Tensor) -> Tensor:
    """r_i − mean of the *other* rewards (leave-one-out), rewards (B,) → (B,): unbiased, no value network.

    Raises ``UserError`` for a single reward and for rewards that are not finite. Kool et al. 2019.

    >>> advantages(torch.tensor([1.0, 2.0, 6.0]))  # 1 − 4, 2 − 3½, 6 − 1½
    tensor([-3.0000, -1.5000,  4.5000])
    """
    _shapes(rewards=(reward, (len(reward),)))
    if len(reward) < 2 or not torch.isfinite(reward).all():
        raise UserError(f"Advantages need at least two finite rewards: got {reward.tolist()[:4]}.")
    return (reward - reward.mean()) * len(reward) / (len(reward) - 1)


def best_of_n(chooser: Tensor, value: Tensor, n: int) -> Tensor:
    """The mean ``value`` of the answer that ``chooser`` puts first among n of the N answers: two (N,) → a scalar.

    Exact over all choices of n, not drawn: the j-th smallest of N wins with probability C(j − 1, n − 1) / C(N, n).
    KL from the reference is at most log n − (n − 1) / n (Beirami et al. 2024, arXiv:2401.01879). Raises ``UserError``
    unless 1 ≤ n ≤ N. Stiennon et al. 2020, arXiv:2009.01325.

    >>> judge, truth = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([5.0, 7.0, 6.0])
    >>> best_of_n(judge, truth, 2)  # the judge takes 7, 6, 6 of the three pairs
    tensor(6.3333)
    """
    _shapes(chooser=(chooser, (len(chooser),)), value=(value, (len(chooser),)))
    count = len(chooser)
    if not 1 <= n <= count:
        raise UserError(f"Best of n got n = {n} with {count} answers: use 1 ≤ n ≤ {count}.")
    wins = [math.comb(j - 1, n - 1) / math.comb(count, n) for j in range(1, count + 1)]
    best = torch.tensor(wins, dtype=torch.double, device=value.device) @ value.double()[chooser.argsort()]
    return best.to(value.dtype) if value.is_floating_point() else best


def same_tokens(policy_vocabulary: dict[str, int], reward_vocabulary: dict[str, int]) -> None:
    """Raise ``UserError`` when reward model and policy would read the same ids as different words.

    >>> same_tokens({"dog": 0, "cat": 1}, {"dog": 0, "cat": 1})
    """
    for word, i in policy_vocabulary.items():
        if reward_vocabulary.get(word) != i:
            raise UserError(
                f"The policy's token {word!r} has id {i} but the reward model's has {reward_vocabulary.get(word)}: "
                "use one tokenizer for both, or pass text instead of ids."
            )


def _paired(chosen: Tensor, rejected: Tensor) -> None:
    if len(chosen) == 0 or len(chosen) != len(rejected):
        got = f"got {len(chosen)} chosen and {len(rejected)} rejected"
        raise UserError(f"A preference needs pairs, {got}: give one rejected answer to each chosen one.")
    _shapes(chosen=(chosen, (len(chosen),)), rejected=(rejected, (len(chosen),)))


def _for_each(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``mask`` (B, L); one (1, L) counts for every text."""
    if mask.ndim == 2 and len(mask) == 1:
        mask = mask.expand(shape[0], -1)
    _shapes(mask=(mask, shape))
    return mask


def _shapes(**given: tuple[Tensor, tuple[int, ...]]) -> None:
    """Each tensor beside the shape that it must have."""
    for name, (tensor, shape) in given.items():
        if tuple(tensor.shape) != shape:
            fix = "; squeeze(1) drops the last dimension" if tuple(tensor.shape) == (*shape, 1) else ""
            raise UserError(f"The {name} has shape {tuple(tensor.shape)}, but {shape} is needed{fix}.")
