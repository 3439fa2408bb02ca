"""The leash, and the policy that it asks for."""

import pytest
import torch
from bandits import REF, REWARD

from transferlib.errors import UserError
from transferlib.preference.leash import leashed_reward, tilted


def test_the_leash_takes_the_log_ratio_off_and_passes_no_gradient():
    policy = torch.tensor([-1.0, -4.0], requires_grad=True)
    leashed = leashed_reward(torch.tensor([1.0, 2.0]), policy, torch.tensor([-2.0, -2.0]), 0.5)
    assert leashed.tolist() == [0.5, 3.0]
    assert not leashed.requires_grad


def test_no_policy_has_more_leashed_reward_than_the_tilt():
    beta = 0.7
    best = tilted(REF, REWARD, beta)

    def leashed(log_probs):
        return (log_probs.exp() * leashed_reward(REWARD, log_probs, REF, beta)).sum()

    assert leashed(best).item() == pytest.approx(beta * (REF + REWARD / beta).logsumexp(0).item())
    g = torch.Generator().manual_seed(0)
    for _ in range(200):
        assert leashed((best + 0.3 * torch.randn(3, generator=g)).log_softmax(0)) < leashed(best)


def test_the_tilt_by_hand():
    weights = torch.tensor([0.5, 0.3 * 2.718281828, 0.2 * 2.718281828**2], dtype=torch.double)
    assert torch.allclose(tilted(REF, REWARD, 1.0).exp(), weights / weights.sum())
    assert torch.equal(tilted(REF.expand(4, 3), REWARD.expand(4, 3), 1.0)[2], tilted(REF, REWARD, 1.0))


def test_bad_input_is_said_in_one_sentence():
    four = torch.zeros(4)
    with pytest.raises(UserError, match="beta = -1"):
        leashed_reward(four, four, four, -1)
    with pytest.raises(UserError, match=r"reference has shape \(4, 1\)"):
        leashed_reward(four, four, four[:, None], 0.1)
    with pytest.raises(UserError, match="beta = 0"):
        tilted(four, four, 0)
    with pytest.raises(UserError, match=r"reward has shape \(3,\)"):
        tilted(four, four[:3], 1.0)
