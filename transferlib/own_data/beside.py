"""Probes beside the plain one: on every other packaged network, and on the best layer of the usual one.

They cost a pass over the examples and a closed form, so they are the strongest cheap opponents of whatever is trained.
"""

import time
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from transferlib.datasets.found import Collection
from transferlib.own_data.checks import Check
from transferlib.own_data.depth import layer_widths
from transferlib.own_data.draws import Draws, content
from transferlib.own_data.scan import DEFAULTS, scan
from transferlib.runs.sweep import sweep
from transferlib.tuning.probes import LAMBDAS, Probe, fit_probe, ridge_path

NETWORKS = {"images": {f"lite{n}": f"efficientnet-lite{n}" for n in (1, 2)}, "texts": {}}  # way → packaged network


def others(kind: str) -> dict[str, str]:
    """Way → name of the backbone, as :func:`transferlib.own_data.depth.at_depth` takes it."""
    return {"best_layer": f"{DEFAULTS[kind]}@", **NETWORKS[kind]}


def beside(checked: Check, draws: Draws, device: str = "cpu") -> pd.DataFrame:
    """Each of these probes with the draws of what is trained step by step; rows as of ``compare.solved``.

    A network that was tried is kept on disk by the content it saw: a report that goes on does not see with it again.
    """
    found, size, seeds = checked.scan.found, checked.scan.size, list(draws.train)[: draws.few]
    runs = [(n, seed) for n in draws.trained_at for seed in seeds]
    needed = torch.cat([draws.rows(*run) for run in runs] + [draws.test[s] for s in seeds]).unique()
    place = torch.full((len(found.y),), -1).scatter(0, needed, torch.arange(len(needed)))  # row → where it was seen
    some, y = found.keep(needed.tolist()), draws.y[needed]
    learned, tested = {run: place[draws.rows(*run)] for run in runs}, {s: place[draws.test[s]] for s in seeds}

    def one(strategy: str, size: int, device: str, data: list[str]) -> dict[str, Any]:
        network, scores, spent = others(some.kind)[strategy], [], []
        x = scan(some, size=size, backbone=network, device=device, progress=True).features
        for n, seed in runs:
            start, rows = time.perf_counter(), learned[n, seed]
            probe, _, part = solve_on(some, size, strategy, x[rows], y[rows])
            spent.append(time.perf_counter() - start)
            scores.append((x[tested[seed]][:, part] @ probe.weight + probe.bias).numpy())
        return {"seconds": np.array(spent), "scores": np.concatenate(scores)}

    data = [content(checked, draws, *run) for run in runs]
    cells = [{"strategy": way, "size": size, "device": device, "data": data} for way in others(found.kind)]
    table = sweep(one, cells, desc="other networks", gpus=0 if device == "cpu" else 1)
    ends = np.cumsum([len(tested[seed]) for _, seed in runs])[:-1]
    return pd.DataFrame([
        {"strategy": row["strategy"], "n": n, "seed": seed, "seconds": seconds, "scores": scores}
        for row in table.to_dict("records")
        for (n, seed), seconds, scores in zip(runs, row["seconds"], np.split(row["scores"], ends), strict=True)
    ])  # fmt: skip


def seen(checked: Check, name: str, rows: Tensor, device: str = "cpu") -> Tensor:
    """What the backbone ``name`` sees in these rows (M,), kept on disk: (M, D)."""
    some = checked.scan.found.keep(rows.tolist())
    return scan(some, size=checked.scan.size, backbone=name, device=device, progress=True).features


def solve_on(found: Collection, size: int, way: str, x: Tensor, y: Tensor) -> tuple[Probe, str, slice]:
    """The probe of a way from features x (N, D) and classes y (N,); the layer it reads, and where that stands in x."""
    part, layer = slice(None), ""
    if way == "best_layer":
        layer, part = best_layer(x, y, _widths(DEFAULTS[found.kind], size))
    return fit_probe(x[:, part], y, len(found.classes), balanced=True), layer, part


def best_layer(x: Tensor, y: Tensor, widths: dict[str, int]) -> tuple[str, slice]:
    """The layer whose probe has the smallest leave-one-out squared error on the very labels it learns from.

    x (N, sum of ``widths``), y (N,). No label outside of the budget is looked at. A layer that is the same in every
    example is passed over.
    """
    targets, end, found = torch.nn.functional.one_hot(y).float(), 0, []
    for layer, width in widths.items():
        part, end = slice(end, end + width), end + width
        z = x[:, part]
        length = float((z - z.mean(0)).square().sum(1).mean())
        if length:
            error = ridge_path(z, targets, [lam * length for lam in LAMBDAS])[2].min()
            found.append((float(error), layer, part))
    return min(found)[1:] if found else (layer, part)


@cache
def _widths(name: str, size: int) -> dict[str, int]:
    return layer_widths(name, size)
