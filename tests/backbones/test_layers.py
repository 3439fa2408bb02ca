"""Layers by depth, for networks of several libraries: in order, complete, without overlap."""

import pytest
import timm
import torchvision
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from transferlib.backbones.images import image_backbone
from transferlib.backbones.layers import layers
from transferlib.backbones.modules import head_of

NAMES = {
    "tf_efficientnet_lite0": ["stem", *(f"blocks.{i}" for i in range(7)), "top"],
    "resnet18": ["stem", *(f"layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1))],
    "vit_tiny_patch16_224": ["stem", *(f"blocks.{i}" for i in range(12)), "norm"],
    "regnetx_002": ["stem", "s1", "s2", "s3", "s4"],
}


@pytest.mark.parametrize("name", NAMES)
def test_names_in_order_and_every_parameter_exactly_once(name):
    body = timm.create_model(name, num_classes=0)
    table = layers(body)
    assert [layer.name for layer in table] == NAMES[name]
    listed = [id(p) for layer in table for p in layer.parameters()]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in body.parameters()}
    order = [id(p) for p in body.parameters() if id(p) in set(listed)]
    assert [listed.index(i) for i in order] == sorted(listed.index(i) for i in order)


def test_position_embeddings_belong_to_the_stem():
    body = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    assert {id(body.pos_embed), id(body.cls_token)} <= {id(p) for p in layers(body)[0].parameters()}


def test_a_wrapped_body_and_a_plain_module():
    assert [layer.name for layer in layers(image_backbone("small-cnn", False))] == ["blocks.0", "blocks.1", "blocks.2"]
    assert [layer.name for layer in layers(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))] == ["0", "2"]
    assert [layer.name for layer in layers(nn.Linear(2, 2))] == ["stem"]


LLAMA = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 2}
WHOLE = {
    "torchvision ViT": (
        lambda: torchvision.models.VisionTransformer(32, 16, 3, 2, 16, 32, num_classes=5),
        ["stem", *(f"encoder.layers.encoder_layer_{i}" for i in range(3)), "encoder.ln"],
    ),
    "Llama": (
        lambda: LlamaForCausalLM(LlamaConfig(vocab_size=20, **LLAMA)),
        ["model.embed_tokens", "model.layers.0", "model.layers.1", "top"],
    ),
    "tied GPT-2": (
        lambda: GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=16, n_head=2, n_layer=2, n_positions=8)),
        ["stem", "transformer.h.0", "transformer.h.1", "transformer.ln_f"],
    ),
    "T5": (
        lambda: T5ForConditionalGeneration(T5Config(vocab_size=20, **T5)),
        ["shared", "encoder.block.0", "encoder.block.1", "encoder.final_layer_norm", "decoder.block.0",
         "decoder.block.1", "decoder.final_layer_norm"],
    ),
    "GoogLeNet": (
        lambda: torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=False),
        ["conv1", "conv2", "conv3", *(f"inception{i}" for i in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_lists_of_blocks_are_seen_one_level_deeper_and_shared_weights_once(name):
    make, names = WHOLE[name]
    model = make()
    head = head_of(model)
    table = layers(model, without=head)
    assert [layer.name for layer in table] == names
    left = {id(p) for p in head.parameters()} if head else set()
    assert {id(p) for layer in table for p in layer.parameters()} == {id(p) for p in model.parameters()} - left


def test_the_head_of_whole_models():
    found = {name: head_of(make()) for name, (make, _) in WHOLE.items()}
    assert {name for name, head in found.items() if head is not None} == {"torchvision ViT", "GoogLeNet"}
    assert head_of(timm.create_model("convnext_atto", num_classes=0)) is None, "a norm is not a head"
    assert isinstance(head_of(timm.create_model("convnext_atto", num_classes=3)), nn.Module)
