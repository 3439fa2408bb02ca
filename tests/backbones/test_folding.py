"""Folding changes the time and nothing else; what cannot be folded is left alone."""

import pytest
import torch
from torch import Tensor, nn

from transferlib.backbones.features import features
from transferlib.backbones.folding import folded
from transferlib.backbones.freezing import freeze
from transferlib.backbones.images import image_backbone
from transferlib.backbones.layer_features import EveryLayer
from transferlib.peft.lora import add_lora


def norms(model: nn.Module) -> int:
    return sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


def lived_in(model: nn.Module, seed: int = 0) -> nn.Module:
    """Running statistics and weights as after training, and not 0 and 1."""
    g = torch.Generator().manual_seed(seed)
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.copy_(torch.randn(m.running_mean.shape, generator=g))
            m.running_var.copy_(0.5 + torch.rand(m.running_var.shape, generator=g))
            m.weight.data.copy_(0.5 + torch.rand(m.weight.shape, generator=g))
            m.bias.data.copy_(torch.randn(m.bias.shape, generator=g))
    return model.eval()


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0", "resnet18", "mobilenetv3_small_100", "small-cnn", "convnext_atto"]
)
@torch.no_grad()
def test_a_folded_backbone_computes_the_same_and_the_original_stays(name: str) -> None:
    torch.manual_seed(0)
    backbone = lived_in(image_backbone(name, pretrained=False, size=32))
    x = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    before, wanted = {n: t.clone() for n, t in backbone.state_dict().items()}, backbone(x)
    small = folded(backbone, x[:2])
    assert torch.allclose(small(x), wanted, rtol=1e-3, atol=1e-5 * float(wanted.abs().max()))
    assert all(torch.equal(t, before[n]) for n, t in backbone.state_dict().items())
    assert torch.equal(backbone(x), wanted)
    if name == "convnext_atto":  # LayerNorm: nothing to fold
        assert small is backbone
    else:
        assert norms(backbone) > 0 and norms(small) == 0


@torch.no_grad()
def test_a_frozen_backbone_is_folded_too() -> None:
    backbone = freeze(lived_in(image_backbone("small-cnn", pretrained=False, size=28)))
    x = torch.randint(0, 256, (3, 3, 28, 28), dtype=torch.uint8)
    assert norms(folded(backbone, x)) == 0
    assert torch.allclose(folded(backbone, x)(x), backbone(x), rtol=1e-4, atol=1e-5)


class Twice(nn.Module):
    """The convolution's output goes to BatchNorm and around it: folding would change what goes around."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        return (self.norm(h) + h).mean((2, 3))


class Again(nn.Module):
    """One convolution, two BatchNorms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return (self.one(self.conv(x)) + self.two(self.conv(x.flip(3)))).mean((2, 3))


@pytest.mark.parametrize(
    "make",
    [
        Twice,
        Again,
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
    ],
)
@torch.no_grad()
def test_what_cannot_be_folded_is_returned_as_it_is(make) -> None:
    torch.manual_seed(0)
    model = make().eval()
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d) and m.running_var is not None:
            lived_in(m)
    assert folded(model, torch.randn(4, 3, 8, 8)) is model


@torch.no_grad()
def test_a_convolution_with_lora_is_not_folded() -> None:
    model = lived_in(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()))
    add_lora(model, 2, 4, "0").eval()
    model[0].b["default"].add_(1e-7)  # too little for the comparison of outputs to notice
    assert folded(model, torch.randn(2, 3, 6, 6)) is model


def test_features_of_many_batches_are_those_of_one() -> None:
    torch.manual_seed(0)
    backbone = lived_in(image_backbone("small-cnn", pretrained=False, size=28)).train()
    x = torch.randint(0, 256, (40, 3, 28, 28), dtype=torch.uint8)
    whole = features(backbone, x, batch_size=64)
    assert torch.allclose(features(folded(backbone, x[:4]), x, batch_size=8), whole, rtol=1e-4, atol=1e-5)
    assert backbone.training and norms(backbone) == 3
    assert torch.equal(features(backbone, x, batch_size=64), whole), "not asked for, nothing is folded"


def test_a_network_that_looks_at_its_own_layers_is_run_as_it_is() -> None:
    backbone = lived_in(image_backbone("efficientnet-lite0", pretrained=False, size=32))
    every = EveryLayer(backbone)
    x = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    whole = features(every, x)
    sizes = every.sizes
    assert torch.allclose(features(EveryLayer(backbone), x, batch_size=2), whole, rtol=1e-4, atol=1e-5)
    assert sizes == every.sizes and sum(sizes) == whole.shape[1]
