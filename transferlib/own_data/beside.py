"""Probes beside the plain one: on every other packaged network, and on the best layer of the usual one.

They cost a pass over the examples and a closed form, so they are the strongest cheap opponents of whatever is trained.
"""

import time
from functools import cache

import pandas as pd
import torch
from torch import Tensor

from transferlib.own_data.checks import Check
from transferlib.own_data.depth import layer_widths
from transferlib.own_data.draws import Draws
from transferlib.own_data.scan import DEFAULTS, scan
from transferlib.tuning.probes import LAMBDAS, Probe, fit_probe, ridge_path

NETWORKS = {"images": {f"lite{n}": f"efficientnet-lite{n}" for n in (1, 2)}, "texts": {}}  # way → packaged network


def others(kind: str) -> dict[str, str]:
    """Way → name of the backbone, as :func:`transferlib.own_data.depth.at_depth` takes it."""
    return {"best_layer": f"{DEFAULTS[kind]}@", **NETWORKS[kind]}


def beside(checked: Check, draws: Draws, device: str = "cpu") -> pd.DataFrame:
    """Each of these probes with the draws of what is trained step by step; rows as of ``compare.solved``."""
    found, seeds, rows = checked.scan.found, list(draws.train)[: draws.few], []
    needed = torch.cat([torch.cat([draws.rows(draws.trained_at[-1], s), draws.test[s]]) for s in seeds]).unique()
    place = torch.full((len(found.y),), -1).scatter(0, needed, torch.arange(len(needed)))  # row → where it was seen
    for way, name in others(found.kind).items():
        x = seen(checked, name, needed, device)
        for n in draws.trained_at:
            for seed in seeds:
                start, learned, test = time.perf_counter(), draws.rows(n, seed), draws.test[seed]
                probe, _, part = solve_on(checked, way, x[place[learned]], draws.y[learned])
                seconds = time.perf_counter() - start
                scores = (x[place[test]][:, part] @ probe.weight + probe.bias).numpy()
                rows.append({"strategy": way, "n": n, "seed": seed, "seconds": seconds, "scores": scores})
    return pd.DataFrame(rows)


def seen(checked: Check, name: str, rows: Tensor, device: str = "cpu") -> Tensor:
    """What the backbone ``name`` sees in these rows (M,), kept on disk: (M, D)."""
    some = checked.scan.found.keep(rows.tolist())
    return scan(some, size=checked.scan.size, backbone=name, device=device, progress=True).features


def solve_on(checked: Check, way: str, x: Tensor, y: Tensor) -> tuple[Probe, str, slice]:
    """The probe of a way from features x (N, D) and classes y (N,); the layer it reads, and where that stands in x."""
    found, part, layer = checked.scan.found, slice(None), ""
    if way == "best_layer":
        layer, part = best_layer(x, y, _widths(DEFAULTS[found.kind], checked.scan.size))
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
