"""Policy gradients: the exact slope of the mean reward, summed over all that could be drawn."""

import itertools
import math

import pytest
import torch
from bandits import REF, REWARD

from transferlib.errors import UserError
from transferlib.preference.leash import leashed_reward, tilted
from transferlib.preference.policy_gradient import advantages, group_advantages, policy_gradient_loss


def test_advantages_are_leave_one_out():
    assert advantages(torch.tensor([1.0, 2.0, 6.0])).tolist() == pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5])


def mean_slope(compare, draws=3):
    """The slope of the loss, averaged over everything that could be drawn from the bandit."""
    logits = REF.clone().requires_grad_()
    total = torch.zeros(3, dtype=torch.double)
    for drawn in itertools.product(range(3), repeat=draws):
        rows = list(drawn)
        loss = policy_gradient_loss(logits.log_softmax(0)[rows], compare(REWARD[rows]))
        (slope,) = torch.autograd.grad(loss, logits)
        total += REF[rows].sum().exp() * slope
    return total


def test_rloo_is_unbiased_on_the_bandit():
    logits = REF.clone().requires_grad_()
    (exact,) = torch.autograd.grad(logits.softmax(0) @ REWARD, logits)
    assert torch.allclose(mean_slope(advantages), -exact, atol=1e-12)
    shrunk = mean_slope(lambda r: r - r.mean())  # the mean of all, itself included
    assert torch.allclose(shrunk, -exact * 2 / 3, atol=1e-12)


def test_grpo_points_along_no_fixed_multiple_of_the_slope():
    logits = REF.clone().requires_grad_()
    (exact,) = torch.autograd.grad(logits.softmax(0) @ REWARD, logits)
    ratio = mean_slope(group_advantages) / -exact
    assert ratio.min() > 0 and ratio.max() - ratio.min() > 0.01


def test_rloo_with_the_leash_stands_still_at_the_tilt():
    logits = tilted(REF, REWARD, 0.6).requires_grad_()
    p = logits.detach().log_softmax(0)
    leashed = leashed_reward(REWARD, p, REF, 0.6)  # equal for all answers, so nobody has an advantage
    assert advantages(leashed).abs().max() < 1e-12


def test_group_advantages_have_unit_spread_and_are_zero_where_nothing_differs():
    found = group_advantages(torch.tensor([1.0, 2.0, 6.0, 3.0]))
    assert found.mean().abs() < 1e-6 and found.std().item() == pytest.approx(1)
    assert group_advantages(torch.ones(3)).tolist() == [0, 0, 0]


def test_bad_input_is_said_in_one_sentence():
    with pytest.raises(UserError, match="two finite rewards"):
        advantages(torch.tensor([1.0, math.nan]))
    with pytest.raises(UserError, match=r"rewards has shape \(4, 1\)"):
        group_advantages(torch.zeros(4, 1))
    with pytest.raises(UserError, match="no answer"):
        policy_gradient_loss(torch.zeros(0), torch.zeros(0))
    with pytest.raises(UserError, match=r"advantage has shape \(4, 1\)"):
        policy_gradient_loss(torch.zeros(4), torch.zeros(4, 1))
