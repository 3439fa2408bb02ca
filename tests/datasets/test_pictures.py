"""Pictures as cameras, scanners and instruments write them: what becomes of their pixels, and what is refused."""

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image, ImageOps

from transferlib import errors
from transferlib.datasets import pictures
from transferlib.datasets.pictures import common_span, look, read

RED, CLEAR = (200, 0, 0, 255), (0, 0, 0, 0)


def half_clear() -> Image.Image:
    """Its left half is red, and nothing is painted on its right half, which is black underneath."""
    image = Image.new("RGBA", (16, 16), CLEAR)
    image.paste(RED, (0, 0, 8, 16))
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L with a clear value"])
def test_what_is_transparent_lies_on_white(tmp_path: Path, mode: str) -> None:
    image, file = half_clear(), tmp_path / "x.png"
    if mode == "P":
        image = image.quantize(8)
    elif mode == "LA":
        image = image.convert("LA")
    if mode.startswith("L with"):
        Image.fromarray(np.repeat([[90] * 8 + [7] * 8], 16, 0).astype(np.uint8)).save(file, transparency=7)
    else:
        image.save(file)
    x = read(file, 16)
    assert (x[:, :, 8:] == 255).all() and (x[0, :, :8] < 210).all()
    assert look(file).transparent


def test_opaque_pictures_keep_every_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "b.png")
    plain = read(tmp_path / "a.png", 16)
    assert torch.equal(plain, torch.from_numpy(pixels).permute(2, 0, 1))
    assert torch.equal(read(tmp_path / "b.png", 16), plain)
    assert not look(tmp_path / "a.png").transparent


def deep(place: Path, values: list[np.ndarray], ending: str = "tif") -> list[Path]:
    files = [place / f"{i}.{ending}" for i in range(len(values))]
    for file, value in zip(files, values, strict=True):
        Image.fromarray(value).save(file)
    return files


RAMP = np.linspace(0, 1, 256).reshape(16, 16)


@pytest.mark.parametrize(
    ("values", "span"),
    [
        ([RAMP.astype(np.float32), (RAMP / 2).astype(np.float32)], (0.0, 1.0)),
        ([(500 + 3000 * RAMP).astype(np.float32), (500 + 1500 * RAMP).astype(np.float32)], (500.0, 3500.0)),
        ([(70_000 * RAMP).astype(np.int32)], (0.0, 131_071.0)),
        ([(-1000 + 3000 * RAMP).astype(np.int32)], (-1000.0, 2000.0)),
        ([(4095 * RAMP).astype(np.uint16), (1000 * RAMP).astype(np.uint16)], (0.0, 4095.0)),
        ([(65_535 * RAMP).astype(np.uint16)], (0.0, 65_535.0)),
    ],
)
def test_more_than_8_bits_are_scaled_by_the_range_of_the_set(
    tmp_path: Path, values: list[np.ndarray], span: tuple[float, float]
) -> None:
    files = deep(tmp_path, values)
    assert common_span(files) == span
    for file, value in zip(files, values, strict=True):
        wanted = 255 * (value.astype(float) - span[0]) / (span[1] - span[0])
        assert np.abs(read(file, 16, span)[0].numpy() - wanted).max() <= 1.01


def test_a_range_that_nobody_knows_is_refused_with_it(tmp_path: Path) -> None:
    values = [(500 + 3000 * RAMP).astype(np.float32), np.full((9, 9), 70_000, np.int32), np.full((9, 9), np.nan, "f4")]
    files = deep(tmp_path, values)
    for file, said in zip(files, ("run from 500 to 3500", "run from 70000 to 70000", "no numbers"), strict=True):
        with pytest.raises(ValueError, match=said):
            read(file, 16)
    with pytest.raises(ValueError, match="no numbers"):
        read(files[2], 16, (0.0, 1.0))
    assert common_span(files) == (500.0, 70_000.0)  # that of the others


def test_16_bits_in_png_are_16_bits(tmp_path: Path) -> None:
    (file,) = deep(tmp_path, [np.full((9, 9), 40_000, np.uint16)], "png")
    assert (read(file, 9) == 40_000 // 257).all()
    assert common_span([tmp_path / "gone.png", file]) == (0.0, 65_535.0)


@pytest.mark.parametrize("name", ["x.heic", "x.jpg"])
def test_heic_is_read_whatever_it_is_called(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), (10, 200, 30))).save(tmp_path / name, format="HEIF")
    x = read(tmp_path / name, 16).float()
    assert (x.mean((1, 2)) - torch.tensor([10.0, 200.0, 30.0])).abs().max() < 8
    assert look(tmp_path / name).size == (64, 64)
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="HEIC: export it as JPEG"):
        read(tmp_path / name, 16)


def test_frames_are_seen(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert look(tmp_path / "x.gif").moving and read(tmp_path / "x.gif", 9)[0].min() > 200


def test_a_deep_picture_above_the_limit_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = deep(tmp_path, [np.zeros((40, 40), np.float32)])
    monkeypatch.setattr(pictures, "PIXEL_LIMIT", 1000)
    with pytest.raises(ValueError, match="above the limit"):
        look(file)


def test_a_photo_that_is_unpacked_smaller_looks_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    coarse.resize((500, 400), Image.Resampling.BICUBIC).save(tmp_path / "x.jpg", quality=92)
    for size in (64, 128):
        with Image.open(tmp_path / "x.jpg") as whole:
            wanted = ImageOps.fit(whole.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
        far = np.abs(read(tmp_path / "x.jpg", size).permute(1, 2, 0).numpy().astype(float) - np.asarray(wanted))
        assert far.mean() < 3  # of 255


@pytest.mark.parametrize("kind", ["LAB", "CMYK", "MPO", "bad EXIF", "grey JPEG", "one pixel high"])
def test_rarer_kinds_are_read_as_what_they_show(tmp_path: Path, kind: str) -> None:
    plain, file = Image.new("RGB", (40, 40), (200, 60, 40)), tmp_path / "x.jpg"
    if kind == "LAB":
        file = tmp_path / "x.tif"
        Image.new("LAB", (40, 40), (140, 180, 165)).save(file)
    elif kind == "CMYK":
        plain.convert("CMYK").save(file, quality=95)
    elif kind == "MPO":
        plain.save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 40))])
    elif kind == "bad EXIF":
        plain.save(file, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff nothing that is true")
    elif kind == "grey JPEG":
        plain.convert("L").save(file)
    else:
        plain.resize((40, 1)).save(file)
    colour = read(file, 16).float().mean((1, 2))  # (3,)
    assert colour.std() < 1 if kind == "grey JPEG" else colour[0] > colour[1] + 50
