"""Tuning: on seeds of its own, inside the grid, with a table of what was tried."""

from pathlib import Path

import numpy as np
import pytest

from transferlib.course.tuned import tuned
from transferlib.errors import UserError

GRID = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))


def peak(lr: float, seed: int, at: float = 1e-2, noise: float = 0.01) -> dict[str, float]:
    luck = np.random.default_rng([seed, round(1e6 * lr)]).normal() * noise
    return {"accuracy": 0.8 - 0.1 * abs(np.log10(lr / at)) + luck}


def test_the_best_is_chosen_and_the_table_says_how_far_the_others_are_behind() -> None:
    result = tuned(peak, "lr", GRID, seeds=range(100, 106), reported=range(8), fixed={"noise": 0.002})
    assert result.best == 1e-2 and result.name == "lr"
    assert result.table["lr"].tolist() == GRID
    assert result.table["points behind the chosen"][2] == "chosen"
    assert result.table["points behind the chosen"][0].startswith(("9.", "10."))


def test_an_end_that_clearly_wins_is_refused_unless_told_why() -> None:
    fixed = {"at": 1e-1, "noise": 0.002}
    with pytest.raises(UserError, match=r"best lr is 0\.1, at the end of its grid: widen the grid"):
        tuned(peak, "lr", GRID, seeds=range(100, 106), reported=range(8), fixed=fixed)
    told = tuned(
        peak, "lr", GRID, seeds=range(100, 106), reported=range(8), fixed=fixed, ends="one is the largest rate"
    )
    assert told.best == 1e-1


def test_an_end_that_wins_by_luck_gives_way_to_the_best_inner_value() -> None:
    def flat(lr: float, seed: int) -> dict[str, float]:
        return {"accuracy": 0.5 + 0.001 * (lr == 1e-1) + 0.05 * np.random.default_rng([seed, round(1e6 * lr)]).normal()}

    assert tuned(flat, "lr", GRID, seeds=range(100, 106), reported=range(8)).best in GRID[1:-1]


def test_reported_seeds_small_grids_and_few_seeds_are_refused() -> None:
    with pytest.raises(UserError, match="uses the seed 7, whose results are reported"):
        tuned(peak, "lr", GRID, seeds=range(7, 13), reported=range(8))
    with pytest.raises(UserError, match="at least 5 values and 5 seeds: got 5 and 3"):
        tuned(peak, "lr", GRID, seeds=range(100, 103), reported=range(8))
