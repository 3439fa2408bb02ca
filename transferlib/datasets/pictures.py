"""Picture files: which are read, how large they may be, and how one becomes a tensor."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

PIXEL_LIMIT = 50_000_000  # a picture that unpacks to more is more likely an attack than a photo
# Pillow would hand EPS to another program, and follow what some rarer formats ask for.
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "ICO", "TGA", "JPEG2000"]


def read(file: Path, size: int) -> Tensor:
    """One image as uint8 (3, size, size). Raises what Pillow raises, and ``ValueError`` above the pixel limit."""
    if not file.is_file():  # a pipe would be waited for, without end
        raise ValueError("not a regular file")
    with Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > PIXEL_LIMIT:
            raise ValueError(f"{image.width}×{image.height} is above the limit of {PIXEL_LIMIT} pixels")
        image.draft("RGB", (2 * size, 2 * size))  # JPEG: a photo is unpacked at about the size that is needed
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16") or upright.mode == "I":  # 16 bits: Pillow would clip, not scale
            upright = Image.fromarray((np.asarray(upright, dtype=np.float32) / 257).clip(0, 255).astype(np.uint8))
        fitted = ImageOps.fit(upright.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)  # (H, W, 3) → (3, H, W)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below ``folder``. A link to a folder above it, or to one already seen, is not followed."""
    top, seen = folder.resolve(), set[Path]()
    for place, inner, files in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen or (real != top and top.is_relative_to(real)):
            inner.clear()
            continue
        seen.add(real)
        yield from (Path(place) / name for name in files if not name.startswith("."))
