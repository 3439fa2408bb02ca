"""The one training loop of the book, and how its result is scored."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from transferlib.backbones.features import features
from transferlib.backbones.freezing import is_frozen
from transferlib.errors import UserError, nearest
from transferlib.tensors import class_numbers, several, trainable_in
from transferlib.tuning.distributed import joined, own_device, share

Augment = Callable[[Tensor, torch.Generator], Tensor]

SCHEDULES: dict[str, Callable[[float], float]] = {  # progress 0..1 → factor on every group's own lr
    "constant": lambda t: 1.0,
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t)),
    # Straight up for three tenths of the steps, then down the cosine, as fastai does (idea: Smith & Topin, 2018).
    "one-cycle": lambda t: (t + 0.01) / 0.31 if t < 0.3 else 0.5 * (1 + math.cos(math.pi * (t - 0.3) / 0.7)),
}


def fit(
    model: nn.Module,
    x: Tensor | Sequence[str],
    y: Tensor,
    *,
    groups: list[dict[str, Any]] | None = None,
    lr: float = 1e-3,
    epochs: int = 10,
    steps: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    schedule: str = "cosine",
    weight_decay: float = 0.01,
    device: str = "cpu",
    amp: bool = False,
    augment: Augment | None = None,
    penalty: Callable[[nn.Module], Tensor] | None = None,
    refresh: bool = True,
    progress: bool = False,
) -> dict[str, list[float]]:
    """Train ``model`` in place: AdamW on the mean cross-entropy, plus ``penalty(model)`` when there is one.

    On a CPU the same seed gives the same weights. A wholly frozen backbone without ``augment`` is run once
    and its features are reused, which changes the time and nothing else. The model ends in eval mode. Started by
    ``accelerate launch``, several GPUs share each batch: :mod:`transferlib.tuning.distributed`.

    Arguments:
        x: uint8 images (N, C, H, W), token ids (N, L), texts, or floats that the model eats; ``y`` classes (N,), whole
            numbers from 0.
        groups: optimiser groups, each with its own ``lr``; default: everything trainable at ``lr``.
        epochs: passes over the data; ``steps``, when given, counts updates instead.
        schedule: "cosine" (from lr down to 0), "one-cycle" or "constant"; multiplies every group's lr.
        amp: bfloat16 autocast.
        augment: (uint8 batch, generator) → uint8 batch of the same shape, such as :func:`flip_and_shift`.
        refresh: at the end, :func:`refresh_batch_norm` where it is live.

    Returns ``{"loss": one value a step, "lr": that of the first group}``.

    Raises:
        UserError: x and y of unlike length, labels that are no classes of the model, nothing to train, weights in
            float16, one example under live BatchNorm, unknown schedule, or a loss that became NaN.

    >>> model, x, y = nn.Linear(2, 2), torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 8), torch.tensor([0, 1] * 8)
    >>> history = fit(model, x, y, lr=0.1, epochs=20)
    >>> history["loss"][-1] < history["loss"][0], evaluate(model, x, y)
    (True, 1.0)
    """
    x = x if isinstance(x, Tensor) else several("texts", x)
    if len(x) != len(y) or len(y) == 0:
        raise UserError(f"Training needs one label an example: got {len(x)} examples and {len(y)} labels.")
    if schedule not in SCHEDULES:
        raise UserError(f"Unknown schedule {schedule!r}: {nearest(schedule, SCHEDULES)}")
    y, device = class_numbers(y, len(x)), own_device(device)
    data: Tensor = x if isinstance(x, Tensor) else model.encode(x)  # type: ignore[operator]
    trained = model.to(device).to(memory_format=torch.channels_last)
    backbone = getattr(model, "backbone", None)
    if augment is None and penalty is None and isinstance(backbone, nn.Module) and is_frozen(backbone):
        data, trained = features(backbone, data, device=device), model.head  # type: ignore[assignment]
    data, y = data.to(device), y.to(device)

    groups = groups or [{"name": "all", "params": [p for p in model.parameters() if p.requires_grad], "lr": lr}]
    if not any(group["params"] for group in groups):
        raise UserError("Every parameter of the model is frozen: there is nothing to train.")
    trainable_in(p for group in groups for p in group["params"])
    per_epoch = len(batches(len(y), batch_size, torch.Generator()))
    total = steps or epochs * per_epoch
    optimiser = torch.optim.AdamW(groups, weight_decay=weight_decay)
    plan = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: SCHEDULES[schedule](step / total))

    together = joined(trained)
    generator, history = torch.Generator().manual_seed(seed), {"loss": [], "lr": []}  # type: ignore[var-annotated]
    gpus = [torch.cuda.current_device()] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=gpus), tqdm(total=total, disable=not progress, desc="fit", mininterval=1) as bar:
        torch.manual_seed(seed)  # dropout
        model.train()
        queue: list[Tensor] = []
        for step in range(total):
            queue = queue or batches(len(y), batch_size, generator)
            rows = queue.pop(0).to(device)
            batch = data[rows] if augment is None else augment(data[rows], generator)
            mine, factor = share(rows)
            with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=amp):
                scores = at_least_two(together, batch[mine]).float()  # (B, C)
                if step == 0:
                    class_numbers(y, classes=scores.shape[1])
                loss = F.cross_entropy(scores, y[rows][mine]) * factor
                if penalty is not None:
                    loss = loss + penalty(model)
            optimiser.zero_grad()
            loss.backward()
            history["loss"].append(loss.item())
            history["lr"].append(optimiser.param_groups[0]["lr"])
            if not math.isfinite(history["loss"][-1]):
                highest = max(optimiser.param_groups, key=lambda group: group["lr"])
                raise UserError(
                    f"Training diverged at step {step + 1} of {total}: the loss is {history['loss'][-1]} with lr = "
                    f"{highest['initial_lr']:g} in group {highest.get('name', '0')!r}; try a tenth of it."
                )
            optimiser.step()
            plan.step()
            bar.update()
        if refresh:
            refresh_batch_norm(trained, data, generator)
    model.eval()
    return history


def refresh_batch_norm(model: nn.Module, x: Tensor, generator: torch.Generator, batch_size: int = 64) -> None:
    """Replace the running statistics of every BatchNorm in train mode by their mean over ``x``, with final weights.

    Running averages lag: after 20 steps they still hold a tenth of the initial values, and a small network
    trained on 10 images loses 11 points of test accuracy to that alone. Frozen ones are left as they are.
    """
    live = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    momenta = [m.momentum for m in live]
    model.eval()  # no dropout
    for m in live:
        m.train()
        m.reset_running_stats()
        m.momentum = None  # PyTorch's word for a plain mean over the batches
    with torch.no_grad():
        for rows in batches(len(x), batch_size, generator) if live else []:
            at_least_two(model, x[rows.to(x.device)])
    for m, momentum in zip(live, momenta, strict=True):
        m.momentum = momentum


def at_least_two(model: nn.Module, x: Tensor) -> Tensor:
    """``model(x)``, with a sentence of its own where live BatchNorm gets one value a channel."""
    try:
        return model(x)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"A batch of {len(x)} example has no variance for live BatchNorm: use a larger batch_size, more examples, "
            "or hold_statistics(model)."
        ) from error


def batches(n: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """A shuffled pass over 0 … n − 1 in batches of ``size``; a last batch of one joins the batch before it.

    BatchNorm has no variance to divide by in a batch of one.

    >>> [len(rows) for rows in batches(9, 4, torch.Generator())]
    [4, 5]
    """
    parts = list(torch.randperm(n, generator=generator, device=generator.device).split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def logits(
    model: nn.Module, x: Tensor | Sequence[str], batch_size: int = 64, device: str = "cpu", progress: bool = False
) -> Tensor:
    """Scores (N, C) in eval mode, on the CPU, in float32. Arguments and errors as for :func:`features`.

    >>> logits(nn.Linear(3, 2), torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """
    return features(model, x, batch_size, device, progress)


def predict(model: nn.Module, x: Tensor | Sequence[str], batch_size: int = 64, device: str = "cpu") -> Tensor:
    """The class with the highest score (N,).

    >>> predict(nn.Identity(), torch.tensor([[0.1, 0.9], [0.8, 0.2]]))
    tensor([1, 0])
    """
    return logits(model, x, batch_size, device).argmax(1)


def evaluate(
    model: nn.Module, x: Tensor | Sequence[str], y: Tensor, batch_size: int = 64, device: str = "cpu"
) -> float:
    """Accuracy: the share of examples, 0..1, whose highest score is the label's.

    Raises ``UserError`` for labels that are no class numbers (N,): beside (N, 1) every example would meet every label.

    >>> evaluate(nn.Identity(), torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
    0.5
    """
    if len(x) != len(y):
        raise UserError(f"Scoring needs one label an example: got {len(x)} examples and {len(y)} labels.")
    y = class_numbers(y, len(x))
    return float((predict(model, x, batch_size, device) == y.cpu()).double().mean())


def flip_and_shift(x: Tensor, generator: torch.Generator, pixels: int = 2) -> Tensor:
    """Mirror each image with probability ½ and shift the batch by up to ``pixels``; edges are repeated.

    uint8 (N, C, H, W) → the same shape. Not for digits or letters, whose mirror image is something else.

    >>> flip_and_shift(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3, 8, 8])
    """
    height, width = x.shape[2:]
    at = generator.device
    flip = torch.rand(len(x), generator=generator, dtype=torch.float32, device=at).to(x.device) < 0.5
    down, right = torch.randint(-pixels, pixels + 1, (2,), generator=generator, device=at).tolist()
    rows = (torch.arange(height, device=x.device) + down).clamp(0, height - 1)
    columns = (torch.arange(width, device=x.device) + right).clamp(0, width - 1)
    source = torch.where(flip[:, None], width - 1 - columns, columns)  # (N, W): where each column comes from
    return x.index_select(2, rows).gather(3, source[:, None, None].expand(x.shape))  # (N, W) → (N, C, H, W)
