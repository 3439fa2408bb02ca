"""Picture files: which are read, how large they may be, and how one becomes a tensor."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from transferlib.errors import needs

PIXEL_LIMIT = 50_000_000  # a picture that unpacks to more is more likely an attack than a photo
# Pillow would hand EPS to another program, and follow what some rarer formats ask for.
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "ICO", "TGA", "JPEG2000"]
BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
# Files under a picture's name that are none, by how they begin.
NONE = {b"version https://git-lfs": "a pointer of Git LFS: run git lfs pull", b"<!doctype html": "a web page",
        b"<html": "a web page", b"<svg": "SVG: export it as PNG", b"<?xml": "XML", b"%pdf": "PDF: export it as PNG",
        b"8bps": "Photoshop: export it as PNG", b"\x93numpy": "an array of numpy: save it as PNG"}  # fmt: skip
DEEP = ("I", "F")  # with I;16 and its kin: one number a pixel, of more than 8 bits


class Look(NamedTuple):
    """What a file's header says, and for pictures of more than 8 bits the lowest and highest value in them."""

    size: tuple[int, int]
    transparent: bool
    moving: bool
    range: tuple[float, float] | None = None
    whole: bool = True  # whole numbers
    cut: bool = False  # colours of 16 bits, of which Pillow reads the upper 8


def regular(file: Path) -> Path:
    """The file. Raises ``ValueError`` for a pipe or a device, which would be waited for, without end."""
    if file.is_symlink() and not file.exists():
        raise ValueError("a link to a file that is not there")
    if file.exists() and not file.is_file():
        raise ValueError("not a regular file")
    return file


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """The picture, not yet unpacked. Raises what Pillow raises, and ``ValueError`` for what is known to be none."""
    with regular(file).open("rb") as stream:
        head = stream.read(132)
    if not head:
        raise ValueError("an empty file")
    if head[128:] == b"DICM":
        raise ValueError("DICOM: export it as PNG")
    if known := next((what for start, what in NONE.items() if head.lstrip().lower().startswith(start)), ""):
        raise ValueError(known)
    formats = FORMATS
    if head[4:8] == b"ftyp" and head[8:12] in BRANDS:  # whatever the file is called
        needs("pillow_heif", "data", "HEIC: export it as JPEG; reading it here")
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = [*FORMATS, "HEIF"]
    with Image.open(file, formats=formats) as image:
        yield image


def look(file: Path) -> Look:
    """Size and kind of a picture; only one of more than 8 bits is unpacked. Raises as :func:`read`."""
    with opened(file) as image:
        moving, wide = bool(getattr(image, "is_animated", False)), ";16" in str(getattr(image, "tile", ""))
        plain = Look(image.size, image.has_transparency_data, moving, cut=wide and not _deep(image))
        if not _deep(image):
            return plain
        within_limit(image.size)
        values = np.asarray(image)
        return plain._replace(range=(float(values.min()), float(values.max())), whole=values.dtype.kind in "iu")


def read(file: Path, size: int, span: tuple[float, float] | None = None) -> Tensor:
    """One image as uint8 (3, size, size): upright, on white where it is transparent, cut to the middle square.

    ``span``: the values that are black and white where there are more than 8 bits, the same for a whole set; without
    it those of 16 bits, 0 and 65,535. Raises what Pillow raises, and ``ValueError`` above the pixel limit, for values
    that are no numbers, and for ones outside 16 bits without a ``span``.
    """
    with opened(file) as image:
        within_limit(image.size)
        # JPEG: a photo is unpacked at 1/2, 1/4 or 1/8 where that leaves half as much again as is needed.
        image.draft("RGB", (3 * size // 2, 3 * size // 2))
        upright = ImageOps.exif_transpose(image)
        if _deep(upright):
            upright = Image.fromarray(_scaled(np.asarray(upright), span))
        if upright.has_transparency_data:
            above = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
        fitted = ImageOps.fit(upright.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)  # (H, W, 3) → (3, H, W)


def span_of(looks: list[Look]) -> tuple[float, float] | None:
    """Black and white of a set's pictures of more than 8 bits: what its number of bits can hold, or its range.

    >>> span_of([Look((9, 9), False, False, (0, 4000)), Look((9, 9), False, False, (7, 1200))])
    (0.0, 4095.0)
    """
    deep = [one for one in looks if one.range is not None and np.isfinite(one.range).all()]
    if not deep:
        return None
    low, high = min(one.range[0] for one in deep if one.range), max(one.range[1] for one in deep if one.range)
    if low >= 0 and all(one.whole for one in deep):
        return 0.0, float(2 ** max(8, int(high).bit_length()) - 1)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1


def common_span(files: Iterable[Path]) -> tuple[float, float] | None:
    """:func:`span_of` the pictures that can be read."""
    looks = []
    for file in files:
        with suppress(Exception):  # a damaged file makes Pillow raise nearly anything; it is named where it is read
            looks.append(look(file))
    return span_of(looks)


def _scaled(values: NDArray[np.generic], span: tuple[float, float] | None) -> NDArray[np.uint8]:
    x = values.astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError("it holds values that are no numbers (NaN or infinity)")
    if span is None and (values.dtype.kind == "f" or x.min() < 0 or x.max() > 65_535):
        raise ValueError(f"its values run from {x.min():g} to {x.max():g}: what is black and white in them is unknown")
    low, high = span or (0.0, 65_535.0)
    return (255 * (x - low) / (high - low)).clip(0, 255).astype(np.uint8)


def _deep(image: Image.Image) -> bool:
    return image.mode in DEEP or image.mode.startswith("I;16")


def within_limit(size: tuple[int, int]) -> None:
    """Raises ``ValueError`` for more pixels than are unpacked."""
    if size[0] * size[1] > PIXEL_LIMIT:
        raise ValueError(f"{size[0]}×{size[1]} is above the limit of {PIXEL_LIMIT} pixels")
