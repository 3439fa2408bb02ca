"""Layers by depth, for networks of several libraries: in order, complete, without overlap."""

import pytest
import timm
from torch import nn

from transferlib.backbones.images import image_backbone
from transferlib.backbones.layers import layers

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
