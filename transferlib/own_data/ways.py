"""The ways to train that are compared on your own data, and the fixed recipe of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transferlib.datasets.budgets import evened
from transferlib.datasets.found import Collection
from transferlib.datasets.pictures import read
from transferlib.own_data.beside import others
from transferlib.own_data.checks import Check
from transferlib.own_data.saved import build
from transferlib.own_data.scan import DEFAULTS
from transferlib.peft.lora import add_lora, merge_lora, unload_lora
from transferlib.runs.memory import cache
from transferlib.tuning import strategies
from transferlib.tuning.cost import step_bytes, task_bytes, trainable
from transferlib.tuning.probes import Probe, fit_probe
from transferlib.tuning.training import fit

NAMES = {  # cheapest first
    "images": {"probe": "linear probe", "best_layer": "probe at its best layer", "lite1": "probe on the larger network",
               "lite2": "probe on the largest network", "scratch_small": "small network from scratch",
               "partial": "last two layers", "fine_tune": "fine-tuning"},
    "texts": {"probe": "linear probe", "best_layer": "probe at its best layer", "scratch_small": "counted words",
              "partial": "last two layers", "lora": "LoRA", "fine_tune": "fine-tuning"},
}  # fmt: skip
SOLVED = {"images": ["probe"], "texts": ["probe", "scratch_small"]}  # in closed form, with every draw and budget
TRAINED = {"images": ["scratch_small", "partial", "fine_tune"], "texts": ["partial", "lora", "fine_tune"]}  # in steps
BATCH, SMALL = 32, 28  # examples in a step; pixels that the small network sees
# Learning rates of head and body, from chapters 01 and 06; passes over the examples; fewest and most steps.
RATES = {"images": (3e-3, 3e-4), "texts": (1e-3, 1e-4), "scratch_small": (1e-2, 1e-2), "lora": (1e-3, 1e-3)}
PASSES = {"images": 3, "texts": 2}
STEPS = {"images": (30, 2000), "texts": (12, 600), "scratch_small": (60, 2000)}


def shape_of(way: str, kind: str, size: int) -> tuple[str, int]:
    """The backbone's name, and the pixels or tokens it sees."""
    if way == "scratch_small":
        return ("small-cnn", SMALL) if kind == "images" else ("words", size)
    return others(kind).get(way, DEFAULTS[kind]), size


def vectors(checked: Check, way: str, rows: Tensor) -> Tensor:
    """What a closed-form head learns from, (N, D): kept features of the probe, or counted words."""
    if way == "probe":
        return checked.scan.features[rows]
    words = build("words", checked.scan.size)
    return words.encode([checked.scan.found.items[i] for i in rows.tolist()])  # type: ignore[operator]


def solve(checked: Check, way: str, rows: Tensor) -> Probe:
    """A closed-form head from these rows (N,); each class counts the same."""
    found = checked.scan.found
    return fit_probe(vectors(checked, way, rows), torch.tensor(found.y)[rows], len(found.classes), balanced=True)


def model_for(way: str, found: Collection, size: int, seed: int) -> strategies.Classifier:
    """The untrained model of a way; ``size`` in pixels or tokens."""
    classes, (backbone, seen) = len(found.classes), shape_of(way, found.kind, size)
    if way == "scratch_small":
        if found.kind == "images":
            return strategies.from_scratch(classes, backbone, size=seen, seed=seed)
        words = build(backbone, seen)
        return strategies.Classifier(words, nn.Linear(words.out_features, classes))  # type: ignore[arg-type]
    frozen = strategies.linear_probe
    make: Any = {"partial": strategies.partial_fine_tune, "fine_tune": strategies.fine_tune, "lora": frozen}
    name = backbone.rstrip("@")
    model: strategies.Classifier = make.get(way, frozen)(classes, name, size=seen, max_length=seen, seed=seed)
    if way == "lora":
        add_lora(model, rank=8, alpha=16, target=["query", "value"])
    return model


@cache
def _opened(file: Path, size: int, key: str, span: tuple[float, float] | None) -> Tensor:
    """A picture, read once a process; ``key`` is its content, so that a changed file is read again."""
    return read(file, size, span)


def examples(found: Collection, keys: Sequence[str], rows: Tensor, size: int) -> Tensor | list[str]:
    """What a network reads: uint8 pictures (N, 3, size, size), or texts."""
    if found.kind == "texts":
        return [found.items[i] for i in rows.tolist()]
    return torch.stack([_opened(found.root / found.items[i], size, keys[i], found.span) for i in rows.tolist()])


def train(
    way: str, found: Collection, keys: Sequence[str], rows: Tensor, *, size: int, seed: int,
    steps: int | None = None, device: str = "cpu", progress: bool = False,
) -> strategies.Classifier:  # fmt: skip
    """A model trained on these rows (N,), each class shown as often as the largest.

    Steps: as many as some passes take, between a least and a most, or ``steps``. The recipe is the same whatever the
    data: one that was tuned on the test part would only look better.
    """
    y = torch.tensor(found.y)
    rows = rows[evened(y[rows])]
    model, (head, body) = model_for(way, found, size, seed), RATES.get(way, RATES[found.kind])
    steps = steps or int(np.clip(PASSES[found.kind] * len(rows) / BATCH, *STEPS.get(way, STEPS[found.kind])))
    x = model.encode(examples(found, keys, rows, shape_of(way, found.kind, size)[1]))
    groups = strategies.param_groups(model, head_lr=head, backbone_lr=body)
    fit(model, x, y[rows], groups=groups, steps=steps, batch_size=BATCH, seed=seed, schedule="one-cycle", device=device,
        amp=device != "cpu", progress=progress)  # fmt: skip
    if way == "lora":
        merge_lora(model)
        unload_lora(model)
    return model


def price(checked: Check, way: str, rows: Tensor, seed: int) -> dict[str, str]:
    """What a way costs besides time: numbers that move, MB kept for the task, MB of a step on a batch of ``rows``."""
    found, (_, seen) = checked.scan.found, shape_of(way, checked.scan.found.kind, checked.scan.size)
    model, rows = model_for(way, found, checked.scan.size, seed), rows[:BATCH]
    step = "–"
    if way not in TRAINED[found.kind]:
        strategies.freeze(model.backbone)
    else:
        x = model.encode(examples(found, checked.scan.keys, rows, seen))
        step = f"{step_bytes(model, x, torch.tensor(found.y)[rows]) / 1e6:.0f}"
    moved, kept = trainable(model), task_bytes(model) / 1e6
    return {"numbers that move": f"{moved:,}", "kept (MB)": f"{kept:.2f}", "step (MB)": step}
