"""The choice: what a doubling and the next labels bring, and how small a difference the data could have shown."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from transferlib.own_data.choice import choose
from transferlib.own_data.compare import Compared
from transferlib.own_data.draws import Draws
from transferlib.own_data.summary import answer


def by_hand(accuracy: dict[str, list[list[float]]], grid: list[int]) -> Compared:
    """Runs of given accuracy: way → budgets × seeds."""
    rows = [{"strategy": way, "n": n, "seed": seed, "accuracy": value, "right": np.ones(4)}
            for way, table in accuracy.items() for n, line in zip(grid, table, strict=True)
            for seed, value in enumerate(line)]  # fmt: skip
    y = torch.arange(416) % 2
    sides = {seed: torch.arange(400) for seed in range(3)}
    draws = Draws(y, {s: torch.arange(400, 416) for s in sides}, sides, grid, [grid[0], grid[-1]], 3)
    names = {"probe": "linear probe", "fine_tune": "fine-tuning"}
    return Compared(pd.DataFrame(rows), draws, names, 4 / 16)


def test_the_gain_of_a_doubling_is_the_slope_in_log_labels() -> None:
    line = [[0.5 + 0.04 * k + 0.01 * s for s in range(3)] for k in range(4)]  # 4 points a doubling, for every seed
    choice = choose(by_hand({"probe": line, "fine_tune": [[v - 0.2 for v in row] for row in line]}, [2, 4, 8, 16]))
    assert choice.decision.strategy == "probe" and choice.decision.certain
    assert (choice.n, choice.low, choice.most) == (16, 4, 16)
    assert choice.doubling.mean == pytest.approx(4) and 4.1 < choice.doubling.high < 4.3
    assert choice.accuracy.mean == pytest.approx(63)
    assert choice.decision.gaps["fine_tune"].mean == pytest.approx(-0.2)


def test_a_dearer_way_is_chosen_when_it_is_better_pair_by_pair() -> None:
    line = [[0.5, 0.6, 0.7]] * 2
    choice = choose(by_hand({"probe": line, "fine_tune": [[v + 0.1 for v in row] for row in line]}, [2, 8]))
    assert choice.decision.strategy == "fine_tune" and choice.decision.sentence.startswith("Use fine-tuning.")


def test_a_hundred_labels_more_are_a_part_of_a_doubling() -> None:
    line = [[0.5 + 0.04 * k + 0.01 * s for s in range(3)] for k in range(4)]
    choice = choose(by_hand({"probe": line, "fine_tune": [[v - 0.2 for v in row] for row in line]}, [2, 4, 8, 16]))
    assert choice.labels == 16  # both classes of the sixteen rows that are learned from
    assert choice.hundred.mean == pytest.approx(4 * np.log2(116 / 16))
    assert choice.hundred.high - choice.hundred.low == pytest.approx(np.log2(116 / 16) * (
        choice.doubling.high - choice.doubling.low))  # fmt: skip


def test_the_difference_in_sight_is_the_one_seen_four_times_out_of_five() -> None:
    """Pairs of ways with a true difference of just that size, drawn again and again: the interval leaves out 0."""
    rng, truth, seen, ratio = np.random.default_rng(0), 0.2, 0, 4 / 16
    error = 0.1 * np.sqrt(1 / 3 + ratio)
    t95, t80 = stats.t.ppf([0.975, 0.8], 2)
    for _ in range(200):
        # Nadeau and Bengio's model: draws share a part of their luck, which no number of draws takes away.
        common = rng.normal(0, 0.1 * np.sqrt(ratio))
        gaps = (t95 + t80) * error + common + rng.normal(0, 0.1, 3)
        choice = choose(by_hand({"probe": [[truth] * 3], "fine_tune": [list(truth + gaps)]}, [4]))
        seen += choice.decision.strategy == "fine_tune"
    assert 0.68 <= seen / 200 <= 0.92
    said = answer(by_hand({"probe": [[truth] * 3], "fine_tune": [list(truth + gaps)]}, [4]), choice)[1]
    assert f"a difference of {choice.visible:.1f} points four times out of five" in said


def test_what_would_settle_the_choice_grows_with_the_square_of_what_hides() -> None:
    rows = {"probe": [[0.5, 0.5, 0.5]], "fine_tune": [[0.45, 0.5, 0.55]]}
    choice = choose(by_hand(rows, [4]))
    assert choice.needed == pytest.approx((choice.visible / 5) ** 2) and choice.needed > 1
    close = choose(by_hand({"probe": [[0.5, 0.5, 0.5]], "fine_tune": [[0.499, 0.5, 0.501]]}, [4]))
    assert close.needed == 1


def test_by_hand_five_draws_of_three_points_leave_more_than_the_margin() -> None:
    spread = np.array([-1, -1, 0, 1, 1]) / 1.0 * 0.03  # s = 3 points
    rows = {"probe": [[0.7] * 5], "fine_tune": [list(0.7 + spread)]}
    runs = [{"strategy": way, "n": 4, "seed": s, "accuracy": v, "right": np.ones(3)}
            for way, (line,) in rows.items() for s, v in enumerate(line)]  # fmt: skip
    y = torch.arange(1000) % 2
    learned, tested = ({s: rows for s in range(5)} for rows in (torch.arange(300, 1000), torch.arange(300)))
    draws = Draws(y, learned, tested, [4], [4], 5)
    choice = choose(Compared(pd.DataFrame(runs), draws, {"probe": "p", "fine_tune": "f"}, 3 / 7))
    assert 100 * choice.decision.gaps["fine_tune"].high == pytest.approx(6.6, abs=0.05)
    assert not choice.decision.certain
