"""A folder of labelled images: one sub-folder a class, in the usual image formats."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from transferlib.datasets.base import Dataset, square
from transferlib.datasets.collection import Collection, collect
from transferlib.datasets.pictures import common_span, read
from transferlib.errors import UserError

TEST_SHARE = 0.3


def load(path: str, split: str, size: int = 64) -> Dataset:
    """Images of ``PATH/class/*`` as uint8 (N, 3, size, size): turned upright, cut to the middle square, resized.

    What is found is what :func:`transferlib.datasets.collection.collect` finds. With ``PATH/train`` and ``PATH/test``
    (or val, Training, holdout and the like) those are the splits; otherwise three in ten of each class, by a fixed
    shuffle, are the test split. Files that are not readable images are left out, with a warning that says how many and
    which. ``meta`` has ``file``, relative to the folder that holds the classes or the parts of the split.

    Raises:
        UserError: no such folder, no class folders, no readable image, images of fewer than two classes.
    """
    root, size = Path(path).expanduser(), square(size)
    if not root.is_dir():
        raise UserError(f"There is no folder {path!r}: give the folder that holds one sub-folder for each class.")
    found = collect(root, fewest=0)
    if found.kind != "images":
        raise UserError(f"{path!r} holds texts: give a folder of images, or use transferlib report.")
    span = common_span(found.root / item for item in found.items)
    pixels, labels, names, bad = [], [], [], []
    for row in _rows(found, split):
        try:
            pixels.append(read(found.root / found.items[row], size, span))
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            bad.append(f"{found.items[row]} ({type(error).__name__})")
            continue
        labels.append(found.y[row])
        names.append(found.items[row])
    notes = found.notes
    if bad:
        shown = ", ".join(bad[:10]) + (f" and {len(bad) - 10} more" if len(bad) > 10 else "")
        total = len(bad) + len(names)
        notes = [*notes, f"{len(bad)} of {total} files in {path!r} ({split}) are no readable images: {shown}"]
    for note in notes:
        warnings.warn(note, stacklevel=3)
    if len(set(labels)) < 2:
        only = f"readable images of one class only, {found.classes[labels[0]]!r}" if labels else "no readable image"
        raise UserError(f"The {split} part of {path!r} holds {only}: put images into a sub-folder for each class.")
    meta = pd.DataFrame({"file": pd.Series(names, dtype=object)})  # a name may be no text
    return Dataset(f"folder:{path}", split, torch.stack(pixels), torch.tensor(labels), found.classes, meta)


def _rows(found: Collection, split: str) -> list[int]:
    """Rows of the given part, or of a share of each class."""
    if found.splits:
        return [i for i, part in enumerate(found.splits) if part == split]
    rows, y = [], np.asarray(found.y)
    for c in range(len(found.classes)):
        own = np.flatnonzero(y == c).tolist()
        test = set(np.random.default_rng(0).permutation(len(own))[: round(TEST_SHARE * len(own))].tolist())
        rows += [row for i, row in enumerate(own) if (i in test) == (split == "test")]
    return rows
