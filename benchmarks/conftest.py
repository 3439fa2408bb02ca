"""What every benchmark shares: one thread, and rows for the table of the book."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

Tell = Callable[..., None]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tell(benchmark: Any) -> Tell:
    """Add a row to the table: a piece of work, what it is held against, a number, and the target it has to meet.

    ``at_least`` or ``at_most`` is the target; with neither the row only reports.
    """

    def row(piece: str, against: str, value: float, unit: str, ours: str, at_least: float | None = None,
            at_most: float | None = None) -> None:  # fmt: skip
        met = None if at_least is None and at_most is None else (
            (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        )  # fmt: skip
        target = f"≥ {at_least:g}" if at_least is not None else f"≤ {at_most:g}" if at_most is not None else ""
        met = met if met is None else bool(met)  # numpy's own kind of truth is no JSON
        found = {"piece": piece, "against": against, "value": float(value), "unit": unit, "ours": ours,
                 "target": target, "met": met}  # fmt: skip
        benchmark.extra_info.setdefault("rows", []).append(found)

    return row
