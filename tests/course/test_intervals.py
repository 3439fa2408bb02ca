"""Intervals, against SciPy, the pigeonhole bootstrap, and coverage counted by simulation."""

import numpy as np
import pytest
from scipy import stats

from transferlib.course.intervals import (
    accuracy_interval,
    label_equivalent,
    mean_interval,
    paired_difference,
    spread,
    two_way,
)
from transferlib.errors import UserError


def test_the_interval_is_students():
    x = np.random.default_rng(0).normal(size=12)
    low, high = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert mean_interval(x)[:4] == pytest.approx((x.mean(), low, high, 12))


def test_it_covers_the_truth_95_times_in_100():
    rng = np.random.default_rng(1)
    draws = [mean_interval(rng.normal(2, 3, size=5)) for _ in range(4000)]
    assert np.mean([i.low < 2 < i.high for i in draws]) == pytest.approx(0.95, abs=0.011)  # 3 standard errors


def test_one_seed_says_that_it_knows_no_spread():
    assert mean_interval([0.7]) == (0.7, -np.inf, np.inf, 1, 0, 0)


def test_common_luck_cancels_in_a_paired_difference():
    luck = np.random.default_rng(2).normal(size=20)
    d = paired_difference(luck + 0.1, luck)
    assert d.mean == pytest.approx(0.1)
    assert d.high - d.low < 1e-12


def test_label_equivalent_inverts_a_known_curve():
    """accuracy = log10(n) / 4 → a head start of 0.5 is worth 100 labels, whatever lies between the budgets."""
    budgets = [1, 10, 1000]
    curves = np.tile(np.log10(budgets) / 4, (6, 1))
    assert label_equivalent(np.full(6, 0.5), budgets, curves) == pytest.approx((100, 100, 100))


def test_label_equivalent_out_of_reach_and_at_once():
    curves = np.tile([0.2, 0.3], (4, 1))
    assert label_equivalent(np.full(4, 0.9), [1, 10], curves) == (np.inf, np.inf, np.inf)
    assert label_equivalent(np.full(4, 0.1), [5, 10], curves) == pytest.approx((5, 5, 5))


def test_label_equivalent_interval_holds_its_estimate_and_a_dip_does_not_break_it():
    rng = np.random.default_rng(3)
    curves = np.array([0.3, 0.28, 0.6, 0.8]) + rng.normal(0, 0.03, (10, 4))
    k, low, high = label_equivalent(0.5 + rng.normal(0, 0.02, 10), [1, 2, 10, 100], curves)
    assert low < k < high
    assert 2 < k < 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([]), "got 0 values"),
        (lambda: mean_interval([1, np.nan]), "1 of them NaN"),
        (lambda: paired_difference([1, 2], [1]), "same seeds"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()


def _answers(rng: np.random.Generator, seeds: int, examples: int, sd: tuple[float, float, float]) -> np.ndarray:
    return (
        rng.normal(0, sd[0], (seeds, 1)) + rng.normal(0, sd[1], (1, examples)) + rng.normal(0, sd[2], (seeds, examples))
    )


def test_two_way_variance_is_the_pigeonhole_bootstraps() -> None:
    rng = np.random.default_rng(0)
    x = _answers(rng, 20, 300, (0.05, 0.4, 0.5))
    draws = [x[rng.integers(20, size=20)][:, rng.integers(300, size=300)].mean() for _ in range(4000)]
    assert np.sqrt(spread(x)[0]) == pytest.approx(np.std(draws), rel=0.08)


@pytest.mark.parametrize("sd", [(0.02, 0.4, 0.5), (0.2, 0.4, 0.5), (0.0, 0.4, 0.3), (0.1, 0.0, 0.5), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize(("seeds", "examples"), [(8, 200), (20, 400), (3, 100)])
def test_two_way_intervals_cover_the_truth(sd: tuple[float, float, float], seeds: int, examples: int) -> None:
    rng = np.random.default_rng(1)
    spans = [two_way(_answers(rng, seeds, examples, sd)) for _ in range(800)]
    assert np.mean([span.low <= 0 <= span.high for span in spans]) >= 0.93


@pytest.mark.parametrize("p", [0.5, 0.8, 0.97, 0.995])
@pytest.mark.parametrize(("seeds", "examples"), [(8, 200), (20, 400)])
def test_accuracy_intervals_cover_the_truth(p: float, seeds: int, examples: int) -> None:
    """An answer is right when ability + seed + easiness + luck > 0; the truth is the mean over all four."""
    rng = np.random.default_rng(2)
    total = np.sqrt(0.1**2 + 1 + 0.7**2)
    shift = stats.norm.ppf(p) * total
    spans = [accuracy_interval(_answers(rng, seeds, examples, (0.1, 1.0, 0.7)) + shift > 0) for _ in range(600)]
    assert np.mean([span.low <= p <= span.high for span in spans]) >= 0.93
    assert all(0 <= span.low < span.high <= 1 for span in spans)


def test_seeds_alone_cover_too_little_where_the_examples_are_few() -> None:
    """The reason for the second kind of luck: the interval over seeds misses the truth most of the time."""
    rng = np.random.default_rng(3)
    tables = [_answers(rng, 20, 100, (0.02, 0.4, 0.3)) for _ in range(400)]
    assert np.mean([abs(m.mean) < m.high - m.mean for m in (mean_interval(t.mean(1)) for t in tables)]) < 0.5


def test_what_a_run_could_have_seen_is_seen_four_times_in_five() -> None:
    rng = np.random.default_rng(4)
    some = mean_interval(rng.normal(size=10))
    size = (stats.t.ppf(0.975, 9) + stats.t.ppf(0.8, 9)) / np.sqrt(10)
    sd = (some.high - some.mean) / stats.t.ppf(0.975, 9) * np.sqrt(10)
    assert some.detectable == pytest.approx(size * sd, rel=1e-9)
    seen = np.mean([mean_interval(rng.normal(size, 1, 10)).low > 0 for _ in range(4000)])
    assert 0.74 < seen < 0.86


def test_paired_answers_cancel_the_luck_they_share() -> None:
    rng = np.random.default_rng(5)
    easy = _answers(rng, 10, 200, (0.2, 1.0, 0.3))
    a, b = (easy + 0.1 > 0).astype(float), (easy > 0).astype(float)
    paired, alone = paired_difference(a, b), two_way(a)
    assert paired.examples == 200 and paired.high - paired.low < 0.7 * (alone.high - alone.low)


def test_a_table_with_a_hole_and_a_table_that_is_none_are_refused() -> None:
    with pytest.raises(UserError, match=r"at least 2 seeds × 2 examples: got shape \(5,\)"):
        two_way(np.ones(5))
    with pytest.raises(UserError, match="1 are NaN"):
        two_way([[1.0, np.nan], [0.0, 1.0]])
    with pytest.raises(UserError, match="holds other numbers"):
        accuracy_interval([[0.5, 1.0], [0.0, 1.0]])
