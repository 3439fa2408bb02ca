"""Backbones by name and depth: a cut network says what the whole one says there, also when it is saved and read."""

from pathlib import Path

import pytest
import torch

from transferlib.errors import UserError
from transferlib.own_data.depth import at_depth, layer_widths
from transferlib.own_data.saved import load_model, probe_classifier, save_model
from transferlib.tuning.probes import Probe

TEXTS = ["a good film", "what is this thing", "no"]


@pytest.mark.parametrize(
    ("name", "layer"), [("efficientnet-lite0", "blocks.4"), ("all-MiniLM-L6-v2", "encoder.layer.2")]
)
@torch.inference_mode()
def test_a_network_that_ends_at_a_layer_says_what_the_whole_one_says_there(name: str, layer: str) -> None:
    every, short, widths = (
        at_depth(f"{name}@", 64).eval(),
        at_depth(f"{name}@{layer}", 64).eval(),
        layer_widths(name, 64),
    )
    x = every.backbone.example(3) if "lite" in name else every.encode(TEXTS)
    parts = dict(zip(widths, every(x).split(list(widths.values()), 1), strict=True))
    assert torch.equal(short(x), parts[layer]) and short.out_features == widths[layer]
    assert sum(p.numel() for p in short.parameters()) < sum(p.numel() for p in every.parameters())


def test_a_cut_network_is_saved_and_read_with_its_depth(tmp_path: Path) -> None:
    name = "all-MiniLM-L6-v2@encoder.layer.2"
    model = probe_classifier(at_depth(name, 32), Probe(torch.randn(384, 2), torch.zeros(2), 1.0))
    save_model(tmp_path, model, kind="texts", backbone=name, size=32, classes=["a", "b"], temperature=1.0)
    read = load_model(tmp_path)
    assert len(read.model.backbone.body.encoder.layer) == 3
    with torch.inference_mode():
        p = model(model.encode(TEXTS)).softmax(1).max(1).values
    assert torch.allclose(torch.tensor(read.predict(TEXTS)["probability"]).float(), p, atol=1e-6)


def test_a_layer_that_there_is_not_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"'small-cnn' has no layer 'blocks\.9'"):
        at_depth("small-cnn@blocks.9", 16, pretrained=False)
