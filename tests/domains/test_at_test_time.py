import copy

import pytest
import torch
from normalised import network
from torch import nn

from transferlib.backbones.freezing import hold_statistics
from transferlib.domains.at_test_time import batchnorms, check_batch, reestimate_batchnorm
from transferlib.errors import UserError


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


def test_held_statistics_are_reestimated_like_live_ones():
    # A frozen or fine-tuned backbone holds its BatchNorm: .train() has no effect on it.
    live, held, x = network(), hold_statistics(network()), target()
    assert same(reestimate_batchnorm(live, [x]).state_dict(), reestimate_batchnorm(held, [x]).state_dict())


@pytest.mark.parametrize("side", [2, 8, 16])
def test_the_prior_counts_pictures_whatever_their_size(side):
    net = nn.Sequential(nn.BatchNorm2d(2))  # source statistics 0 and 1
    x = 4 + torch.randn(12, 2, side, side)
    adapted = reestimate_batchnorm(net, [x[:8], x[8:]], prior=36)[0]
    assert torch.allclose(adapted.running_mean, x.mean((0, 2, 3)) * 12 / 48, atol=1e-5)  # n / (N + n), n pictures
    assert torch.allclose(adapted.running_var, (36 * 1 + 12 * x.var((0, 2, 3))) / 48, atol=1e-5)


def test_a_layer_that_is_used_twice_still_counts_each_picture_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, x):
            return self.norm(x) + self.norm(x + 2)

    x = torch.randn(10, 2)
    adapted = reestimate_batchnorm(Twice(), [x], prior=10).norm
    assert torch.allclose(adapted.running_mean, 0.5 * (x.mean(0) + 1), atol=1e-5)


def test_bad_input_gets_one_sentence():
    with pytest.raises(UserError, match="batch has 1 example"):
        reestimate_batchnorm(network(), [target(1)])
    with pytest.raises(UserError, match="got no batch"):
        reestimate_batchnorm(network(), [])
    for prior in (-1, float("nan")):
        with pytest.raises(UserError, match=f"prior = {prior}"):
            reestimate_batchnorm(network(), [target()], prior=prior)
    with pytest.raises(UserError, match="Linear has no BatchNorm"):
        reestimate_batchnorm(nn.Linear(2, 2), [target()])
    with pytest.raises(UserError, match="40 examples holds NaN"):
        reestimate_batchnorm(network(), [target() * float("nan")])
    with pytest.raises(UserError, match=r"one tensor of shape \(40, 3, 8, 8\)"):
        reestimate_batchnorm(network(), target())  # would be read picture by picture
    assert len(check_batch(torch.zeros(2, 1))) == 2
