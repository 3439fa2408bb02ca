"""Bradley–Terry rewards: known ones come back, and the Newton fit stands at the bottom."""

import pytest
import torch
from bandits import minimise
from sklearn.linear_model import LogisticRegression

from transferlib.errors import UserError
from transferlib.preference.reward_model import fit_reward, reward_loss


def test_bradley_terry_recovers_known_rewards():
    truth = torch.tensor([0.0, 0.7, -1.2, 2.0], dtype=torch.double)
    i, j = torch.triu_indices(4, 4, offset=1)
    wins = torch.sigmoid(truth[i] - truth[j])  # how often i is preferred to j
    reward = torch.zeros(4, dtype=torch.double, requires_grad=True)
    minimise(
        [reward],
        lambda: (wins * reward_loss(reward[i], reward[j]) + (1 - wins) * reward_loss(reward[j], reward[i])).mean(),
    )
    assert torch.allclose(reward - reward[0], truth - truth[0], atol=1e-5)


def some_pairs(seed=0, count=60, width=5):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, width, generator=g, dtype=torch.double) + torch.tensor([0.3, 0.0]).view(2, 1, 1)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 10.0])
def test_the_fit_is_logistic_regression_on_the_differences(ridge):
    chosen, rejected = some_pairs()
    d = (chosen - rejected).numpy()
    peer = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-10, max_iter=10_000)
    peer.fit([*d, *-d], [1] * len(d) + [0] * len(d), sample_weight=[0.5] * 2 * len(d))
    assert torch.allclose(fit_reward(chosen, rejected, ridge), torch.from_numpy(peer.coef_[0]), atol=1e-4)


def test_the_fit_finds_the_bottom_where_all_pairs_can_be_told_apart():
    chosen, rejected = some_pairs(count=4, width=20)  # fewer pairs than features
    w = fit_reward(chosen, rejected, 1e-6).requires_grad_()
    loss = reward_loss(chosen @ w, rejected @ w).sum() + 1e-6 / 2 * (w @ w)
    (slope,) = torch.autograd.grad(loss, w)
    assert slope.abs().max() < 1e-6
    assert ((chosen - rejected) @ w > 0).all()


def test_a_whole_newton_step_that_leads_uphill_is_halved():
    """Pairs of unlike sizes: whole steps alone run away from the bottom, to weights of some 300,000."""
    chosen = torch.tensor([[1, 2], [30, 30], [-1, 3], [200, 300], [1, 0], [-20, 10]], dtype=torch.double)
    w = fit_reward(chosen, torch.zeros_like(chosen), 1e-3).requires_grad_()
    loss = reward_loss(chosen @ w, torch.zeros(6, dtype=torch.double)).sum() + 1e-3 / 2 * (w @ w)
    (slope,) = torch.autograd.grad(loss, w)
    assert slope.abs().max() < 1e-6


def test_bad_input_is_said_in_one_sentence():
    one, table = torch.zeros(1), torch.zeros(4, 1)
    with pytest.raises(UserError, match="got 0 chosen and 0 rejected"):
        reward_loss(one[:0], one[:0])
    with pytest.raises(UserError, match="1 chosen and 2 rejected"):
        reward_loss(one, torch.zeros(2))
    for chosen, rejected in ((table, table), (torch.zeros(4), table), (table, torch.zeros(4))):
        with pytest.raises(UserError, match=r"shape \(4, 1\)"):
            reward_loss(chosen, rejected)
    with pytest.raises(UserError, match="ridge = 0"):
        fit_reward(table, table, 0.0)
    with pytest.raises(UserError, match=r"chosen answers have shape \(0, 3\)"):
        fit_reward(torch.zeros(0, 3), torch.zeros(0, 3))
    with pytest.raises(UserError, match=r"rejected has shape \(4, 2\), but \(4, 1\)"):
        fit_reward(table, torch.zeros(4, 2))
