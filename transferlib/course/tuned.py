"""Everybody tuned alike: one setting picked on held-out training labels, with seeds that are not reported."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from transferlib.course.intervals import paired_difference
from transferlib.course.printing import bracketed, number
from transferlib.errors import UserError
from transferlib.runs.sweep import sweep


class Tuned(NamedTuple):
    """``best`` of the values tried for ``name``; ``table``: their means, and how far each is behind the chosen."""

    name: str
    best: Any
    table: pd.DataFrame


def tuned(
    run: Callable[..., dict[str, Any]], name: str, values: Sequence[Any], *, seeds: Sequence[int],
    reported: Sequence[int], fixed: Mapping[str, Any] | None = None, metric: str = "accuracy", ends: str = "",
    desc: str = "tuning",
) -> Tuned:  # fmt: skip
    """The value of ``name`` with the best mean ``metric`` over ``seeds``; ``run`` scores on held-out training labels.

    A value at an end of the grid might be beaten by one beyond it. It is refused where it clearly beats every inner
    value (the paired 95 % interval leaves out 0); where that is not clear, the best inner value is taken. ``ends`` says
    why an end is the natural one, such as "all of the layers", and allows it.

    Arguments: ``run(**fixed, name=value, seed=seed)`` returns ``{metric: number}``; ``reported`` are the chapter's own
    seeds, which must not be used here.

    Raises:
        UserError: fewer than five values or seeds, seeds that are also reported, or an end that clearly wins.
    """
    if len(values) < 5 or len(seeds) < 5:
        raise UserError(f"Tuning {name!r} needs at least 5 values and 5 seeds: got {len(values)} and {len(seeds)}.")
    if both := sorted(set(seeds) & set(reported)):
        raise UserError(f"Tuning {name!r} uses the seed {both[0]}, whose results are reported: use seeds of its own.")
    cells = [{**(fixed or {}), name: value, "seed": seed} for value in values for seed in seeds]
    scores = sweep(run, cells, desc=desc)[metric].to_numpy(dtype=float).reshape(len(values), -1)  # (values, seeds)
    means = scores.mean(1)
    best = int(means.argmax())
    if best in (0, len(values) - 1) and not ends:
        inner = 1 + int(means[1:-1].argmax())
        if paired_difference(scores[best], scores[inner]).low > 0:
            raise UserError(
                f"The best {name} is {values[best]!r}, at the end of its grid: widen the grid beyond it, or say with "
                "ends= why nothing lies there."
            )
        best = inner
    rows = []
    for i, value in enumerate(values):
        behind = paired_difference(scores[best], scores[i])
        said = "chosen" if i == best else bracketed(behind.scaled(100))
        rows.append({name: value, f"{metric} (%)": number(100 * means[i]), "points behind the chosen": said})
    return Tuned(name, values[best], pd.DataFrame(rows))
