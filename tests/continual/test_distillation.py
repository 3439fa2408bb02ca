"""Distillation against torch's own divergence, and at its end points."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.continual.distillation import distillation
from transferlib.errors import UserError

TABLES = [((2, 3), (2, 4)), ((2, 3), (3, 3)), ((0, 3), (0, 3)), ((2, 1), (2, 1)), ((3,), (3,))]  # none of them fits


def two(n: int = 6, c: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    scores, remembered = (3 * torch.randn(n, c, generator=g, dtype=torch.float64) for _ in range(2))
    return scores.requires_grad_(), remembered


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 7.0])
def test_it_is_torchs_divergence_times_the_squared_temperature(temperature: float) -> None:
    scores, remembered = two()
    p, q = (F.log_softmax(t / temperature, dim=1) for t in (scores, remembered))
    theirs = temperature**2 * F.kl_div(p, q, reduction="batchmean", log_target=True)
    torch.testing.assert_close(distillation(scores, remembered, temperature), theirs)


def test_the_papers_cross_entropy_has_the_same_gradient() -> None:
    scores, remembered = two()
    paper = 4 * F.cross_entropy(scores / 2, (remembered / 2).softmax(1))
    (theirs,) = torch.autograd.grad(paper, scores)
    (ours,) = torch.autograd.grad(distillation(scores, remembered), scores)
    torch.testing.assert_close(ours, theirs)
    entropy = -((remembered / 2).softmax(1) * (remembered / 2).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(paper - distillation(scores, remembered), 4 * entropy)


def test_the_same_answers_cost_nothing_and_pull_nowhere() -> None:
    scores, _ = two()
    loss = distillation(scores, scores.detach() + 5.0)  # softmax does not see a constant
    (slope,) = torch.autograd.grad(loss, scores)
    assert abs(loss.item()) < 1e-12 and slope.abs().max() < 1e-12


def test_a_high_temperature_compares_the_centred_scores() -> None:
    scores, remembered = two()
    (slope,) = torch.autograd.grad(distillation(scores, remembered, 1e4), scores)
    away = (scores - remembered).detach()
    torch.testing.assert_close(slope, (away - away.mean(1, keepdim=True)) / (4 * 6), rtol=1e-3, atol=1e-5)


def test_a_low_temperature_asks_for_the_old_winner_only() -> None:
    scores, remembered = two()
    t = 1e-3
    (slope,) = torch.autograd.grad(distillation(scores, remembered, t), scores)
    hard = torch.autograd.grad(t**2 * F.cross_entropy(scores / t, remembered.argmax(1)), scores)[0]
    torch.testing.assert_close(slope, hard)


def test_weight_zero_leaves_the_plain_loss_and_the_old_network_gets_no_gradient() -> None:
    torch.manual_seed(0)
    model, old, x, y = nn.Linear(3, 2), nn.Linear(3, 2), torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 1])
    plain = torch.autograd.grad(F.cross_entropy(model(x), y), [*model.parameters()])
    both = F.cross_entropy(model(x), y) + 0.0 * distillation(model(x), old(x))
    for a, b in zip(plain, torch.autograd.grad(both, [*model.parameters()], retain_graph=True), strict=True):
        assert torch.equal(a, b)
    distillation(model(x), old(x)).backward()
    assert old.weight.grad is None and model.weight.grad is not None


@pytest.mark.parametrize(("one", "other"), TABLES)
def test_other_tables_are_refused(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"two tables \(N, C\) of one shape"):
        distillation(torch.zeros(one), torch.zeros(other))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature: float) -> None:
    with pytest.raises(UserError, match="use a number above 0"):
        distillation(torch.zeros(1, 2), torch.zeros(1, 2), temperature)
