"""IPO against its closed optimum on a bandit, and where every pair goes one way."""

import pytest
import torch
from bandits import REF, REWARD, minimise

from transferlib.errors import UserError
from transferlib.preference.ipo import ipo_loss


def optimum(wins, tau):
    """Log-probabilities of the policy with the least IPO loss, over all ordered pairs."""
    logits = REF.clone().requires_grad_()
    i, j = torch.cartesian_prod(torch.arange(3), torch.arange(3)).T

    def loss():
        p = logits.log_softmax(0)
        return (wins[i, j] * ipo_loss(p[i], p[j], REF[i], REF[j], tau)).sum()

    minimise([logits], loss)
    return logits.detach().log_softmax(0)


@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_the_optimum_tilts_by_how_often_an_answer_wins(tau):
    wins = torch.sigmoid(REWARD[:, None] - REWARD)  # (3, 3) how often row beats column
    assert torch.allclose(optimum(wins, tau), (REF + wins.mean(1) / tau).log_softmax(0), atol=1e-6)


def test_the_optimum_is_finite_where_the_better_answer_always_wins():
    wins = (REWARD[:, None] > REWARD).double() + 0.5 * torch.eye(3)
    found = optimum(wins, 0.25)
    assert torch.allclose(found, (REF + wins.mean(1) / 0.25).log_softmax(0), atol=1e-6)
    ratio = found - REF
    assert ratio.max() - ratio.min() <= 1 / 0.25


def test_bad_input_is_said_in_one_sentence():
    four = torch.zeros(4)
    with pytest.raises(UserError, match="tau = 0"):
        ipo_loss(four, four, four, four, 0)
    with pytest.raises(UserError, match=r"reference of the chosen has shape \(4, 1\)"):
        ipo_loss(four, four, four[:, None], four, 0.1)
