"""The kept output of the frozen layers is what they compute, and is computed once."""

import joblib
import pytest
import torch

from transferlib.backbones.cut import activations, split
from transferlib.backbones.images import image_backbone
from transferlib.tuning import fronts


@pytest.fixture
def x(tmp_path, monkeypatch):
    monkeypatch.setattr(fronts, "store", lambda name: joblib.Memory(tmp_path / name, verbose=0))
    return torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("k", [0, 2])
def test_the_kept_front_and_the_back_are_the_whole_network(x, k):
    backbone = image_backbone("efficientnet-lite0", True, 48)
    kept = fronts.cached_front("efficientnet-lite0", x, k, size=48)
    _, back = split(backbone, k)
    with torch.no_grad():
        assert torch.allclose(back(kept), backbone(x), rtol=1e-4, atol=1e-5)


def test_the_second_time_nothing_is_computed_and_other_pictures_are_not_mixed_up(x, monkeypatch):
    first = fronts.cached_front("efficientnet-lite0", x, 1, size=48)
    ran = []
    monkeypatch.setattr(fronts, "activations", lambda *args: ran.append(1) or activations(*args))
    assert torch.equal(fronts.cached_front("efficientnet-lite0", x.clone(), 1, size=48), first)
    assert not ran
    fronts.cached_front("efficientnet-lite0", x.flip(0), 1, size=48)
    fronts.cached_front("efficientnet-lite0", x, 2, size=48)
    assert len(ran) == 2
