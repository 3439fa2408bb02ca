"""Learning rates per layer that every optimiser obeys: the steps themselves are measured."""

import pytest
import torch
import torchvision
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from transferlib.errors import UserError
from transferlib.tuning.learning_rates import groups_table, layer_lrs, param_groups
from transferlib.tuning.strategies import Classifier, from_scratch, linear_probe, partial_fine_tune


def model() -> Classifier:
    return from_scratch(4, "small-cnn", size=16)


def test_the_published_rates_in_the_published_order():
    groups = layer_lrs(model(), base_lr=1e-3, decay=0.7)
    assert [g["name"] for g in groups] == ["head", "blocks.2", "blocks.1", "blocks.0"]
    assert [g["lr"] for g in groups] == pytest.approx([1e-3, 7e-4, 4.9e-4, 3.43e-4])


@pytest.mark.parametrize("make", [layer_lrs, param_groups])
def test_every_trainable_parameter_exactly_once(make):
    for net in (model(), partial_fine_tune(3, model().backbone, train_last=1), linear_probe(3, model().backbone)):
        listed = [id(p) for g in make(net) for p in g["params"]]
        assert sorted(listed) == sorted(id(p) for p in net.parameters() if p.requires_grad)
        assert all(g["params"] for g in make(net))


def test_layers_really_move_in_that_proportion_under_a_plain_scheduler():
    """SGD with every gradient set to one moves each weight by exactly its group's lr, at each scheduler step."""
    net = model()
    optimiser = torch.optim.SGD(layer_lrs(net, base_lr=0.1, decay=0.5))
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=4)
    for factor in (1.0, 0.853553, 0.5):
        before = [g["params"][0].detach().clone() for g in optimiser.param_groups]
        for p in net.parameters():
            p.grad = torch.ones_like(p)
        optimiser.step()
        plan.step()
        moved = [(b - g["params"][0]).abs().mean().item() for b, g in zip(before, optimiser.param_groups, strict=True)]
        assert moved == pytest.approx([0.1 * factor * 0.5**k for k in range(4)], rel=1e-3)


def test_a_frozen_layer_gets_no_group_but_counts_as_a_step():
    net = partial_fine_tune(3, model().backbone, train_last=2)
    assert [(g["name"], round(g["lr"], 9)) for g in layer_lrs(net, 1.0, 0.5)] == [
        ("head", 1.0),
        ("blocks.2", 0.5),
        ("blocks.1", 0.25),
    ]
    for p in net.backbone.body.blocks[2].parameters():
        p.requires_grad_(False)
    assert [g["lr"] for g in layer_lrs(net, 1.0, 0.5)] == [1.0, 0.25]


def test_head_and_backbone_rates():
    groups = param_groups(model(), 1e-3, 1e-5)
    assert [(g["name"], g["lr"]) for g in groups] == [("head", 1e-3), ("backbone", 1e-5)]
    torch.optim.AdamW(groups)


def test_the_table_shows_each_group_with_its_rate_and_size():
    lines = groups_table(layer_lrs(model())).splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["head", "1.00e-03", f"{512 * 4 + 4:,}"]


def vit() -> nn.Module:
    return torchvision.models.VisionTransformer(32, 16, 3, 2, 16, 32, num_classes=5)


def llama(tied: bool) -> nn.Module:
    size = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=20, tie_word_embeddings=tied, **size))


def test_whole_models_of_other_libraries_get_their_layers():
    names = [g["name"] for g in layer_lrs(vit())]
    assert names == ["head", "encoder.ln", *(f"encoder.layers.encoder_layer_{i}" for i in (2, 1, 0)), "stem"]
    groups = layer_lrs(llama(tied=False), 1.0, 0.5)
    assert [(g["name"], g["lr"]) for g in groups] == [
        ("head", 1.0), ("model.norm", 0.5), ("model.layers.1", 0.25), ("model.layers.0", 0.125),
        ("model.embed_tokens", 0.0625),
    ]  # fmt: skip


@pytest.mark.parametrize("make", [layer_lrs, param_groups])
def test_a_tied_weight_is_in_one_group_the_one_nearest_to_the_input(make):
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=16, n_head=2, n_layer=2, n_positions=8))
    tied = Classifier(backbone := nn.Sequential(nn.Linear(4, 4, bias=False)), nn.Linear(4, 4, bias=False))
    tied.head.weight = backbone[0].weight
    for net in (llama(tied=True), gpt2, tied):
        groups = make(net)
        listed = [id(p) for g in groups for p in g["params"]]
        assert sorted(listed) == sorted(id(p) for p in net.parameters())
        assert "head" not in [g["name"] for g in groups], "what is left of the head is the first layer's"
        torch.optim.AdamW(groups)


class Opaque(nn.Module):
    """Two layers that no list shows, inside of one module."""

    def __init__(self):
        super().__init__()
        self.inner, self.fc = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)}), nn.Linear(3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_lrs(model(), decay=0), "decay = 0 is not"),
        (lambda: layer_lrs(model(), decay=1.2), "0 < decay ≤ 1"),
        (lambda: param_groups(nn.Linear(2, 2)), "Linear has no .backbone"),
        (lambda: layer_lrs(model().requires_grad_(False)), "nothing to train"),
        (lambda: layer_lrs(Opaque()), "layers of this Opaque cannot be told apart, they all stand in 'inner'"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()
