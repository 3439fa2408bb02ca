"""The clipped objective by hand, and its way to the tilted reference on a bandit."""

import math

import pytest
import torch
from bandits import text

from transferlib.errors import UserError
from transferlib.preference.leash import leashed_reward
from transferlib.preference.ppo import ppo_loss


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "slope"),
    [
        (1.0, 2.0, 2.0, 2.0),
        (1.5, 2.0, 1.2 * 2, 0.0),
        (1.5, -2.0, -3.0, -3.0),
        (0.5, 2.0, 1.0, 1.0),
        (0.5, -2.0, -1.6, 0.0),
    ],
)
def test_ppo_clipped_objective_by_hand(ratio, advantage, objective, slope):
    old = torch.tensor([[0.0, -1.0]])
    new = (old + torch.tensor([[9.0, math.log(ratio)]])).requires_grad_()
    mask = torch.tensor([[0, 1]])
    loss = ppo_loss(new, old, torch.tensor([advantage]), mask)
    loss.backward()
    assert loss.item() == pytest.approx(-objective)
    assert new.grad.tolist()[0] == pytest.approx([0.0, -slope])
    assert ppo_loss(new, old, torch.tensor([[0.0, advantage]]), mask).item() == pytest.approx(-objective)


def test_ppo_with_the_kl_leash_reaches_the_tilted_reference_on_a_bandit():
    reward = torch.tensor([0.0, 1.0, -1.0], dtype=torch.double)
    ref, beta = torch.log_softmax(torch.tensor([0.5, -0.5, 0.0], dtype=torch.double), 0), 0.8
    logits = ref.clone().requires_grad_()
    optimiser = torch.optim.SGD([logits], lr=0.5)
    for _ in range(600):
        old = logits.log_softmax(0).detach()
        leashed = leashed_reward(reward, old, ref, beta)
        advantage = leashed - (old.exp() * leashed).sum()
        for _ in range(2):
            optimiser.zero_grad()
            # Every action is a text of one token; the mask weighs it by how often the old policy takes it.
            ppo_loss(logits.log_softmax(0)[:, None], old[:, None], advantage, old.exp()[:, None]).backward()
            optimiser.step()
    assert torch.allclose(logits.softmax(0), (ref + reward / beta).softmax(0), atol=1e-3)


def test_gradients_flow_to_the_policy_and_not_to_the_old_policy():
    new = torch.tensor([[0.0, -1.0]], requires_grad=True)
    ppo_loss(new, new, torch.ones(1), torch.ones(1, 2)).backward()  # ρ = 1, d ρ / d new = 1
    assert new.grad.tolist() == [[-0.5, -0.5]]


def test_bad_input_is_said_in_one_sentence():
    (logits, _), one = text(), torch.zeros(1)
    new = logits[..., 0]
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    with pytest.raises(UserError, match="clip = 0"):
        ppo_loss(new, new, one, mask, clip=0)
    with pytest.raises(UserError, match="no answer token"):
        ppo_loss(torch.zeros(1, 2), torch.zeros(1, 2), one, torch.zeros(1, 2))
    with pytest.raises(UserError, match=r"advantage has shape \(5,\)"):
        ppo_loss(new, new, torch.zeros(5), mask)
    with pytest.raises(UserError, match=r"old has shape \(1, 5\)"):
        ppo_loss(new, new[:1], torch.zeros(2), mask)
