"""Loss weighting at its closed-form optimum and on gradients built by hand."""

import math

import pytest
import torch
from torch import nn

from transferlib.errors import UserError
from transferlib.multitask import GradNorm, UncertaintyWeights, gradient_cosine


def test_uncertainty_weights_reach_their_closed_form_optimum():
    losses = {"class": torch.tensor(0.7), "value": torch.tensor(3.0)}
    weights = UncertaintyWeights({"class": "classification", "value": "regression"})
    optimiser = torch.optim.LBFGS(weights.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        total = weights(losses)
        total.backward()
        return total

    optimiser.step(closure)
    assert weights.log_var["class"].exp().item() == pytest.approx(2 * 0.7, rel=1e-3)
    assert weights.log_var["value"].exp().item() == pytest.approx(3.0, rel=1e-3)
    by_hand = 0.7 / 1.4 + math.log(1.4) / 2 + 3.0 / (2 * 3.0) + math.log(3.0) / 2
    assert weights(losses).item() == pytest.approx(by_hand, rel=1e-5)


def test_uncertainty_weights_start_at_the_plain_sum_for_classification():
    weights = UncertaintyWeights({"a": "classification", "b": "classification"})
    assert weights({"a": torch.tensor(1.0), "b": torch.tensor(2.0)}).item() == 3.0
    assert weights({"b": torch.tensor(2.0)}).item() == 2.0


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


def test_gradient_cosine_by_hand():
    w = nn.Parameter(torch.tensor([1.0, 2.0]))
    along, other = torch.tensor([3.0, 4.0]), torch.tensor([4.0, -3.0])
    loss = (w * along).sum()
    assert gradient_cosine(loss, 2 * (w * along).sum(), [w]).item() == pytest.approx(1.0)
    assert gradient_cosine(loss, (w * other).sum(), [w]).item() == pytest.approx(0.0, abs=1e-6)
    assert gradient_cosine(loss, (w * torch.tensor([-1.0, 0.0])).sum(), [w]).item() == pytest.approx(-0.6)
    loss.backward()  # the graph is kept
    assert torch.equal(w.grad, along)


def test_bad_input_is_said_in_one_sentence():
    w = nn.Parameter(torch.ones(2))
    with pytest.raises(UserError, match="did you mean 'regression'"):
        UncertaintyWeights({"a": "regresion"})
    with pytest.raises(UserError, match="Unknown task 'categry': did you mean 'category'"):
        UncertaintyWeights({"category": "classification"})({"categry": w.sum()})
    with pytest.raises(UserError, match="No loss was given"):
        GradNorm(["a"]).update({}, w)
    with pytest.raises(UserError, match="alpha = -1"):
        GradNorm(["a"], alpha=-1)
    with pytest.raises(UserError, match=r"first loss of task 'a' is 0\.0"):
        GradNorm(["a"]).update({"a": 0 * w.sum()}, w)
    with pytest.raises(UserError, match="second loss has no gradient"):
        gradient_cosine(w.sum(), torch.ones(1, requires_grad=True).sum(), [w])


def test_a_loss_that_does_not_reach_the_shared_weight_is_named_and_leaves_no_trace():
    trunk, elsewhere = nn.Linear(3, 2).weight, torch.ones(1, requires_grad=True)
    for unreached in (elsewhere.sum(), torch.tensor(1.0)):  # another part of the graph, and no graph at all
        norm = GradNorm(["a", "b"])
        with pytest.raises(UserError, match="loss of task 'b' does not reach the shared weight"):
            norm.update({"b": unreached, "a": linear_losses(trunk, 1.0)["a"]}, trunk)
        assert norm.first == {} and all(w.item() == 1 for w in norm.weights.values())
        with pytest.raises(UserError, match="second loss has no gradient"):
            gradient_cosine(trunk.sum(), unreached, [trunk])


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
    with pytest.raises(UserError, match=r"task 'a' has shape \(3,\)"):
        UncertaintyWeights({"a": "regression"})({"a": torch.ones(3)})
    with pytest.raises(UserError, match="tasks are the single string 'ab'"):
        GradNorm("ab")
