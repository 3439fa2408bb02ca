"""A folder of labelled images: one sub-folder a class, in the usual image formats."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from transferlib.datasets.base import Dataset, square
from transferlib.datasets.pictures import files_below, read
from transferlib.errors import UserError

TEST_SHARE = 0.3


def load(path: str, split: str, size: int = 64) -> Dataset:
    """Images of ``PATH/class/*`` as uint8 (N, 3, size, size): turned upright, cut to the middle square, resized.

    With ``PATH/train`` and ``PATH/test`` those are the splits; otherwise three in ten of each class, by a fixed
    shuffle, are the test split. Files that are not readable images are left out, with a warning that says how
    many and which. ``meta`` has ``file``, relative to PATH.

    Raises:
        UserError: no such folder, no class folders, no readable image, images of fewer than two classes.
    """
    root, size = Path(path).expanduser(), square(size)
    if not root.is_dir():
        raise UserError(f"There is no folder {path!r}: give the folder that holds one sub-folder for each class.")
    given = all((root / part).is_dir() for part in ("train", "test"))
    base = root / split if given else root
    # Both parts name the classes, so that a number means the same class in each.
    places = [root / "train", root / "test"] if given else [root]
    classes = sorted({p.name for place in places for p in place.iterdir() if p.is_dir() and p.name[0] != "."})
    if len(classes) < 2:
        raise UserError(f"{str(base)!r} has {len(classes)} class folders: at least two are needed, one for each class.")
    pixels, labels, names, bad = [], [], [], []
    for number, name in enumerate(classes):
        files = sorted(files_below(base / name))
        if not given:
            test = set(np.random.default_rng(0).permutation(len(files))[: round(TEST_SHARE * len(files))].tolist())
            files = [f for i, f in enumerate(files) if (i in test) == (split == "test")]
        for file in files:
            try:
                pixels.append(read(file, size))
            except Exception as error:  # a damaged file makes Pillow raise nearly anything
                bad.append(f"{file.relative_to(root)} ({type(error).__name__})")
                continue
            labels.append(number)
            names.append(str(file.relative_to(root)))
    if bad:
        shown = ", ".join(bad[:10]) + (f" and {len(bad) - 10} more" if len(bad) > 10 else "")
        said = f"{len(bad)} of {len(bad) + len(names)} files in {path!r} ({split}) are no readable images: {shown}"
        warnings.warn(said, stacklevel=3)
    if len(set(labels)) < 2:
        only = f"readable images of one class only, {classes[labels[0]]!r}" if labels else "no readable image"
        raise UserError(f"The {split} part of {path!r} holds {only}: put images into a sub-folder for each class.")
    meta = pd.DataFrame({"file": names})
    return Dataset(f"folder:{path}", split, torch.stack(pixels), torch.tensor(labels), classes, meta)
