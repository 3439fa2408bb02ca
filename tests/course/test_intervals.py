"""Intervals over seeds, against SciPy and against coverage counted by simulation."""

import numpy as np
import pytest
from scipy import stats

from transferlib.course.intervals import label_equivalent, mean_interval, paired_difference
from transferlib.errors import UserError


def test_the_interval_is_students():
    x = np.random.default_rng(0).normal(size=12)
    low, high = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert mean_interval(x) == pytest.approx((x.mean(), low, high, 12))


def test_it_covers_the_truth_95_times_in_100():
    rng = np.random.default_rng(1)
    draws = [mean_interval(rng.normal(2, 3, size=5)) for _ in range(4000)]
    assert np.mean([i.low < 2 < i.high for i in draws]) == pytest.approx(0.95, abs=0.011)  # 3 standard errors


def test_one_seed_says_that_it_knows_no_spread():
    assert mean_interval([0.7]) == (0.7, -np.inf, np.inf, 1)


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
