"""Files of the first edition: its models and adapters are read, its cache is left alone.

The files in ``fixtures/first`` and the numbers here were written by the code of 0.1.0 (93e5ba9), and
``lora-sealed`` by the last commit of the first edition (a74b4fe), with the weights of :func:`base` and :func:`filled`.
"""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from transferlib.backbones.features import cached_features
from transferlib.backbones.layer_features import cached_layer_features
from transferlib.errors import UserError
from transferlib.own_data.saved import load_model
from transferlib.peft.bitfit import bitfit
from transferlib.peft.files import load_lora, load_trainable
from transferlib.runs.cache import leftovers
from transferlib.runs.sweep import sweep

FIRST = Path(__file__).parent / "fixtures" / "first"
X = torch.arange(6.0)[None] / 4  # (1, 6)


def base() -> nn.Module:
    """The model that the adapter files belong to: small whole numbers of eighths, equal on every machine."""
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(torch.arange(p.numel()).view(p.shape) / 8 - i)
    return model


@pytest.mark.parametrize("file", ["lora-0.1.0", "lora-sealed"])
def test_an_adapter_gives_the_numbers_it_gave(file: str) -> None:
    model = base()
    assert load_lora(model, FIRST / f"{file}.safetensors") == "task"
    torch.testing.assert_close(model(X), torch.tensor([[548.867920, 358.473938, 168.079880]]))


def test_an_adapter_on_another_base_is_one_sentence() -> None:
    other = base()
    other[2].bias.data += 1
    with pytest.raises(UserError, match="was trained on another base model"):
        load_lora(other, FIRST / "lora-0.1.0.safetensors")


def test_what_bitfit_trained_gives_the_numbers_it_gave() -> None:
    model = bitfit(base())
    load_trainable(model, FIRST / "bitfit-0.1.0.safetensors")
    torch.testing.assert_close(model(X), torch.tensor([[495.554443, 350.851929, 206.149459]]))


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A state dict in 0.1.0's names and shapes, with numbers that need no file."""
    state = {}
    for i, (name, shape) in enumerate(sorted(shapes.items())):
        count = int(np.prod(shape))
        values = (torch.arange(count, dtype=torch.double) * 0.7 + i).sin().abs().view(shape) * 0.2
        values = values.float() + (0.5 if name.endswith("running_var") else 0)
        state[name] = torch.tensor(0) if name.endswith("num_batches_tracked") else values
    return state


def folder(place: Path, shapes: dict[str, tuple[int, ...]], **about: object) -> Path:
    """A saved model as 0.1.0 wrote it."""
    place.mkdir()
    save_file(filled(shapes), place / "model.safetensors")
    about["sha256"] = hashlib.sha256((place / "model.safetensors").read_bytes()).hexdigest()
    (place / "model.json").write_text(json.dumps(about))
    return place


def test_a_model_of_images_answers_as_it_did(tmp_path: Path) -> None:
    shapes: dict[str, tuple[int, ...]] = {"head.weight": (2, 512), "head.bias": (2,)}
    for i, (inside, outside) in enumerate([(3, 32), (32, 64), (64, 128)]):
        block = f"backbone.body.blocks.{i}"
        shapes |= {f"{block}.0.weight": (outside, inside, 3, 3), f"{block}.1.num_batches_tracked": ()}
        shapes |= {f"{block}.1.{name}": (outside,) for name in ("weight", "bias", "running_mean", "running_var")}
    place = folder(tmp_path / "m", shapes, kind="images", backbone="small-cnn", size=28, classes=["a", "b"],
                   temperature=1.5)  # fmt: skip
    pixels = (np.arange(28 * 28 * 3) % 251).astype(np.uint8).reshape(28, 28, 3)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    row = load_model(place).predict([tmp_path / "x.png"]).iloc[0]
    assert row["class"] == "a" and row["p(a)"] == pytest.approx(0.991631, abs=1e-4)


def test_a_model_of_texts_answers_as_it_did(tmp_path: Path) -> None:
    shapes = {"head.weight": (2, 4096), "head.bias": (2,)}
    place = folder(tmp_path / "m", shapes, kind="texts", backbone="words", size=32, classes=["bad", "good"],
                   temperature=2)  # fmt: skip
    table = load_model(place).predict(["a good film", "bad bad"])
    assert table["p(good)"].tolist() == pytest.approx([0.632704, 0.574471], abs=1e-4)


def test_its_cache_is_neither_read_nor_touched_and_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))
    old = [tmp_path / part for part in ("depth/transferlib/depth", "features/transferlib/extraction",
                                        "sweeps/transferlib/sweep")]  # fmt: skip
    for place in old:
        entry = place / "_compute" / "0123456789abcdef0123456789abcdef"
        entry.mkdir(parents=True)
        (entry / "output.pkl").write_bytes(b"of another release")
        (entry / "metadata.json").write_text("{")
        (place / "_compute" / "func_code.py").write_text("# first line: 3\nold")
    x = torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cached_features("small-cnn", x, size=28, pretrained=False).shape == (4, 512)
        assert len(cached_layer_features("small-cnn", x, size=28, pretrained=False)) >= 3
        assert sweep(lambda n: {"twice": 2 * n}, [{"n": 3}], n_jobs=1)["twice"].tolist() == [6]
    assert leftovers() == old
    assert all((place / "_compute" / "func_code.py").read_text().endswith("old") for place in old)
