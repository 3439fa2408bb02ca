"""Any torchvision data set by name."""

import inspect
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps

from transferlib.datasets.base import Dataset
from transferlib.errors import UserError, nearest


def load(name: str, split: str, root: str = "data", size: int = 64, limit: int = 0) -> Dataset:
    """``torchvision:NAME`` as uint8 (N, 3, size, size); downloaded into ``root`` when it is not there.

    ``limit`` > 0 keeps the first so many examples. Raises ``UserError`` for a name that torchvision does not
    have, a data set without class labels, or one that is neither on disk nor reachable.
    """
    import torchvision.datasets as known

    if name not in known.__all__:
        raise UserError(f"torchvision has no data set {name!r}: {nearest(name, known.__all__)}")
    factory = getattr(known, name)
    asked = inspect.signature(factory).parameters
    options: dict[str, Any] = {"train": split == "train"} if "train" in asked else {"split": split}
    if "download" not in asked or not set(options) <= set(asked):
        raise UserError(f"torchvision's {name} cannot be loaded by name alone: use one with train/test parts, as CIFAR10.")
    try:
        data = factory(root, download=True, **options)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"torchvision's {name} is not in {root!r} and could not be downloaded ({type(error).__name__}): "
            "connect to the network once, or use an embedded data set such as 'fashion-mnist'."
        ) from error
    count = min(len(data), limit or len(data))
    pairs = [data[i] for i in range(count)]
    images = [ImageOps.fit(_image(x).convert("RGB"), (size, size), Image.Resampling.BILINEAR) for x, _ in pairs]
    x = torch.from_numpy(np.stack([np.array(i) for i in images])).permute(0, 3, 1, 2)  # (N, H, W, 3) → (N, 3, H, W)
    y = torch.tensor([int(label) for _, label in pairs])
    classes = [str(c) for c in getattr(data, "classes", range(int(y.max()) + 1))]
    return Dataset(f"torchvision:{name}", split, x.contiguous(), y, classes, pd.DataFrame({"label": y.numpy()}))


def _image(x: Any) -> Image.Image:
    return x if isinstance(x, Image.Image) else Image.fromarray(np.asarray(x))
