"""The four strategies: what is pretrained, what may move, and the mission's own snippet."""

import pytest
import torch
from packaged import weights_or_skip
from torch import nn

from transferlib.backbones.images import image_backbone
from transferlib.errors import UserError
from transferlib.tuning.strategies import (
    fine_tune,
    from_scratch,
    is_frozen,
    layer_lrs,
    linear_probe,
    param_groups,
    partial_fine_tune,
)


def small() -> nn.Module:
    return image_backbone("small-cnn", pretrained=False, size=16)


def test_the_missions_snippet():
    weights_or_skip("efficientnet-lite0")
    model = linear_probe(num_classes=10)
    torch.optim.AdamW(param_groups(model, 1e-3, 1e-5))
    groups = layer_lrs(fine_tune(num_classes=10), base_lr=1e-3, decay=0.7)
    assert [g["name"] for g in groups][:3] == ["head", "top", "blocks.6"]
    assert model(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape == (2, 10)


def test_probe_and_fine_tune_start_from_the_pretrained_weights_and_scratch_does_not():
    weights_or_skip("efficientnet-lite0")
    pretrained = image_backbone().state_dict()
    for make, same in ((linear_probe, True), (fine_tune, True), (from_scratch, False)):
        state = make(5).backbone.state_dict()
        assert (
            torch.equal(state["body.blocks.3.0.conv_pw.weight"], pretrained["body.blocks.3.0.conv_pw.weight"]) is same
        )


def test_what_may_move():
    assert is_frozen(linear_probe(3, small()).backbone)
    assert all(p.requires_grad for p in fine_tune(3, small()).parameters())
    assert all(p.requires_grad for p in from_scratch(3, "small-cnn").parameters())
    partial = partial_fine_tune(3, small(), train_last=1).train()
    assert [is_frozen(block) for block in partial.backbone.body.blocks] == [True, True, False]
    assert [block.training for block in partial.backbone.body.blocks] == [False, False, True]
    assert is_frozen(partial_fine_tune(3, small(), train_last=0).backbone)
    assert not any(is_frozen(b) for b in partial_fine_tune(3, small(), train_last=3).backbone.body.blocks)


def test_fine_tuning_holds_batch_norm_unless_told_otherwise_and_scratch_never_does():
    def live(model):
        return {m.training for m in model.train().modules() if isinstance(m, nn.BatchNorm2d)}

    assert live(fine_tune(3, small())) == {False}
    assert live(fine_tune(3, small(), live_batch_norm=True)) == {True}
    assert live(partial_fine_tune(3, small(), train_last=3, live_batch_norm=True)) == {True}
    assert live(from_scratch(3, linear_probe(3, small()).backbone)) == {True}


def test_the_seed_draws_the_weights_and_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    a, b, c = (from_scratch(3, "small-cnn", seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["head.weight"], c["head.weight"])
    assert not torch.equal(a["backbone.body.blocks.0.0.weight"], c["backbone.body.blocks.0.0.weight"])


def test_scratch_from_a_module_redraws_a_copy():
    source = small()
    before = {k: v.clone() for k, v in source.state_dict().items()}
    fresh = from_scratch(3, source, seed=7).backbone.state_dict()
    assert all(torch.equal(v, before[k]) for k, v in source.state_dict().items())
    assert not torch.equal(fresh["body.blocks.2.0.weight"], before["body.blocks.2.0.weight"])


def test_a_text_backbone_by_name():
    weights_or_skip("all-MiniLM-L6-v2")
    model = linear_probe(2, "all-MiniLM-L6-v2", max_length=8)
    ids = model.encode(["a fine film", "no"])
    assert ids.shape[1] <= 8
    assert model(ids).shape == (2, 2)
    assert [g["name"] for g in layer_lrs(partial_fine_tune(2, model.backbone, train_last=0))] == ["head"]


class Odd(nn.Module):
    out_features = 2

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear_probe(1, small()), "num_classes = 1"),
        (lambda: fine_tune(3, nn.ReLU()), "ReLU has no integer .out_features"),
        (lambda: partial_fine_tune(3, small(), train_last=4), "train_last = 4 .* has 3 layers"),
        (lambda: partial_fine_tune(3, small(), train_last=-1), "train_last = -1"),
        (lambda: from_scratch(3, Odd()), "'token' cannot be re-drawn"),
        (lambda: linear_probe(3, "all-MiniLM-L6"), "did you mean 'all-MiniLM-L6-v2'"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()
