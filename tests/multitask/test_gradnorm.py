"""GradNorm on gradients whose sizes are built by hand."""

import math

import pytest
import torch
from torch import nn

from transferlib.errors import UserError
from transferlib.multitask.gradnorm import GradNorm


def linear_losses(trunk, *scales):
    """Losses whose gradient at the trunk has exactly these norms, all with the value 1."""
    unit = torch.zeros_like(trunk)
    unit[0, 0] = 1.0
    value = (trunk * unit).sum()
    return {name: s * (value - value.detach()) + 1.0 for name, s in zip("abc", scales, strict=False)}


def test_gradnorm_equalises_constructed_gradient_norms():
    trunk, norm = nn.Linear(3, 2).weight, GradNorm(["a", "b", "c"], alpha=0.0)
    for _ in range(400):
        norm.update(linear_losses(trunk, 1.0, 2.0, 10.0), trunk)
        assert sum(w.item() for w in norm.weights.values()) == pytest.approx(3.0, abs=1e-5)
    a, b, c = (norm.weights[t].item() for t in "abc")
    assert a == pytest.approx(1.875, rel=0.1)  # 3 · (1/1) / (1/1 + 1/2 + 1/10): all norms are 1.875 then
    assert b * 2.0 == pytest.approx(1.875, rel=0.1)
    assert c * 10.0 == pytest.approx(1.875, rel=0.2)  # Adam's last steps shake the smallest weight most


def test_gradnorm_s_target_is_a_constant():
    trunk, norm = nn.Linear(3, 2).weight, GradNorm(["a", "b", "c"], alpha=0.0)
    norm.update(linear_losses(trunk, 1.0, 2.0, 10.0), trunk)
    assert [norm.weights[t].grad.item() for t in "abc"] == [-1.0, -2.0, 10.0]  # ± the task's own gradient norm


def test_gradnorm_gives_the_slow_task_more_by_the_power_alpha():
    trunk, norm = nn.Linear(3, 2).weight, GradNorm(["a", "b"], alpha=1.0, lr=0.005)
    norm.update(linear_losses(trunk, 1.0, 1.0), trunk)
    for _ in range(600):  # task a has halved since its first step, task b has not
        losses = linear_losses(trunk, 1.0, 1.0)
        norm.update({"a": losses["a"] - 0.5, "b": losses["b"]}, trunk)
    assert norm.weights["b"].item() / norm.weights["a"].item() == pytest.approx(2.0, rel=0.05)


def test_gradnorm_takes_the_first_loss_from_each_task_s_own_first_step():
    trunk, norm = nn.Linear(3, 2).weight, GradNorm(["a", "b"])
    losses = linear_losses(trunk, 1.0, 1.0)
    norm.update({"a": losses["a"] + 4}, trunk)
    norm.update({"a": losses["a"], "b": losses["b"] + 1}, trunk)
    assert norm.first == {"a": 5.0, "b": 2.0}


def test_gradnorm_total_is_the_weighted_sum_and_reaches_the_trunk_alone():
    trunk, norm = nn.Parameter(torch.randn(2, 3)), GradNorm(["a", "b"], alpha=0.0)
    for _ in range(3):
        before = {t: w.item() for t, w in norm.weights.items()}
        total = norm.update(linear_losses(trunk, 1.0, 3.0), trunk)
        trunk.grad = None
        total.backward()
        assert trunk.grad[0, 0].item() == pytest.approx(before["a"] + 3 * before["b"], rel=1e-5)
    assert before["a"] != 1.0


def test_a_loss_that_does_not_reach_the_shared_weight_is_named_and_leaves_no_trace():
    trunk, elsewhere = nn.Linear(3, 2).weight, torch.ones(1, requires_grad=True)
    for unreached in (elsewhere.sum(), torch.tensor(1.0)):  # another part of the graph, and no graph at all
        norm = GradNorm(["a", "b"])
        with pytest.raises(UserError, match="loss of task 'b' has no gradient at the shared weights"):
            norm.update({"b": unreached, "a": linear_losses(trunk, 1.0)["a"]}, trunk)
        assert norm.first == {} and all(w.item() == 1 for w in norm.weights.values())


def test_a_first_loss_that_was_refused_is_not_remembered():
    trunk, norm = nn.Linear(3, 2).weight, GradNorm(["a"])
    good = linear_losses(trunk, 1.0)["a"]
    with pytest.raises(UserError, match="needs a positive one"):
        norm.update({"a": 0 * good}, trunk)
    norm.update({"a": good}, trunk)
    assert norm.first == {"a": 1.0}


def test_losses_that_ruin_the_weights_are_refused_and_zeros_are_not():
    trunk = nn.Linear(3, 2).weight
    losses = linear_losses(trunk, 1.0, 2.0)
    for bad in (math.nan, math.inf, -2.0):
        norm = GradNorm(["a", "b"])
        norm.update(losses, trunk)
        before = {t: w.item() for t, w in norm.weights.items()}
        with pytest.raises(UserError, match=r"task 'b' is .* finite losses ≥ 0"):
            norm.update({"a": losses["a"], "b": losses["b"] - 1 + bad}, trunk)
        assert before == {t: w.item() for t, w in norm.weights.items()}
    norm.update({t: 0 * loss for t, loss in losses.items()}, trunk)
    assert all(math.isfinite(w.item()) for w in norm.weights.values())
    with pytest.raises(UserError, match="tasks are the single string 'ab'"):
        GradNorm("ab")


def test_bad_input_is_said_in_one_sentence():
    w = nn.Parameter(torch.ones(2))
    with pytest.raises(UserError, match="No loss was given"):
        GradNorm(["a"]).update({}, w)
    with pytest.raises(UserError, match="alpha = -1"):
        GradNorm(["a"], alpha=-1)
    with pytest.raises(UserError, match=r"first loss of task 'a' is 0\.0"):
        GradNorm(["a"]).update({"a": 0 * w.sum()}, w)
    with pytest.raises(UserError, match=r"task 'a' has shape \(\): pass one mean for each network"):
        GradNorm(["a"], shape=(2,)).update({"a": w.sum()}, w)


def test_networks_side_by_side_get_the_weights_of_each_alone():
    torch.manual_seed(0)
    trunks = torch.randn(3, 4, 2, requires_grad=True)
    aims = {"a": torch.randn(3, 4, 2), "b": 5 * torch.randn(3, 4, 2)}
    both, alone = GradNorm("a b".split(), shape=(3,)), [GradNorm("a b".split()) for _ in range(3)]
    for step in range(5):
        losses = {t: (trunks * 0.9**step - aim).square().sum((1, 2)) for t, aim in aims.items()}
        total = both.update(losses, trunks)
        for s, norm in enumerate(alone):
            own = trunks[s].detach().requires_grad_()
            mine = norm.update({t: (own * 0.9**step - aim[s]).square().sum() for t, aim in aims.items()}, own)
            assert mine.item() == pytest.approx(total[s].item(), rel=1e-4)
    for t in aims:
        expected = [norm.weights[t].item() for norm in alone]
        assert both.weights[t].tolist() == pytest.approx(expected, rel=1e-4)


def test_the_total_may_be_minimised_after_the_weights_have_moved():
    shared = torch.ones(2, 3, requires_grad=True)
    total = GradNorm(["a"], shape=(2,)).update({"a": shared.square().sum(1)}, shared)
    total.sum().backward()
    assert torch.equal(shared.grad, 2 * torch.ones(2, 3))
