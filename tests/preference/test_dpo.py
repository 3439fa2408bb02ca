"""DPO against a bandit with a known optimum, by hand, and without one."""

import math

import pytest
import torch
from bandits import REF, REWARD, minimise

from transferlib.errors import UserError
from transferlib.preference.dpo import dpo_loss


def test_dpo_on_a_bandit_is_the_reference_tilted_by_the_reward():
    reward = torch.tensor([0.0, 0.7, -1.2, 2.0], dtype=torch.double)
    ref, beta = torch.log_softmax(torch.tensor([0.3, -0.5, 1.0, 0.0], dtype=torch.double), 0), 0.6
    i, j = torch.triu_indices(4, 4, offset=1)
    wins = torch.sigmoid(reward[i] - reward[j])
    logits = torch.zeros(4, dtype=torch.double, requires_grad=True)

    def loss():
        p = logits.log_softmax(0)
        one, _, _ = dpo_loss(p[i], p[j], ref[i], ref[j], beta)
        two, _, _ = dpo_loss(p[j], p[i], ref[j], ref[i], beta)
        return (wins * one + (1 - wins) * two).mean()

    minimise([logits], loss)
    assert torch.allclose(logits.softmax(0), (ref + reward / beta).softmax(0), atol=1e-6)


def test_dpo_starts_at_log_two_and_its_implied_rewards_are_beta_log_ratios():
    a, b = torch.tensor([-3.0, -1.0]), torch.tensor([-2.0, -5.0])
    losses, _, _ = dpo_loss(a, b, a, b, 0.1)
    assert losses.tolist() == pytest.approx([math.log(2)] * 2)
    losses, chosen, rejected = dpo_loss(a, b, a - 1, b + 2, 0.1)
    assert chosen.tolist() == pytest.approx([0.1, 0.1])
    assert rejected.tolist() == pytest.approx([-0.2, -0.2])
    assert losses.tolist() == pytest.approx([math.log1p(math.exp(-0.3))] * 2)


def test_without_noise_in_the_labels_no_finite_policy_is_the_best():
    losses = []
    for push in (1.0, 4.0, 16.0):  # the better answer always wins: further is always better
        p = (REF + push * REWARD).log_softmax(0)
        losses.append(sum(dpo_loss(p[[i]], p[[j]], REF[[i]], REF[[j]], 0.5)[0] for i, j in ((1, 0), (2, 0), (2, 1))))
    assert losses[0] > losses[1] > losses[2] > 0


def test_bad_input_is_said_in_one_sentence():
    none, one, four = torch.zeros(0), torch.zeros(1), torch.zeros(4)
    with pytest.raises(UserError, match="got 0 chosen and 0 rejected"):
        dpo_loss(none, none, none, none, 0.1)
    with pytest.raises(UserError, match="beta = 0"):
        dpo_loss(one, one, one, one, 0)
    with pytest.raises(UserError, match=r"reference of the chosen has shape \(4, 1\), but \(4,\).*squeeze\(1\)"):
        dpo_loss(four, four, four[:, None], four[:, None], 0.1)  # the losses would be (4, 4)
    with pytest.raises(UserError, match="reference of the rejected"):
        dpo_loss(four, four, four, four[:1], 0.1)
