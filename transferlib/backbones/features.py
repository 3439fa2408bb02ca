"""Features: a frozen backbone runs once over the data, and the disk remembers what it saw."""

from collections.abc import Sequence

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from transferlib.backbones.freezing import modes_kept
from transferlib.backbones.images import DEFAULT
from transferlib.backbones.named import named_backbone
from transferlib.backbones.texts import DEFAULT_TEXT
from transferlib.errors import UserError
from transferlib.runs.cache import store
from transferlib.runs.provenance import digest, modules_key
from transferlib.tensors import several


def features(
    backbone: nn.Module, x: Tensor | Sequence[str], batch_size: int = 64, device: str = "cpu", progress: bool = False
) -> Tensor:
    """What the frozen backbone sees: (N, D) floats on the CPU, in the order of ``x``.

    Runs in eval mode without gradients; every module keeps the training flag it had. The backbone is moved
    to ``device``. Batches of 64 stay in a processor's cache: they are a third faster than batches of 256.

    Arguments: ``x`` uint8 images (N, C, H, W), token ids (N, L), or raw texts for ``backbone.encode``.

    Raises:
        UserError: no examples, or a backbone that returns NaN.
    """
    x = x if isinstance(x, Tensor) else several("texts", x)
    if len(x) == 0:
        raise UserError("There are no examples to compute features of: x is empty.")
    data: Tensor = x if isinstance(x, Tensor) else backbone.encode(x)  # type: ignore[operator]
    # Texts of like length share a batch, because the backbone cuts a batch to its longest text.
    order = (
        data.ne(0).sum(1).argsort(stable=True)
        if data.ndim == 2 and not data.is_floating_point()
        else torch.arange(len(data), device=data.device)
    )
    backbone.to(device)  # outside of inference mode, where moved weights could never train again
    with modes_kept(backbone), torch.inference_mode():
        backbone.eval()
        batches = tqdm(order.split(batch_size), desc="features", disable=not progress, mininterval=1)
        parts = [backbone(data[i].to(device)).float().cpu() for i in batches]
    out = torch.empty(len(data), parts[0].shape[1], dtype=torch.float32, device="cpu")
    out[order.cpu()] = torch.cat(parts)
    if bad := int((~out.isfinite()).any(1).sum()):
        raise UserError(f"The network returned NaN or infinity for {bad} of {len(out)} examples: check its weights.")
    return out


def cached_features(
    backbone: str | None,
    x: Tensor | Sequence[str],
    *,
    size: int = 64,
    max_length: int = 32,
    pretrained: bool = True,
    seed: int = 0,
    batch_size: int = 64,
    device: str = "cpu",
    progress: bool = False,
) -> Tensor:
    """:func:`features` of a backbone given by name, computed once and then read from the cache folder.

    The key is the content of ``x``, the names and sizes, the weights' SHA-256 table, and the code and the
    library versions that turn one into the other; a change in any of them computes anew.

    Arguments: ``backbone`` a name, or None for the default of the kind of ``x``; ``x`` uint8 images
    (N, C, H, W) with ``size`` in pixels, or texts with ``max_length`` in tokens; ``seed`` draws the random
    weights when ``pretrained`` is False. Raises ``UserError`` like :func:`features`.
    """
    plain = x if isinstance(x, Tensor) else several("texts", x)
    key = digest(
        joblib.hash(plain.numpy() if isinstance(plain, Tensor) else plain),
        modules_key("transferlib.backbones.features", "transferlib.backbones.named"),
    )
    compute = store("features").cache(_compute, ignore=["x", "batch_size", "progress"])
    return torch.from_numpy(
        compute(key, backbone, plain, size, max_length, pretrained, seed, device, batch_size, progress)
    )


def _compute(
    key: str,
    name: str | None,
    x: Tensor | list[str],
    size: int,
    max_length: int,
    pretrained: bool,
    seed: int,
    device: str,
    batch_size: int,
    progress: bool,
) -> NDArray[np.float32]:
    name = name or (DEFAULT if isinstance(x, Tensor) else DEFAULT_TEXT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = named_backbone(name, pretrained, size, max_length)
    return features(backbone, x, batch_size, device, progress).numpy()
