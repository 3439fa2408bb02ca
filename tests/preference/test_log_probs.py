"""Log-probabilities and distances of texts: by hand, against torch, and where a model bans a token."""

import math

import pytest
import torch
import torch.nn.functional as F
from bandits import text

from transferlib.errors import UserError
from transferlib.preference.log_probs import kl, same_tokens, sequence_log_probs, token_log_probs
from transferlib.preference.ppo import ppo_loss


def test_sequence_log_probs_sum_the_answer_tokens_by_hand():
    logits, ids = text()
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    p = logits.softmax(-1)
    wanted = [
        math.log(p[0, 1, ids[0, 2]] * p[0, 2, ids[0, 3]]),
        sum(math.log(p[1, t - 1, ids[1, t]]) for t in range(1, 5)),
    ]
    assert sequence_log_probs(logits, ids, mask).tolist() == pytest.approx(wanted)
    assert token_log_probs(logits, ids)[:, 0].tolist() == [0, 0]


def test_kl_is_zero_at_the_reference_and_equals_its_definition():
    logits, _ = text()
    other, _ = text(seed=3)
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    assert kl(logits, logits, mask).abs().max() == 0
    each = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits), torch.distributions.Categorical(logits=other)
    )
    assert torch.allclose(kl(logits, other, mask), torch.stack([each[0, 1:3].sum(), each[1, 0:4].sum()]))


def test_log_probs_agree_with_cross_entropy():
    logits, ids = text()
    wanted = -F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(2, 4)
    assert torch.allclose(token_log_probs(logits, ids)[:, 1:], wanted)


def test_one_mask_for_all_texts_is_that_mask_repeated():
    (logits, ids), (other, _) = text(), text(seed=3)
    one = torch.tensor([[0, 0, 1, 1, 1]])
    both, new, old = one.repeat(2, 1), logits[..., 0], other[..., 0]
    assert torch.equal(sequence_log_probs(logits, ids, one), sequence_log_probs(logits, ids, both))
    assert torch.equal(kl(logits, other, one), kl(logits, other, both))
    assert torch.equal(ppo_loss(new, old, new[:, 0], one), ppo_loss(new, old, new[:, 0], both))


def banned(logits, token):
    out = logits.clone()
    out[..., token] = -math.inf
    return out


def test_kl_where_both_models_ban_a_token_is_that_of_the_tokens_left():
    (logits, _), (other, _) = text(), text(seed=3)
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    policy = banned(logits, 6).requires_grad_()
    found = kl(policy, banned(other, 6), mask)
    assert torch.allclose(found, kl(logits[..., :6], other[..., :6], mask))
    found.sum().backward()
    assert torch.isfinite(policy.grad).all() and policy.grad.abs().sum() > 0
    assert torch.equal(kl(logits, banned(other, 6), mask), torch.full((2,), math.inf, dtype=torch.double))
    assert torch.isfinite(kl(banned(logits, 6), other, mask)).all()
    only_masked = other.clone()
    only_masked[:, 4] = -math.inf  # the last logits predict nothing
    only_masked[0, 0] = banned(only_masked[0, 0], 6)  # and these stand before the first answer
    assert torch.isfinite(kl(logits, only_masked, mask)).all()


def test_a_banned_token_matters_only_inside_the_answer():
    logits, ids = text()
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 1, 1, 0]])
    ids[:, 1:4], ids[:, 4] = torch.tensor([0, 1, 2]), 6  # the padding is banned
    assert torch.allclose(sequence_log_probs(banned(logits, 6), ids, mask),
                          sequence_log_probs(logits[..., :6], ids.clamp(max=5), mask))  # fmt: skip
    with pytest.raises(UserError, match="Text 0 of the batch holds an answer token that the model bans"):
        sequence_log_probs(banned(logits, 1), ids, mask)
    log = token_log_probs(banned(logits, 6), ids).requires_grad_()
    loss = ppo_loss(log, log.detach(), torch.ones(2), mask)
    loss.backward()
    assert loss.item() == pytest.approx(-1) and torch.isfinite(log.grad).all()
    with pytest.raises(UserError, match="NaN or infinity"):
        token_log_probs(logits + math.inf, ids)


def test_bad_input_is_said_in_one_sentence():
    logits, ids = text()
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    with pytest.raises(UserError, match="Text 1 of the batch has no answer token"):
        sequence_log_probs(logits, ids, torch.tensor([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]))
    with pytest.raises(UserError, match="NaN or infinity"):
        token_log_probs(logits * math.nan, ids)
    with pytest.raises(UserError, match="'cat' has id 1 but the reward model's has 2"):
        same_tokens({"dog": 0, "cat": 1}, {"dog": 0, "cat": 2})
    same_tokens({"dog": 0}, {"dog": 0})
    with pytest.raises(UserError, match=r"mask has shape \(5,\)"):
        sequence_log_probs(logits, ids, mask[0])
    with pytest.raises(UserError, match=r"logits has shape \(2, 5, 7\)"):
        token_log_probs(logits, ids[:, :4])
    with pytest.raises(UserError, match=r"reference has shape \(2, 5, 6\)"):
        kl(logits, logits[..., :6], mask)
