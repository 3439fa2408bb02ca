"""Fashion-MNIST, a fixed class-balanced part: 800 training and 200 test images of each class (Xiao et al., 2017)."""

import io
from functools import cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from transferlib.datasets.base import Dataset, archive

CLASSES = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


@cache
def _arrays() -> dict[str, Tensor]:
    with np.load(io.BytesIO(archive("fashion-mnist.npz")), allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def load(split: str) -> Dataset:
    """Grey images uint8 (8000 or 2000, 1, 28, 28), ten classes, in the original order."""
    x, y = _arrays()[f"x_{split}"].clone(), _arrays()[f"y_{split}"].long()  # a clone: the caller may change it
    meta = pd.DataFrame({"label": y.numpy()})
    return Dataset("fashion-mnist", split, x.unsqueeze(1), y, list(CLASSES), meta)  # (N, 28, 28) → (N, 1, 28, 28)
