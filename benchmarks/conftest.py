"""What every benchmark shares: one thread, and rows for the table of the book."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from pairs import ratio, seconds

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

    ``at_least`` or ``at_most`` is the target; with neither the row only reports. ``because`` says what forbids the
    target by its nature: where it is not reached, the row then shows the reason and is no miss.
    """

    def row(
        piece: str, against: str, value: float, unit: str, ours: str,
        at_least: float | None = None, at_most: float | None = None, because: str = "",
    ) -> None:  # fmt: skip
        target, met = "", None
        if at_least is not None:
            target, met = f"≥ {at_least:g}", bool(value >= at_least)
        elif at_most is not None:
            target, met = f"≤ {at_most:g}", bool(value <= at_most)
        found = {"piece": piece, "against": against, "value": float(value), "unit": unit, "ours": ours,
                 "target": target, "met": None if because and not met else met, "because": because}  # fmt: skip
        benchmark.extra_info.setdefault("rows", []).append(found)

    return row


@pytest.fixture
def beside(tell: Tell) -> Tell:
    """Add a row from times taken in turns: how much faster ours is, or, with ``at_least`` absent, its share of theirs.

    ``spent`` seconds by name, ``ours`` and ``theirs`` two of the names; ``peer`` what the table calls the other.
    """

    def row(
        piece: str, spent: Mapping[str, list[float]], ours: str, theirs: str, peer: str,
        at_least: float | None = None, at_most: float | None = None, because: str = "",
    ) -> None:  # fmt: skip
        share = ratio(spent[ours], spent[theirs])
        value, unit = (share, "× their time") if at_least is None else (1 / share, "× faster")
        against = f"{peer}, {seconds(spent[theirs])}"
        tell(piece, against, value, unit, seconds(spent[ours]), at_least=at_least, at_most=at_most, because=because)

    return row
