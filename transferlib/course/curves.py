"""Values a seed; label-budget curves from one accuracy per (strategy, n, seed): bands, paired gaps, equivalents."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transferlib.course.intervals import (
    Interval,
    accuracy_interval,
    label_equivalent,
    mean_interval,
    paired_difference,
)
from transferlib.errors import UserError, nearest


def seeds_of(frame: pd.DataFrame, column: str, **where: Any) -> NDArray[np.float64]:
    """One value a seed, in the order of the seeds: the mean of ``column`` over the rows where all of ``where`` holds.

    Raises ``UserError`` when no row fits.

    >>> runs = pd.DataFrame({"way": ["lora", "full", "lora"], "seed": [1, 0, 0], "accuracy": [0.5, 0.75, 0.25]})
    >>> seeds_of(runs, "accuracy", way="lora").tolist()
    [0.25, 0.5]
    """
    rows = frame[np.logical_and.reduce([frame[key] == value for key, value in where.items()])] if where else frame
    if rows.empty:
        raise UserError(f"No run has {', '.join(f'{key}={value!r}' for key, value in where.items())}.")
    return rows.groupby("seed")[column].mean().to_numpy(dtype=float)


def table(frame: pd.DataFrame, strategy: str) -> pd.DataFrame:
    """Accuracy of one strategy: a row per seed, a column per n.

    ``frame`` has the columns ``strategy``, ``n`` (labels per class), ``seed`` and ``accuracy`` (0..1), or ``right``:
    in each row the answers to the same test examples, right (True) or wrong.
    Raises ``UserError`` for an unknown strategy.
    """
    rows = frame[frame["strategy"] == strategy]
    if rows.empty:
        raise UserError(f"Strategy {strategy!r} was not run: {nearest(strategy, set(frame['strategy']))}")
    if "right" in frame:
        rows = rows.assign(accuracy=[float(np.mean(right)) for right in rows["right"]])
    return rows.pivot(index="seed", columns="n", values="accuracy")


def answers(frame: pd.DataFrame, strategy: str, n: int) -> pd.DataFrame:
    """Right (1) and wrong (0) answers of one strategy at ``n``: a row per seed, a column per test example."""
    rows = frame[(frame["strategy"] == strategy) & (frame["n"] == n)].sort_values("seed")
    return pd.DataFrame(np.stack([np.asarray(right, dtype=float) for right in rows["right"]]), index=rows["seed"])


def at(frame: pd.DataFrame, strategy: str, n: int) -> Interval:
    """Mean accuracy of a strategy at ``n`` labels per class: over seeds, and over examples where there are answers."""
    if "right" in frame and len(rows := answers(frame, strategy, n)) > 1:
        return accuracy_interval(rows)
    return mean_interval(table(frame, strategy)[n].dropna())


def gap(frame: pd.DataFrame, a: str, b: str, n: int) -> Interval:
    """Accuracy of ``a`` minus that of ``b`` at ``n``, paired over the seeds and examples both were run with."""
    if "right" in frame:
        left, right = answers(frame, a, n), answers(frame, b, n)
        both = left.index.intersection(right.index)
        if len(both) > 1:
            return paired_difference(left.loc[both], right.loc[both])
    pair = pd.concat([table(frame, a)[n], table(frame, b)[n]], axis=1).dropna()
    return paired_difference(pair.iloc[:, 0], pair.iloc[:, 1])


def shared(frame: pd.DataFrame, a: str, b: str) -> list[int]:
    """The budgets at which both strategies were run, ascending."""
    return sorted(set(table(frame, a).columns) & set(table(frame, b).columns))


def _series(spans: Mapping[int, Interval], scale: float = 1) -> dict[str, Any]:
    # One seed has no interval: its ends are drawn at the mean, and the number of seeds is told.
    ends = [(s.low, s.high) if np.isfinite(s.low) else (s.mean, s.mean) for s in spans.values()]
    return {
        "n": [int(n) for n in spans],
        "mean": [scale * s.mean for s in spans.values()],
        "lo": [scale * low for low, _ in ends],
        "hi": [scale * high for _, high in ends],
    }


def _equivalent(frame: pd.DataFrame, strategy: str, against: str) -> dict[str, Any]:
    curve = table(frame, against).dropna(axis=1)
    budgets: list[int] = [int(n) for n in curve.columns]
    values: NDArray[np.float64] = curve.to_numpy(dtype=float)
    result: dict[str, Any] = {
        "strategy": strategy,
        "against": against,
        "n": [],
        "k": [],
        "lo": [],
        "hi": [],
        "beyond": [],
    }
    if "right" in frame:
        values = np.stack(
            [answers(frame, against, n).to_numpy() for n in budgets], axis=1
        )  # (seeds, budgets, examples)
    for n in table(frame, strategy).columns:
        reached = (answers(frame, strategy, n) if "right" in frame else table(frame, strategy)[n].dropna()).to_numpy(
            float
        )
        k, low, high = label_equivalent(reached, budgets, values)
        beyond = not np.isfinite(k)
        result["n"].append(int(n))
        result["k"].append(float(budgets[-1]) if beyond else k)
        result["lo"].append(low if np.isfinite(low) else None)
        result["hi"].append(high if np.isfinite(high) else None)
        result["beyond"].append(beyond)
    return result


def explorer_state(
    frames: Mapping[str, pd.DataFrame],
    labels: Mapping[str, str],
    about: Mapping[str, Mapping[str, Any]],
    transfer: Sequence[str] = ("probe", "fine_tune"),
    scratch: Sequence[str] = ("scratch_small", "scratch"),
    start_n: int = 20,
) -> dict[str, Any]:
    """The state of the label-budget explorer.

    ``frames`` data set → runs; ``labels`` strategy → its name on the page; ``about`` data set → ``label``,
    ``unit``, ``chance``, ``classes``. Gaps and equivalents are made for each pair of ``transfer`` × ``scratch``.
    """
    datasets = []
    for key, frame in frames.items():
        known = [s for s in labels if s in set(frame["strategy"])]
        pairs = [(a, b) for a, b in product(transfer, scratch) if a in known and b in known]
        strategies = [
            {
                "id": s,
                "label": labels[s],
                "seeds": len(table(frame, s)),
                **_series({n: at(frame, s, n) for n in table(frame, s)}),
            }
            for s in known
        ]
        gaps = [{"a": a, "b": b, **_series({n: gap(frame, a, b, n) for n in shared(frame, a, b)})} for a, b in pairs]
        equivalents = [_equivalent(frame, a, b) for a, b in pairs]
        datasets.append({"id": key, **about[key], "strategies": strategies, "gaps": gaps, "equivalents": equivalents})
    return {"title": "What is a head start worth?", "start_n": start_n, "datasets": datasets}
