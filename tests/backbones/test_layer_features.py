"""Features at every layer against the network written out by hand; a cut network keeps what it should."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from transferlib.backbones.images import image_backbone
from transferlib.backbones.layer_features import EveryLayer, graft, layer_features
from transferlib.backbones.layers import layers
from transferlib.errors import UserError
from transferlib.tuning.strategies import from_scratch, param_groups
from transferlib.tuning.training import fit

IMAGES = torch.randint(256, (9, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def network(seed=0):
    torch.manual_seed(seed)
    return image_backbone("small-cnn", pretrained=False, size=16)


def by_hand(net, x):
    z, out = (x / 255 - net.mean) / net.std, []
    for block in net.body.blocks:
        z = block(z)
        out.append(z)
    return out


def test_each_layer_is_the_mean_of_its_feature_map():
    net = network().eval()
    found = layer_features(net, IMAGES, batch_size=4)
    with torch.no_grad():
        truth = by_hand(net, IMAGES)
    assert list(found) == ["blocks.0", "blocks.1", "blocks.2"]
    for value, z in zip(found.values(), truth, strict=True):
        torch.testing.assert_close(value, z.mean((2, 3)))


def test_the_grid_is_the_largest_that_fits_the_width():
    net = network().eval()  # maps: 32 × 8 × 8, 64 × 4 × 4, 128 × 2 × 2
    found = layer_features(net, IMAGES, width=300)
    with torch.no_grad():
        truth = by_hand(net, IMAGES)
    for value, z, grid in zip(found.values(), truth, (3, 2, 1), strict=True):
        torch.testing.assert_close(value, F.adaptive_avg_pool2d(z, grid).flatten(1))
    assert layer_features(net, IMAGES, width=10**6)["blocks.2"].shape == (9, 128 * 4)  # never finer than the map


class Encoder(nn.Module):
    """Token ids to vectors in two layers, with a pad id of 7 and outputs in a tuple."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(4, 4)

        def forward(self, z):
            return (self.map(z),)

    def __init__(self):
        super().__init__()
        self.embeddings, self.layer = nn.Embedding(20, 4), nn.ModuleList([self.Block(), self.Block()])
        self.tokenizer = type("Tokenizer", (), {"pad_token_id": 7})()

    def forward(self, ids):
        z = self.embeddings(ids[:, : int(ids.ne(7).sum(1).max())])
        for block in self.layer:
            (z,) = block(z)
        return z.mean(1)


def test_tokens_are_averaged_without_padding():
    torch.manual_seed(0)
    net = Encoder()
    ids = torch.tensor([[3, 4, 5, 7], [2, 7, 7, 7]])
    found = layer_features(net, ids)
    with torch.no_grad():
        start = torch.stack([net.embeddings(torch.tensor([3, 4, 5])).mean(0), net.embeddings(torch.tensor(2))])
        truth = [start, net.layer[0].map(start), net.layer[1].map(net.layer[0].map(start))]
    for value, z in zip(found.values(), truth, strict=True):
        torch.testing.assert_close(value, z)


def test_no_hook_stays_behind():
    net = network()
    layer_features(net, IMAGES)
    assert not any(module._forward_hooks for module in net.modules())


def test_an_output_that_cannot_be_pooled_gets_one_sentence():
    with pytest.raises(UserError, match="can be pooled"):
        layer_features(nn.Sequential(nn.Linear(3, 3)), torch.zeros(2, 3))


def test_a_grafted_network_trains_its_new_layers_only():
    old = network(1)
    for module in old.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(0.3)
    model = from_scratch(2, "small-cnn", size=16, seed=2)
    third = layers(model.backbone)[2].modules[0].state_dict()["0.weight"].clone()
    graft(model.backbone, old, keep=2)
    assert torch.equal(layers(model.backbone)[2].modules[0].state_dict()["0.weight"], third)
    fit(model, IMAGES, torch.arange(9) % 2, groups=param_groups(model, 0.1, 0.1), steps=3)
    for k, (mine, theirs) in enumerate(zip(layers(model.backbone), layers(old), strict=True)):
        pairs = zip(mine.modules[0].state_dict().values(), theirs.modules[0].state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == (k < 2)
    assert not torch.equal(layers(model.backbone)[2].modules[0].state_dict()["0.weight"], third)


def test_cuts_that_are_not_there_are_refused():
    with pytest.raises(UserError, match="0 to 3"):
        graft(network(), network(), 4)
    with pytest.raises(UserError, match="different layers"):
        graft(network(), EveryLayer(network()), 1)
