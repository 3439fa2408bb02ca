"""Handwritten digits, 8×8, from scikit-learn (UCI; Alpaydin & Kaynak, 1998)."""

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits

from transferlib.datasets.base import Dataset


def load(split: str) -> Dataset:
    """Grey images uint8 (N, 1, 8, 8): 1,297 for training, 500 for testing.

    scikit-learn's values 0 … 16 are scaled by 255/16 and rounded. The file's order groups writers, so the last
    500 images, which are the test split, come from other writers than most of the training images.
    """
    data = load_digits()
    part = slice(None, -500) if split == "train" else slice(-500, None)
    grey = np.rint(data.images[part] * 255 / 16).astype(np.uint8)
    x = torch.from_numpy(grey).unsqueeze(1)  # (N, 8, 8) → (N, 1, 8, 8)
    y = torch.from_numpy(data.target[part]).long()
    return Dataset("digits", split, x, y, [str(c) for c in range(10)], pd.DataFrame({"label": y.numpy()}))
