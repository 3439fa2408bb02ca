"""Sweeps: the same function over many independent settings, cached on disk, in parallel, resumable.

``TRANSFERLIB_EXECUTOR=ray`` sends the same list to a Ray cluster, that of ``RAY_ADDRESS`` or one on this machine.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib
import pandas as pd
from tqdm import tqdm

from transferlib.errors import UserError, needs
from transferlib.runs import record
from transferlib.runs.cache import store
from transferlib.runs.provenance import function_keys

Cell = dict[str, Any]


def workers() -> int:
    """Processes a sweep may use: ``TRANSFERLIB_WORKERS``, or every core."""
    text = os.environ.get("TRANSFERLIB_WORKERS") or str(os.cpu_count() or 1)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"TRANSFERLIB_WORKERS={text!r} is not a number of processes: use 1 or more.")
    return int(text)


def executor() -> str:
    """Where a sweep runs: ``TRANSFERLIB_EXECUTOR``, ``local`` (the default) or ``ray``."""
    name = os.environ.get("TRANSFERLIB_EXECUTOR") or "local"
    if name not in ("local", "ray"):
        raise UserError(f"TRANSFERLIB_EXECUTOR={name!r} is unknown: use 'local' or 'ray'.")
    return name


def _run(key: str, cell: Cell, run: Callable[..., Cell]) -> Cell:
    import torch

    torch.set_num_threads(1)  # one thread a process: parallel runs do not fight, and sums keep their order
    # What a notebook draws next must not depend on which cells were kept, or on where the others ran.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        return run(**cell)


def sweep(
    run: Callable[..., Cell],
    cells: Sequence[Cell],
    *,
    desc: str = "runs",
    n_jobs: int | None = None,
    gpus: float = 0,
) -> pd.DataFrame:
    """Run ``run(**cell)`` for each cell and return one row per cell: its settings, then its results.

    A finished cell is kept on disk, keyed by the cell and by the code ``run`` can reach, so an interrupted
    sweep goes on where it stopped and a repeated one is read back. Rows come in the order of ``cells``.

    Arguments: ``run`` returns a dictionary of numbers, texts or arrays; ``cells`` dictionaries of its arguments, plain
    values only; ``n_jobs`` processes, default :func:`workers`; ``gpus`` the share of a GPU of a run on Ray.

    Raises ``UserError`` for no cells, a result with the name of a setting, or an executor that is not there.
    """
    if not cells:
        raise UserError(f"The sweep {desc!r} has no cells: give at least one dictionary of arguments.")
    cached = store("sweeps").cache(_run, ignore=["run"])
    key, code = function_keys(run)  # type: ignore[arg-type]
    recorded = record.read(code)
    again = record.sample(cells) if recorded else []
    names = [record.name(cell) for cell in cells]
    results: dict[int, Cell] = {}
    for i, cell in enumerate(cells):
        if i not in again and names[i] in recorded:
            results[i] = recorded[names[i]]
        elif cached.check_call_in_cache(key, cell, run):
            results[i] = cached(key, cell, run)
    if recorded:
        print(record.told(sum(name in recorded for name in names), desc), file=sys.stderr)
    todo = [i for i in range(len(cells)) if i not in results]
    record.COUNTS["cells_kept"] += len(results)
    record.COUNTS["cells_computed"] += len(todo)

    def indexed(i: int) -> tuple[int, Cell]:
        return i, cached(key, cells[i], run)

    def kept(done: tuple[int, Cell]) -> tuple[int, Cell]:
        i, result = done  # computed elsewhere: the cache of this machine gets it too
        return i, cached(key, cells[i], lambda **_: result)

    jobs = min(n_jobs or workers(), max(1, len(todo)))
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1) if jobs > 1 else joblib.parallel_config():
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
        finished: Iterator[tuple[int, Cell]]
        if executor() == "ray" and todo:
            finished = map(kept, _on_ray(key, run, {i: cells[i] for i in todo}, gpus))
        else:
            finished = pool(joblib.delayed(indexed)(i) for i in todo)
        for i, result in tqdm(finished, desc=desc, total=len(todo), disable=not todo, mininterval=1):
            results[i] = result
    for i in again:
        record.compare(desc, cells[i], recorded.get(names[i], {}), results[i])
    record.note(code, {name: results[i] for i, name in enumerate(names)})
    clash = set(cells[0]) & set(results[0])
    if clash:
        raise UserError(f"The sweep {desc!r} returns {sorted(clash)}, which are settings: rename those results.")
    return pd.DataFrame([{**cell, **results[i]} for i, cell in enumerate(cells)])


def _on_ray(key: str, run: Callable[..., Cell], cells: dict[int, Cell], gpus: float) -> Iterator[tuple[int, Cell]]:
    """Each cell a task of the cluster, as it is finished. A task whose worker dies is run again, up to three times."""
    needs("ray", "ray", "TRANSFERLIB_EXECUTOR='ray'")
    import ray

    own = not ray.is_initialized() and not os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, include_dashboard=False)
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(_run)
    running = {task.remote(key, cell, run): i for i, cell in cells.items()}
    try:
        while running:
            (done,), _ = ray.wait(list(running))
            yield running.pop(done), ray.get(done)
    finally:
        if own:  # an instance on this machine ends with its sweep; a cluster is left as it was found
            ray.shutdown()
