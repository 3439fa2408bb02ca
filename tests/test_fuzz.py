"""Damaged files: each of thousands gives a picture or an exception, never a crash, a hang or half a result."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transferlib.collection import collect
from transferlib.datasets.folder import read
from transferlib.errors import UserError

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
