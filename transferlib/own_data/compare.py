"""Every way to train, on the same splits and labels of your own data: trained, scored, decided on, saved."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from transferlib.course.intervals import Interval
from transferlib.own_data.beside import beside, others, solve_on
from transferlib.own_data.beside import seen as features_of
from transferlib.own_data.checks import Check
from transferlib.own_data.decision import balanced, resampled
from transferlib.own_data.draws import Draws, content, evenly
from transferlib.own_data.saved import build, probe_classifier, save_model
from transferlib.own_data.ways import NAMES, SOLVED, TRAINED, examples, shape_of, solve, train, vectors
from transferlib.runs.sweep import sweep, workers
from transferlib.tuning.training import logits

MOST_KEPT = 20_000  # examples that a kept model learns from: their features have to fit into memory


def solved(checked: Check, draws: Draws) -> pd.DataFrame:
    """Every way that needs no steps, at every budget and seed: a row each, with ``scores`` (T, C) and ``seconds``."""

    def one(way: str, n: int, seed: int) -> dict[str, Any]:
        start, test = time.perf_counter(), draws.test[seed]
        x = vectors(checked, way, draws.rows(n, seed))
        if bool((x == x[:1]).all()):  # nothing to tell examples apart by, as words in texts of emoji: it guesses
            guess = np.zeros((len(test), len(checked.scan.found.classes)), np.float32)
            return {"strategy": way, "n": n, "seed": seed, "seconds": 0.0, "scores": guess, "blind": True}
        probe = solve(checked, way, draws.rows(n, seed))
        seconds = time.perf_counter() - start
        scores = (vectors(checked, way, test) @ probe.weight + probe.bias).numpy()
        return {"strategy": way, "n": n, "seed": seed, "seconds": seconds, "scores": scores, "blind": False}

    ways = SOLVED[checked.scan.found.kind]
    tasks = [joblib.delayed(one)(way, n, seed) for way in ways for n in draws.grid for seed in draws.train]
    pool = joblib.Parallel(n_jobs=workers(), backend="threading", return_as="generator")
    return pd.DataFrame(list(tqdm(pool(tasks), "closed form", len(tasks), mininterval=1)))


def trained(checked: Check, draws: Draws, steps: int | None = None, device: str = "cpu") -> pd.DataFrame:
    """Every way that is trained, as :func:`solved`. A finished run is kept on disk by the content it saw."""
    found, keys, size = checked.scan.found, checked.scan.keys, checked.scan.size
    seeds = list(draws.train)[: draws.few]
    learned = {(n, seed): draws.rows(n, seed) for n in draws.trained_at for seed in seeds}
    tested = {seed: draws.test[seed] for seed in seeds}

    def one(strategy: str, n: int, seed: int, steps: int | None, size: int, device: str, data: str) -> dict[str, Any]:
        start = time.perf_counter()
        model = train(strategy, found, keys, learned[n, seed], size=size, seed=seed, steps=steps, device=device)
        seconds = time.perf_counter() - start
        x = examples(found, keys, tested[seed], shape_of(strategy, found.kind, size)[1])
        return {"seconds": seconds, "scores": logits(model, model.encode(x), device=device).numpy()}

    data = {at: content(checked, draws, *at) for at in learned}
    same = {"steps": steps, "size": size, "device": device}
    cells = [{"strategy": way, "n": n, "seed": seed, "data": data[n, seed], **same}
             for way in TRAINED[found.kind] for n, seed in learned]  # fmt: skip
    table = sweep(one, cells, desc="trained", gpus=0 if device == "cpu" else 1)
    return table[["strategy", "n", "seed", "seconds", "scores"]]


class Compared(NamedTuple):
    """``runs``: a row for each way, budget and seed, with ``accuracy`` (balanced) and the hits ``right`` (T,).

    ``names`` of the ways, cheapest first. ``ratio`` = test / other examples, and 0 for a given split: see
    :func:`transferlib.own_data.decision.resampled`. ``blind``: way → (draws in which it could tell no two examples
    apart and guessed, all of its draws); one that always guesses is not among the ``names``.
    """

    runs: pd.DataFrame
    draws: Draws
    names: dict[str, str]
    ratio: float
    blind: Mapping[str, tuple[int, int]] = MappingProxyType({})

    def budgets(self, way: str) -> list[int]:
        """The label budgets that a way was run at."""
        return sorted(self.runs.loc[self.runs["strategy"] == way, "n"].unique().tolist())

    def values(self, way: str, n: int, column: str = "accuracy", few: bool = False) -> NDArray[Any]:
        """A column of the runs at one budget, a row for each seed; ``few``: of the seeds that every way has."""
        rows = self.runs[(self.runs["strategy"] == way) & (self.runs["n"] == n)].sort_values("seed")
        return np.stack(rows[column].to_list()[: self.draws.few if few else None])

    def hits(self, way: str, n: int, few: bool = False) -> NDArray[np.float64] | None:
        """The hits (J, T) of one given test part; nothing where each draw has a test part of its own."""
        return None if self.ratio else self.values(way, n, "right", few).astype(float)

    def interval(self, values: NDArray[Any], hits: NDArray[np.float64] | None) -> Interval:
        """Of balanced accuracies (J,) or their differences, with the hits, or their differences, behind them."""
        return resampled(values, self.ratio, hits, self.draws.y[next(iter(self.draws.test.values()))])

    def accuracy(self, way: str, n: int) -> Interval:
        """Balanced accuracy in %, with an interval that stays between 0 and 100."""
        span = self.interval(self.values(way, n), self.hits(way, n)).scaled(100)
        return span._replace(low=max(span.low, 0.0), high=min(span.high, 100.0))


def compare(checked: Check, draws: Draws, steps: int | None = None, device: str = "cpu") -> Compared:
    """Run every way on every draw, and score it. Interrupted and started again, it goes on where it stopped."""
    found, y = checked.scan.found, draws.y
    parts = [solved(checked, draws), beside(checked, draws, device), trained(checked, draws, steps, device)]
    runs = pd.concat(parts, ignore_index=True)
    marked = runs.pop("blind").eq(True).groupby(runs["strategy"]).agg(["sum", "size"])
    blind = {str(way): (int(some), int(all_)) for way, some, all_ in marked.itertuples() if some}
    runs = runs[~runs["strategy"].isin([way for way, (some, all_) in blind.items() if some == all_])]
    runs = runs.reset_index(drop=True)
    truths = [y[draws.test[seed]].numpy() for seed in runs["seed"]]
    guesses = [scores.argmax(1) for scores in runs["scores"]]
    runs["right"] = [guess == truth for guess, truth in zip(guesses, truths, strict=True)]
    runs["accuracy"] = [balanced(guess, truth) for guess, truth in zip(guesses, truths, strict=True)]
    names = {way: name for way, name in NAMES[found.kind].items() if way in set(runs["strategy"])}
    test = len(next(iter(draws.test.values())))
    return Compared(runs, draws, names, 0.0 if found.splits else test / (len(y) - test), blind)


def keep(
    checked: Check, draws: Draws, way: str, folder: Path, *, temperature: float, seed: int = 0,
    steps: int | None = None, device: str = "cpu",
) -> int:  # fmt: skip
    """Train the chosen way on everything, the test part too unless it was given, and save it; returns the examples.

    Of more than ``MOST_KEPT`` on an even draw; its accuracy has been measured. ``UserError`` if it cannot be written.
    """
    scan = checked.scan
    found, (backbone, seen) = scan.found, shape_of(way, scan.found.kind, scan.size)
    rows = draws.train[seed] if found.splits else torch.arange(len(found.y))
    rows = rows[evenly(draws.y[rows], MOST_KEPT, seed)]
    if way in SOLVED[found.kind]:
        model = probe_classifier(build(backbone, seen), solve(checked, way, rows))
    elif way in others(found.kind):
        x = features_of(checked, backbone, rows, device)
        probe, layer, _ = solve_on(found, scan.size, way, x, draws.y[rows])
        backbone += layer
        model = probe_classifier(build(backbone, seen), probe)
    else:
        model = train(way, found, scan.keys, rows, size=scan.size, seed=seed, steps=steps, device=device, progress=True)
    save_model(folder, model, kind=found.kind, backbone=backbone, size=seen, classes=found.classes,
               temperature=temperature, span=found.span)  # fmt: skip
    return len(rows)
