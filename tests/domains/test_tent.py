"""TENT and SAR: what moves, what comes back, and what they make of networks without BatchNorm."""

import copy
import math

import pytest
import torch
from normalised import network
from torch import nn

from transferlib.backbones.freezing import hold_statistics
from transferlib.domains.at_test_time import batchnorms
from transferlib.domains.sar import Sar
from transferlib.domains.tent import Tent, affine_parameters, entropy
from transferlib.errors import UserError


def without_batchnorm(norm):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), norm, nn.Tanh(), nn.Linear(8, 5))
    with torch.no_grad():
        net[4].weight.mul_(4)  # predictions that differ in how certain they are
    return net


def target(n=40, seed=1):
    return 2 + 3 * torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def test_entropy_of_known_predictions():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0]])
    assert entropy(logits).tolist() == pytest.approx([1.3862944, 0.0], abs=1e-6)


def test_tent_changes_only_affine_batchnorm_parameters():
    net = network()
    before = copy.deepcopy(net.state_dict())
    tent = Tent(net, lr=1e-2)
    for seed in range(3):
        tent.adapt(target(seed=seed))
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    affine = {f"{i}.{name}" for i in (1, 5, 9) for name in ("weight", "bias")}
    counters = {f"{i}.num_batches_tracked" for i in (1, 5, 9)}
    assert affine <= changed <= affine | counters


def test_tent_predicts_with_batch_statistics_and_without_dropout():
    net, x = network(), target()
    by_hand = copy.deepcopy(net)
    for layer in batchnorms(by_hand):
        layer.train()
    assert torch.allclose(Tent(net).adapt(x)[0], by_hand(x), atol=1e-5)


def test_tent_lowers_the_entropy():
    tent, x = Tent(network(), lr=5e-2), target()
    values = [tent.adapt(x)[1] for _ in range(30)]
    assert values[-1] < 0.8 * values[0]


@pytest.mark.parametrize("training", [True, False])
def test_restore_gives_the_source_model_back_exactly(training):
    net = network().train(training)
    net[0].weight.requires_grad_(False)
    net[5].eval()
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    tent = Tent(net, lr=1e-1)
    for _ in range(5):
        tent.adapt(target())
    assert tent.restore() is net
    assert same(before, net.state_dict())
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * (len(list(net.parameters())) - 1)
    assert [m.training for m in net.modules()] == modes
    assert net[1].momentum == 0.1
    assert all(p.grad is None for p in net.parameters())


def test_a_class_ruled_out_adds_nothing_to_the_entropy_or_its_gradient():
    logits = torch.tensor([[0.0, 1.0, -torch.inf]], requires_grad=True)
    entropy(logits).sum().backward()
    two = torch.tensor([[0.0, 1.0]], requires_grad=True)
    entropy(two).sum().backward()
    assert entropy(logits).item() == pytest.approx(entropy(two).item())
    assert torch.allclose(logits.grad, torch.cat([two.grad, torch.zeros(1, 1)], 1))


def test_held_statistics_are_adapted_like_live_ones():
    # A frozen or fine-tuned backbone holds its BatchNorm: .train() has no effect on it.
    x = target()
    assert torch.equal(Tent(network()).adapt(x)[0], Tent(hold_statistics(network())).adapt(x)[0])


NORMS = {
    "layer": lambda: nn.LayerNorm(8),
    "group": lambda: nn.GroupNorm(2, 8),
    "rms": lambda: nn.RMSNorm(8),
    "batch": lambda: nn.BatchNorm1d(8),
    "batch without statistics": lambda: nn.BatchNorm1d(8, track_running_stats=False),
}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("method", [Tent, lambda model, lr: Sar(model, lr, certain=1.0)])
def test_every_normalisation_layer_is_adapted_and_nothing_else(name, method):
    net = without_batchnorm(NORMS[name]()).eval()
    before, tent = copy.deepcopy(net.state_dict()), method(net, lr=5e-2)
    values = [tent.adapt(target())[1] for _ in range(20)]
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])} - {"2.num_batches_tracked"}
    assert changed == {f"2.{n}" for n, _ in net[2].named_parameters()} and changed
    assert values[-1] < 0.9 * values[0]
    assert same(before, tent.restore().state_dict())


def test_layernorm_and_groupnorm_adapt_to_a_batch_of_one_and_batchnorm_does_not():
    for norm in (nn.LayerNorm(8), nn.GroupNorm(2, 8)):
        tent = Tent(without_batchnorm(norm), lr=1e-2)
        values = [tent.adapt(target(1))[1] for _ in range(10)]
        assert values[-1] < values[0]
    with pytest.raises(UserError, match="batch has 1 example"):
        Tent(without_batchnorm(nn.BatchNorm1d(8))).adapt(target(1))


def test_adapt_after_restore_begins_anew_from_the_source():
    net, x = network(), target()
    tent = Tent(net, lr=1e-2)
    first = [tent.adapt(x) for _ in range(3)]
    before = copy.deepcopy(tent.restore().state_dict())
    again = [tent.adapt(x) for _ in range(3)]  # with the batch's statistics and a fresh optimiser, as the first time
    assert all(torch.equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(first, again, strict=True))
    assert same(before, tent.restore().state_dict())


def test_a_second_restore_keeps_what_was_done_in_between():
    net = network()
    tent = Tent(net)
    tent.adapt(target())
    tent.restore()
    with torch.no_grad():
        net[0].weight.add_(1)
    trained = net[0].weight.clone()
    assert torch.equal(tent.restore()[0].weight, trained)


def test_a_step_of_sar_is_the_paper_s_by_hand():
    net, x = without_batchnorm(nn.LayerNorm(8)).double(), target().double()
    by_hand, rho, bound = copy.deepcopy(net), 0.3, 0.8 * math.log(5)
    sar = Sar(net, lr=0.1, certain=0.8, rho=rho)
    sar.optimiser = torch.optim.SGD(sar.moving, lr=0.1)
    sar.adapt(x)
    moving = [by_hand[2].weight, by_hand[2].bias]

    def gradient(keep):
        h = entropy(by_hand(x))
        keep = keep & (h < bound)
        return torch.autograd.grad(h[keep].mean(), moving), keep

    g, keep = gradient(torch.ones(40, dtype=torch.bool))
    assert 0 < keep.sum() < 40  # some are left out
    length = torch.cat(g).norm()
    with torch.no_grad():
        for p, d in zip(moving, g, strict=True):
            p.add_(rho * d / length)
    worst, _ = gradient(keep)
    with torch.no_grad():
        for p, d, w in zip(moving, g, worst, strict=True):
            p.sub_(rho * d / length + 0.1 * w)
    assert torch.allclose(net[2].weight, moving[0]) and torch.allclose(net[2].bias, moving[1])
    assert not torch.allclose(g[0], worst[0], rtol=1e-3)


def test_sar_does_nothing_when_nothing_is_certain():
    net = without_batchnorm(nn.LayerNorm(8))
    nn.init.zeros_(net[4].weight)
    nn.init.zeros_(net[4].bias)
    before, sar = copy.deepcopy(net.state_dict()), Sar(net, lr=0.1)
    assert sar.adapt(target())[1] == pytest.approx(math.log(5))
    assert same(before, net.state_dict())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_in_which_steps_vanish_is_refused(kind):
    with pytest.raises(UserError, match=f"{kind}.*float32"):
        Tent(without_batchnorm(nn.LayerNorm(8)).to(kind))


def test_bad_input_gets_one_sentence():
    net = network()
    with pytest.raises(UserError, match="batch has 1 example"):
        Tent(net).adapt(target(1))
    with pytest.raises(UserError, match="Linear has no BatchNorm, LayerNorm, GroupNorm"):
        Tent(nn.Linear(2, 2))
    with pytest.raises(UserError, match="affine=False"):
        Tent(nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.LayerNorm(3, elementwise_affine=False)))
    with pytest.raises(UserError, match="40 examples holds NaN"):
        Tent(network()).adapt(target() * float("nan"))
    with pytest.raises(UserError, match="certain = 0"):
        Sar(network(), certain=0)
    with pytest.raises(UserError, match="rho = -1"):
        Sar(network(), rho=-1)
    with torch.no_grad():
        net[10].weight.fill_(float("inf"))
    with pytest.raises(UserError, match="entropy of 40 predictions is not finite"):
        Tent(net).adapt(target())
    twice = nn.LayerNorm(8)
    assert len(affine_parameters(nn.Sequential(twice, twice))) == 2
