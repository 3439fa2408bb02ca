"""How likely an answer is to a language model, and how far two models are apart.

Shapes: B texts, L tokens, V words in the vocabulary. A ``mask`` (B, L), or (1, L) for all, is 1 on the tokens of the
answer, 0 on the prompt and on padding. Log-probabilities are natural logarithms, so that KL is in nats. A logit of
−inf bans a token. Logits in half precision are read in float32. Shapes that do not belong together raise ``UserError``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError
from transferlib.preference.shapes import for_each, shaped
from transferlib.tensors import at_least_single


def token_log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """log p(token t | tokens before t), (B, L, V) and ids (B, L) → (B, L); the first token has no past and counts 0.

    The logits at position t − 1 predict token t. Raises ``UserError`` for logits that are NaN or +inf.

    >>> even = torch.zeros(1, 3, 4)  # four tokens, all alike
    >>> token_log_probs(even, torch.tensor([[0, 1, 2]]))
    tensor([[ 0.0000, -1.3863, -1.3863]])
    """
    shaped(logits=(logits, (*ids.shape, logits.shape[-1])))
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
    mask = for_each(mask, tuple(ids.shape))
    if (mask[:, 1:].sum(1) == 0).any():
        empty = int((mask[:, 1:].sum(1) == 0).nonzero()[0])
        raise UserError(f"Text {empty} of the batch has no answer token: drop the pair or give it a longer answer.")
    total = (token_log_probs(logits, ids).masked_fill(mask == 0, 0) * mask).sum(1)  # 0 · −inf would be NaN
    if bool(torch.isneginf(total).any()):
        banned = int(torch.isneginf(total).nonzero()[0])
        raise UserError(f"Text {banned} of the batch holds an answer token that the model bans: drop the pair.")
    return total


def kl(policy: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """KL(π ‖ π_ref) of the next-token distributions, summed over the answer's tokens: logits (B, L, V) → nats (B,).

    Exact over the vocabulary at each position of the sampled text. As in ``token_log_probs``, the logits at t − 1
    belong to token t. A token that the policy bans adds nothing; one that only the reference bans makes it infinite.

    >>> sure, even = torch.tensor([[[0.0, -torch.inf]] * 2]), torch.zeros(1, 2, 2)
    >>> kl(sure, even, torch.tensor([[0, 1]])), kl(even, sure, torch.tensor([[0, 1]]))  # log 2, and infinity
    (tensor([0.6931]), tensor([inf]))
    """
    shaped(reference=(reference, tuple(policy.shape)))
    mask = for_each(mask, tuple(policy.shape[:2]))
    p = F.log_softmax(at_least_single(policy)[:, :-1], -1)
    q = F.log_softmax(at_least_single(reference)[:, :-1], -1)
    ratio = (p - q).masked_fill(torch.isneginf(p), 0)  # 0 · log(0 / q) is 0, where −inf − −inf would be NaN
    each = (p.exp() * ratio).sum(-1)  # (B, L−1, V) → (B, L−1)
    return (each.masked_fill(mask[:, 1:] == 0, 0) * mask[:, 1:]).sum(1)  # (B,)


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
