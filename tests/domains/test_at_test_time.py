import copy

import pytest
import torch
from torch import nn

from transferlib.backbones.freezing import hold_statistics
from transferlib.domains.at_test_time import Tent, batchnorms, check_batch, entropy, reestimate_batchnorm
from transferlib.errors import UserError


def network(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 5),
    )  # fmt: skip
    with torch.no_grad():
        net(torch.randn(32, 3, 8, 8))  # running statistics that are not 0 and 1
    return net.eval()


def target(n=40, seed=1):
    return 2 + 3 * torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def test_reestimation_equals_the_statistics_of_the_target_pass():
    net, x = network(), target()
    adapted = reestimate_batchnorm(net, [x])
    for old, layer in zip(batchnorms(net), batchnorms(adapted), strict=True):
        assert not torch.equal(old.running_mean, layer.running_mean)
    # On the same single batch, running statistics and batch statistics agree: σ² differs by n/(n − 1) only.
    h = x
    for module, new in zip(net, adapted, strict=True):
        if hasattr(new, "running_mean"):
            dims = [d for d in range(h.ndim) if d != 1]
            assert torch.allclose(new.running_mean, h.mean(dims), atol=1e-5)
            assert torch.allclose(new.running_var, h.var(dims), rtol=1e-4)
            h = nn.functional.batch_norm(h, None, None, module.weight, module.bias, training=True)
        else:
            h = module(h)


def test_several_batches_give_the_variance_of_all_values():
    layer, x = nn.BatchNorm1d(3), torch.randn(30, 3) + torch.arange(30)[:, None]
    # Unequal batches with drifting means: a mean of batch variances would miss the drift.
    adapted = reestimate_batchnorm(layer, [x[:5], x[5:12], x[12:]])
    assert torch.allclose(adapted.running_mean, x.mean(0), atol=1e-4)
    assert torch.allclose(adapted.running_var, x.var(0), rtol=1e-5)


def test_the_prior_counts_source_values():
    layer = nn.BatchNorm1d(2)  # source statistics 0 and 1
    x = 4 + torch.randn(10, 2)
    adapted = reestimate_batchnorm(layer, [x], prior=30)
    assert torch.allclose(adapted.running_mean, x.mean(0) * 10 / 40, atol=1e-5)
    assert torch.allclose(adapted.running_var, (30 * 1 + 10 * x.var(0)) / 40, atol=1e-5)


def test_reestimation_leaves_the_model_and_all_weights_alone():
    net = network()
    before = copy.deepcopy(net.state_dict())
    adapted = reestimate_batchnorm(net, [target()])
    assert same(before, net.state_dict())
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), adapted.parameters(), strict=True))
    assert not adapted.training
    assert adapted[1].momentum == 0.1
    assert not adapted[1]._forward_pre_hooks


def test_held_statistics_are_reestimated_and_adapted_like_live_ones():
    # A frozen or fine-tuned backbone holds its BatchNorm: .train() has no effect on it.
    live, held, x = network(), hold_statistics(network()), target()
    assert same(reestimate_batchnorm(live, [x]).state_dict(), reestimate_batchnorm(held, [x]).state_dict())
    assert torch.equal(Tent(live).adapt(x)[0], Tent(held).adapt(x)[0])


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


def test_bad_input_gets_one_sentence():
    net = network()
    with pytest.raises(UserError, match="batch has 1 example"):
        Tent(net).adapt(target(1))
    with pytest.raises(UserError, match="batch has 1 example"):
        reestimate_batchnorm(network(), [target(1)])
    with pytest.raises(UserError, match="got no batch"):
        reestimate_batchnorm(network(), [])
    with pytest.raises(UserError, match="prior = -1"):
        reestimate_batchnorm(network(), [target()], prior=-1)
    with pytest.raises(UserError, match="Linear has no BatchNorm"):
        Tent(nn.Linear(2, 2))
    with pytest.raises(UserError, match="affine=False"):
        Tent(nn.Sequential(nn.BatchNorm1d(2, affine=False)))
    for method in (Tent(network()).adapt, lambda x: reestimate_batchnorm(network(), [x])):
        with pytest.raises(UserError, match="40 examples holds NaN"):
            method(target() * float("nan"))
    with torch.no_grad():
        net[10].weight.fill_(float("inf"))
    with pytest.raises(UserError, match="entropy of 40 predictions is not finite"):
        Tent(net).adapt(target())
    assert len(check_batch(torch.zeros(2, 1))) == 2
