"""The frozen front's answers, computed once: what a backbone makes of a data set before its last k layers.

Partial fine-tuning of a small data set spends most of its time in layers that do not move. Their output is the same in
every epoch, for every seed and every learning rate, so the disk keeps it.
"""

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transferlib.backbones.cut import activations, split
from transferlib.backbones.images import image_backbone
from transferlib.runs.cache import store
from transferlib.runs.provenance import digest, modules_key


def cached_front(name: str, x: Tensor, train_last: int, *, size: int = 64) -> Tensor:
    """What the layers before the last ``train_last`` make of images: uint8 (N, C, H, W) → floats (N, channels, h, w).

    The same numbers as :func:`transferlib.backbones.cut.activations`, read from the cache folder the second time. The
    key is the content of ``x``, the name and size, and the code and library versions that turn one into the other.

    Arguments: ``name`` of a pretrained image backbone; ``size`` in pixels. Raises ``UserError`` like
    :func:`transferlib.backbones.cut.split`.
    """
    key = digest(joblib.hash(x.numpy()), modules_key("transferlib.backbones.cut", "transferlib.backbones.named"))
    compute = store("fronts").cache(_compute, ignore=["x"])
    return torch.from_numpy(compute(key, name, x, train_last, size))


def _compute(key: str, name: str, x: Tensor, train_last: int, size: int) -> NDArray[np.float32]:
    front, _ = split(image_backbone(name, True, size), train_last)
    return activations(front, x).numpy()
