"""Small folders and tables, as the tests of what people have make them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def png(tint: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((9, 9, 3), tint, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def photos(root: Path, *folders: str, count: int = 3) -> Path:
    """``count`` pictures in each of the folders."""
    for number, name in enumerate(folders):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (root / name / f"{i}.png").write_bytes(png(10 * number + i))
    return root


def table(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path
