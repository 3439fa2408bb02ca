"""Features: right order, eval mode, flags put back, and a cache that knows when it is stale."""

import pytest
import torch
from torch import nn

from transferlib.backbones import features as extraction
from transferlib.backbones.features import cached_features, features
from transferlib.backbones.images import image_backbone
from transferlib.errors import UserError

IMAGES = torch.randint(256, (37, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_batches_give_what_one_forward_gives_in_the_same_order():
    net = image_backbone("small-cnn", pretrained=False, size=16)
    got = features(net, IMAGES, batch_size=8)
    with torch.no_grad():
        torch.testing.assert_close(got, net.eval()(IMAGES))


def test_texts_sorted_by_length_come_back_in_order():
    class Bag(nn.Module):
        def forward(self, ids):
            seen.append(ids.ne(0).sum(1).tolist())
            return ids.double().sum(1, keepdim=True)

    seen: list[list[int]] = []
    ids = torch.tensor([[5, 1, 1, 1], [7, 0, 0, 0], [2, 2, 0, 0], [9, 0, 0, 0]])
    assert features(Bag(), ids, batch_size=2).flatten().tolist() == [8, 7, 4, 9]
    assert seen == [[1, 1], [2, 4]]


def test_nothing_of_the_network_changes():
    net = image_backbone("small-cnn", pretrained=False, size=16).train()
    net.body.blocks[1].eval()
    before, flags = {k: v.clone() for k, v in net.state_dict().items()}, [m.training for m in net.modules()]
    features(net, IMAGES)
    assert [m.training for m in net.modules()] == flags
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_the_flags_come_back_even_after_an_error():
    net = nn.Sequential(nn.Linear(3, 2)).train()
    with pytest.raises(RuntimeError):
        features(net, torch.zeros(2, 4))
    assert all(m.training for m in net.modules())


def test_nan_and_nothing_are_one_sentence():
    net = nn.Linear(2, 2)
    with pytest.raises(UserError, match="NaN or infinity for 1 of 3"):
        features(net, torch.tensor([[0.0, 1], [float("nan"), 1], [2, 2]]))
    with pytest.raises(UserError, match="x is empty"):
        features(net, torch.zeros(0, 2))


def test_computed_once_for_the_same_content_and_anew_when_anything_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))
    calls = []
    monkeypatch.setattr(extraction, "features", lambda *a, **k: (calls.append(1), features(*a, **k))[1])

    def call(x=IMAGES, **options):
        return cached_features("small-cnn", x, **({"pretrained": False, "size": 16, "seed": 1} | options))

    first = call()
    assert torch.equal(call(IMAGES.clone()), first)
    assert len(calls) == 1
    call(IMAGES[:20])
    call(size=20)
    assert not torch.equal(call(seed=2), first)
    monkeypatch.setattr(extraction, "modules_key", lambda *modules: "other code or libraries")
    call()
    assert len(calls) == 5


def test_random_weights_do_not_disturb_the_callers_random_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    cached_features("small-cnn", IMAGES, pretrained=False, size=16)
    assert torch.equal(torch.rand(3), expected)
