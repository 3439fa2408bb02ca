import numpy as np
import pandas as pd
import pytest

from transferlib.course import curves
from transferlib.errors import UserError
from transferlib.widgets.label_budget import check_state


@pytest.fixture
def frame() -> pd.DataFrame:
    """The probe is 0.2 ahead at every n and seed; the small network improves by 0.1 from budget to budget."""
    rows = []
    for seed in range(4):
        for step, n in enumerate((1, 10, 100)):
            luck = 0.01 * seed
            rows.append({"strategy": "scratch_small", "n": n, "seed": seed, "accuracy": 0.3 + 0.1 * step + luck})
            rows.append({"strategy": "probe", "n": n, "seed": seed, "accuracy": 0.5 + 0.1 * step + luck})
    return pd.DataFrame(rows)


def test_the_gap_is_paired_so_common_luck_cancels(frame: pd.DataFrame) -> None:
    gap = curves.gap(frame, "probe", "scratch_small", 10)
    assert gap.mean == pytest.approx(0.2) and gap.high - gap.low == pytest.approx(0, abs=1e-9)
    assert curves.at(frame, "probe", 10).high > curves.at(frame, "probe", 10).low + 0.01


def test_a_pair_uses_only_the_seeds_both_have(frame: pd.DataFrame) -> None:
    partial = frame[~((frame["strategy"] == "scratch_small") & (frame["seed"] > 1))]
    assert curves.gap(partial, "probe", "scratch_small", 1).seeds == 2


def test_the_explorer_can_draw_the_state_and_the_equivalent_is_right(frame: pd.DataFrame) -> None:
    about = {"toy": {"label": "Toy", "unit": "test accuracy", "chance": 0.1, "classes": 10}}
    state = curves.explorer_state({"toy": frame}, {"probe": "Probe", "scratch_small": "Small"}, about)
    check_state(state)
    worth = state["datasets"][0]["equivalents"][0]
    # The probe at 1 label stands where the small network stands two budgets later.
    assert worth["k"][0] == pytest.approx(100) and worth["beyond"] == [False, True, True]


def test_an_unknown_strategy_suggests_the_nearest(frame: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="did you mean 'probe'"):
        curves.table(frame, "probes")


def test_answers_give_two_way_intervals_and_accuracies_those_over_seeds() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"strategy": way, "n": n, "seed": s, "right": rng.random(300) < p}
        for way, p in (("probe", 0.7), ("small", 0.5))
        for n in (5, 20)
        for s in range(6)
    ]
    frame = pd.DataFrame(rows)
    plain = frame.assign(accuracy=[float(np.mean(r)) for r in frame["right"]]).drop(columns="right")
    assert curves.table(frame, "probe").equals(curves.table(plain, "probe"))
    both, alone = curves.at(frame, "probe", 5), curves.at(plain, "probe", 5)
    assert both.mean == pytest.approx(alone.mean) and (both.examples, alone.examples) == (300, 0)
    assert curves.gap(frame, "probe", "small", 5).covers == "6 seeds × 300 test examples"
    state = curves.explorer_state(
        {"toy": frame}, {"probe": "Probe", "small": "Small"}, {"toy": {}}, ("probe",), ("small",), 5
    )
    assert state["datasets"][0]["equivalents"][0]["beyond"] == [True, True]


def test_values_a_seed_come_in_the_order_of_the_seeds_and_average_the_rest(frame: pd.DataFrame) -> None:
    backwards = frame.iloc[::-1]
    assert curves.seeds_of(backwards, "accuracy", strategy="probe", n=10).tolist() == [0.6, 0.61, 0.62, 0.63]
    mixed = curves.seeds_of(backwards, "accuracy", strategy="probe")
    assert mixed == pytest.approx([0.6, 0.61, 0.62, 0.63])
    assert len(curves.seeds_of(frame, "accuracy")) == 4


def test_values_of_runs_that_were_not_made_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(UserError, match=r"No run has strategy='probe', n=7\."):
        curves.seeds_of(frame, "accuracy", strategy="probe", n=7)
