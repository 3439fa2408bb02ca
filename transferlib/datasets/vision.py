"""Any torchvision data set by name."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps

from transferlib.datasets.base import Dataset, square
from transferlib.errors import UserError, nearest

TEST_SHARE = 0.3
PEEK = 100  # images that are asked for their size before all are read


def load(name: str, split: str, root: str = "data", size: int | None = None, limit: int = 0) -> Dataset:
    """``torchvision:NAME`` as uint8 (N, 3, H, W); downloaded into ``root`` when it is not there.

    Images keep their size when the first hundred share one; otherwise, and with ``size``, they are cut to the
    middle square and resized (64 pixels by default). ``limit`` > 0 keeps so many, by a fixed shuffle. A data set
    without parts of its own, as EuroSAT, is cut once, by a fixed shuffle: three in ten are the test split.

    Raises:
        UserError: a name that torchvision does not have, a data set without one class label per image, or one
            that is neither on disk nor reachable.
    """
    import torchvision.datasets as known

    if name not in known.__all__:
        raise UserError(f"torchvision has no data set {name!r}: {nearest(name, known.__all__)}")
    if not isinstance(limit, int) or limit < 0:
        raise UserError(f"The limit {limit!r} is not usable: give a whole number of examples, or 0 for all.")
    side = None if size is None else square(size)
    data, whole = _open(getattr(known, name), name, split, str(Path(root).expanduser()))
    order = np.random.default_rng(0).permutation(len(data))
    if whole:
        cut = round(TEST_SHARE * len(data))
        order = order[cut:] if split == "train" else order[:cut]
    picked = np.sort(order[: limit or len(order)]).tolist()
    shapes = {_image(data[i][0]).size for i in picked[:PEEK]}
    target = next(iter(shapes)) if side is None and len(shapes) == 1 else (side or 64, side or 64)
    x, labels = torch.empty(len(picked), 3, target[1], target[0], dtype=torch.uint8), []
    for row, i in enumerate(picked):
        image, label = data[i]
        if not isinstance(label, (int, np.integer)):
            raise UserError(f"torchvision's {name} has no single class label per image: use one that has, as CIFAR10.")
        fitted = ImageOps.fit(_image(image).convert("RGB"), target, Image.Resampling.BILINEAR)
        x[row] = torch.from_numpy(np.array(fitted)).permute(2, 0, 1)  # (H, W, 3) → (3, H, W)
        labels.append(int(label))
    y = torch.tensor(labels, dtype=torch.int64)
    named = getattr(data, "classes", None) or getattr(data, "categories", None) or range(int(y.max()) + 1)
    return Dataset(f"torchvision:{name}", split, x, y, [str(c) for c in named], pd.DataFrame({"label": labels}))


def _open(factory: Any, name: str, split: str, root: str) -> tuple[Any, bool]:
    """The torchvision data set, and whether it is whole, so that the caller has to split it."""
    asked = inspect.signature(factory).parameters
    if "root" not in asked or "download" not in asked:
        raise UserError(f"torchvision's {name} cannot be loaded by name alone: use one that can, as CIFAR10.")
    if "train" in asked:
        parts: list[dict[str, Any]] = [{"train": split == "train"}]
    elif "split" in asked:
        parts = [{"split": split}, {"split": "trainval"}] if split == "train" else [{"split": split}]
    else:
        parts = [{}]
    for part in parts:
        try:
            return factory(root, download=True, **part), not part
        except ValueError:  # this data set calls its parts by other names
            continue
        except (OSError, RuntimeError, ImportError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
            raise UserError(
                f"torchvision's {name} is not in {root!r} and could not be downloaded ({said}): "
                "connect to the network once, or use an embedded data set such as 'fashion-mnist'."
            ) from error
    raise UserError(f"torchvision's {name} has no {split!r} part: use one that has train and test, as CIFAR10.")


def _image(x: Any) -> Image.Image:
    return x if isinstance(x, Image.Image) else Image.fromarray(np.asarray(x))
