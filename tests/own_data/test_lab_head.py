"""The photo lab's head, read from its JSON file, answers as a probe does; a damaged one is refused in a sentence."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from transferlib.__main__ import main
from transferlib.backbones.images import image_backbone
from transferlib.datasets.pictures import read
from transferlib.errors import UserError
from transferlib.own_data import lab_head
from transferlib.own_data.lab_head import load_head


@pytest.fixture
def about(monkeypatch):
    """A head for the small network: it needs no packaged weights."""
    net = lab_head.build("small-cnn", 32, pretrained=False).eval()
    monkeypatch.setattr(lab_head, "build", lambda backbone, size: net)
    weight = 0.02 * torch.randn(2, net.out_features, generator=torch.Generator().manual_seed(0))
    return net, {"kind": "images", "backbone": "small-cnn", "size": 32, "classes": ["<b>", "ç"], "temperature": 3.0,
                 "lambda": 0.1, "weight": weight.tolist(), "bias": [0.1, -0.2]}  # fmt: skip


def written(folder, content):
    (folder / "head.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "head.json"


def picture(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "new.png")
    return folder / "new.png"


def test_the_command_answers_with_softmax_of_the_linear_layer(about, tmp_path, monkeypatch, capsys):
    net, content = about
    new = picture(tmp_path)
    with torch.no_grad():
        scores = net(read(new, 32)[None]) @ torch.tensor(content["weight"]).T + torch.tensor(content["bias"])
    wanted = (scores * 3.0).softmax(1)[0]
    monkeypatch.setattr(sys, "argv", ["transferlib", "predict", str(written(tmp_path, content)), str(new)])
    with pytest.raises(SystemExit) as ended:
        main()
    name, label, probability = capsys.readouterr().out.strip().split("\t")
    assert not ended.value.code and name == str(new)
    assert label == content["classes"][int(wanted.argmax())]
    assert float(probability) == pytest.approx(float(wanted.max()), abs=6e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bias": [1.0]}, "a row of weights and a bias for each of 2 classes"),
        ({"weight": [[1.0], [1.0, 2.0]]}, "not equally long"),
        ({"weight": [[1.0], [2.0]]}, "weighs 1 features"),
        ({"bias": [float("nan"), 0]}, "no number"),
        ({"classes": ["a", "a"]}, "two or more different names"),
        ({"size": 0}, "8 to 1024 pixels"),
        ({"temperature": -1}, "not a number above zero"),
        ({"kind": "texts"}, "not a head for images"),
    ],
)
def test_a_damaged_head_is_refused_by_what_is_wrong(about, tmp_path, change, said):
    with pytest.raises(UserError, match=said):
        load_head(written(tmp_path, {**about[1], **change}))


@pytest.mark.parametrize("content", ["", "[]", "{}", "no JSON"])
def test_what_is_no_head_is_called_so(tmp_path, content):
    with pytest.raises(UserError, match=r"not the head of the photo lab|lacks 'kind'"):
        load_head(written(tmp_path, content))


def test_the_names_of_the_lab_are_those_of_the_package():
    assert image_backbone("efficientnet-lite0", pretrained=False, size=96).out_features == 1280
