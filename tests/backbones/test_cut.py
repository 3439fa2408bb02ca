"""The cut network is the whole one: same features, same training, and a cut that would change it is refused."""

import pytest
import torch
from packaged import weights_or_skip
from torch import nn

from transferlib.backbones.cut import activations, split
from transferlib.backbones.freezing import is_frozen
from transferlib.backbones.images import ImageBackbone, image_backbone
from transferlib.errors import UserError
from transferlib.tuning.strategies import Classifier, param_groups, partial_fine_tune
from transferlib.tuning.training import fit, logits


def images(n=24, size=16):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_features_are_the_backbones_wherever_it_is_cut():
    weights_or_skip("efficientnet-lite0")
    backbone, x = image_backbone(size=32).eval(), images(3, 32)
    whole = backbone(x)
    for k in (0, 1, 4, 9):
        front, back = split(image_backbone(size=32), k)
        assert torch.allclose(back.eval()(activations(front, x)), whole, atol=1e-5)
        assert all(is_frozen(m) for m in front.body.modules() if list(m.parameters(recurse=False)))


def test_training_the_back_equals_partial_fine_tuning():
    torch.manual_seed(0)
    state = image_backbone("small-cnn", pretrained=False, size=16).state_dict()
    x, y = images(), torch.arange(24) % 3

    def fresh():
        backbone = image_backbone("small-cnn", pretrained=False, size=16)
        backbone.load_state_dict(state)
        return backbone

    partial = partial_fine_tune(3, fresh(), train_last=1, seed=5)
    fit(partial, x, y, groups=param_groups(partial, 1e-2, 1e-3), steps=6, batch_size=8)
    other = partial_fine_tune(3, fresh(), train_last=1, seed=5)
    front, back = split(other.backbone, 1)
    model = Classifier(back, other.head)
    fit(model, activations(front, x), y, groups=param_groups(model, 1e-2, 1e-3), steps=6, batch_size=8)
    assert torch.allclose(logits(model, activations(front, x)), logits(partial, x), atol=1e-5)


def test_the_check_leaves_flags_and_buffers_alone():
    backbone = image_backbone("small-cnn", pretrained=False, size=16).train()
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    split(backbone, 3)
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())
    assert all(m.training for m in backbone.modules())


def test_what_cannot_be_cut_is_refused():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))

        def forward(self, x):
            return (self.blocks(x) + x).flatten(1)

    with pytest.raises(UserError, match="Skips does not run its layers one after the other"):
        split(ImageBackbone(Skips(), 3 * 64, 8, (0.5,) * 3, (0.5,) * 3), 1)
    with pytest.raises(UserError, match=r"train_last = 4 .* 3 layers"):
        split(image_backbone("small-cnn", pretrained=False, size=16), 4)
