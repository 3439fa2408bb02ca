"""One pass over your own data: what can be read, how large it is, and what a frozen backbone sees in it.

What was seen is kept on disk by content, the SHA-256 of the file or text: ten new pictures cost ten. A few hundred
pictures are in memory at a time, and the table of features: half a gigabyte for 100,000 of 1,280 numbers each.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import UnidentifiedImageError
from torch import Tensor, nn
from tqdm import tqdm

from transferlib.backbones.features import features
from transferlib.backbones.folding import folded
from transferlib.backbones.images import DEFAULT, ImageBackbone
from transferlib.backbones.texts import DEFAULT_TEXT
from transferlib.datasets.found import Collection, said, shortened
from transferlib.datasets.pictures import opened, read, regular
from transferlib.errors import UserError
from transferlib.own_data.depth import at_depth
from transferlib.own_data.store import seen_rows, seen_store
from transferlib.own_data.window import tokens
from transferlib.runs.provenance import digest, modules_key

T = TypeVar("T")
DEFAULTS = {"images": DEFAULT, "texts": DEFAULT_TEXT}
CHUNK = 256  # pictures in memory at a time
BATCH = 16  # of the network on a processor: a larger batch leaves its caches, and takes up to twice as long
MODULES = ("transferlib.backbones.features", "transferlib.own_data.depth", "transferlib.datasets.pictures")


class Scan(NamedTuple):
    """M readable examples: ``found`` without the others, content ``keys``, ``features`` (M, D) and ``sizes``.

    ``sizes`` are (width, height) in pixels, (words, tokens) of texts, the latter 0 where a network has no tokens.
    ``computed`` counts what was not yet on disk.
    ``size``: the pixels or tokens that the backbone saw.
    """

    found: Collection
    keys: list[str]
    features: Tensor
    sizes: list[tuple[int, int]]
    computed: int
    size: int = 64


def fitting_size(found: Collection, looked_at: int = 200) -> int:
    """What a network should see: 64 or 128 pixels, 32 or 128 tokens, so that half of the examples lose nothing."""
    picked = [found.items[i] for i in np.random.default_rng(0).permutation(len(found.items))[:looked_at]]
    if found.kind == "texts":
        return 32 if np.median([len(text.split()) for text in picked]) <= 24 else 128  # a word is 1.3 tokens
    sizes = [attempt(_header, found, item) for item in picked]
    return 128 if np.median([min(wh) for wh in sizes if not isinstance(wh, Exception)] or [0]) >= 128 else 64


def scan(found: Collection, *, size: int = 64, backbone: str = "", device: str = "cpu", progress: bool = False) -> Scan:
    """Read every example once and keep its features. Interrupted and started again, it goes on where it stopped.

    ``size`` in pixels, or tokens of texts. What cannot be read is left out; ``found.notes`` says how many, which, why.

    Raises:
        UserError: nothing can be read, an unknown backbone, a cache that cannot be written.
    """
    with ThreadPoolExecutor() as pool:
        hashed = pool.map(lambda item: attempt(_key, found, item), found.items)
        keys = list(tqdm(hashed, "reading", len(found.items), disable=not progress, mininterval=1))
    bad, computed = {i: reason(k) for i, k in enumerate(keys) if isinstance(k, Exception)}, 0
    rows = {str(k): i for i, k in enumerate(keys) if i not in bad}  # one row for each content
    table = digest(found.kind, backbone, str(size), str(found.span), modules_key(*MODULES))
    with seen_store(table) as db:
        have = {key for part in _parts(list(rows)) for (key,) in seen_rows(db, part, "key")}
        missing = [i for key, i in rows.items() if key not in have]
        net = at_depth(backbone or DEFAULTS[found.kind], size) if missing else nn.Identity()
        if isinstance(net, ImageBackbone):
            net = folded(net, net.example(4))
        with tqdm(total=len(missing), desc="features", disable=not progress or not missing, mininterval=1) as bar:
            for part in _parts(missing):
                held = {i: attempt(_open, found, found.items[i], size, net) for i in part}
                bad |= {i: reason(o) for i, o in held.items() if isinstance(o, Exception)}
                good = {i: o for i, o in held.items() if not isinstance(o, Exception)}
                computed += len(good)
                if good:
                    x: Any = [o[0] for o in good.values()]
                    held_x = torch.stack(x) if found.kind == "images" else x
                    seen = features(net, held_x, batch_size=BATCH if device == "cpu" else 64, device=device)
                    lines = zip(good.items(), seen.numpy(), strict=True)
                    db.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)",
                                   [(keys[i], *o[1], v.astype("<f4").tobytes()) for (i, o), v in lines])  # fmt: skip
                    db.commit()
                bar.update(len(part))
        bad = {i: bad[first] for i, k in enumerate(keys) if (first := rows.get(str(k), i)) in bad}
        kept = [i for i in range(len(keys)) if i not in bad]
        if not kept:
            raise nothing(found, next(iter(bad.values())))
        names = [str(keys[i]) for i in kept]
        stored = {row[0]: row for part in _parts(sorted(set(names))) for row in seen_rows(db, part)}
    which = [f"{found.items[i]} ({bad[i]})" for i in sorted(bad)]
    notes = [said(len(bad), f"of {len(keys)} files cannot be read", which)] if bad else []
    long = [shortened(found.items[i], 60) for i in kept if found.kind == "texts" and stored[str(keys[i])][2] > size]
    if long:
        what = f"of {len(kept)} texts are longer than the {size} tokens that the network reads, and cut off there"
        notes.append(said(len(long), what, long, shown=3))
    vectors = torch.from_numpy(np.stack([np.frombuffer(stored[name][3], "<f4") for name in names]))  # (M, D)
    return Scan(found.keep(kept, *notes), names, vectors, [stored[name][1:3] for name in names], computed, size)


def nothing(found: Collection, why: str) -> UserError:
    """What is said where no item can be read."""
    return UserError(f"None of the {len(found.items)} items in {str(found.root)!r} can be read: {why}.")


def attempt(work: Callable[..., T], *args: Any) -> T | Exception:
    """The result, or what went wrong: a damaged file makes Pillow raise nearly anything."""
    try:
        return work(*args)
    except MemoryError:
        raise
    except Exception as error:
        return error


def reason(error: Exception) -> str:
    """A few words without the path, which is said anyway."""
    if isinstance(error, UnidentifiedImageError):
        return "no image in a format that is read here"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words or type(error).__name__


def _key(found: Collection, item: str) -> str:
    if found.kind == "texts":
        return hashlib.sha256(item.encode()).hexdigest()
    with regular(found.root / item).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(found: Collection, item: str, size: int, net: nn.Module) -> tuple[Tensor | str, tuple[int, int]]:
    """An example and its size."""
    if found.kind == "texts":
        return item, (len(item.split()), tokens(net, item))
    return read(found.root / item, size, found.span), _header(found, item)


def _header(found: Collection, item: str) -> tuple[int, int]:
    """Width and height in pixels, without unpacking the picture."""
    with opened(found.root / item) as image:
        return image.size


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[i : i + CHUNK] for i in range(0, len(items), CHUNK))
