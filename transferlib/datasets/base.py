"""What a data set is here, and how the embedded archives are read and checked."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
from torch import Tensor

from transferlib.errors import UserError, nearest

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class Dataset:
    """One split: ``x`` uint8 (N, C, H, W) or texts, ``y`` int64 (N,), ``classes`` their names, ``meta`` N rows."""

    name: str
    split: str
    x: Tensor | list[str]
    y: Tensor
    classes: list[str]
    meta: pd.DataFrame

    def __len__(self) -> int:
        return len(self.y)


@cache
def archive(name: str) -> bytes:
    """The bytes of an embedded file. Raises ``UserError`` when they are not the ones that were shipped."""
    manifest = json.loads((EMBEDDED / "manifest.json").read_text(encoding="utf-8"))
    path = EMBEDDED / name
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != manifest[name]:
        state = "damaged" if data else "missing"
        raise UserError(f"The embedded file {name} is {state}: reinstall transferlib or run scripts/build_data.py.")
    return data


def choose(what: str, value: str, known: list[str]) -> str:
    """``value`` when it is known. Raises ``UserError`` with the nearest names otherwise."""
    if value not in known:
        raise UserError(f"{what} {value!r} is unknown: {nearest(str(value), known)}")
    return value


def square(size: int) -> int:
    """``size`` when it is a usable image side. Raises ``UserError`` otherwise."""
    if not isinstance(size, int) or not 1 <= size <= 1024:
        raise UserError(f"The image size {size!r} is not usable: give a whole number of pixels from 1 to 1024.")
    return size
