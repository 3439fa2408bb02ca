"""The decision: cheapest that nothing beats, and an interval that knows splits overlap."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from transferlib.course.intervals import paired_difference
from transferlib.course.intervals import two_way as interval_of
from transferlib.errors import UserError
from transferlib.own_data.decision import balanced, decide, example_spread, resampled

NAMES = {"probe": "the probe", "tune": "fine-tuning", "small": "the small model"}


def runs(mean: float, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    return mean + noise * np.random.default_rng(seed).standard_normal(8)


def test_balanced_accuracy_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    y, guess = rng.integers(0, 4, 200) ** 2 // 3, rng.integers(0, 4, 200)
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(UserWarning)
        assert balanced(guess, y) == pytest.approx(balanced_accuracy_score(y, guess))


def test_the_interval_is_students_without_overlap_and_nadeau_bengios_with_it() -> None:
    x = runs(0.7, 0.05)
    plain = resampled(x, ratio=0)
    low, high = stats.t.interval(0.95, 7, x.mean(), stats.sem(x))
    assert (plain.low, plain.high) == pytest.approx((low, high))
    wide = resampled(x, ratio=3 / 7)
    assert (wide.high - wide.mean) / (plain.high - plain.mean) == pytest.approx(np.sqrt((1 / 8 + 3 / 7) * 8))
    assert resampled([0.5], 0.4).low == -np.inf


def test_resampled_intervals_cover_where_plain_ones_do_not() -> None:
    """Means of 30 normal numbers by repeated 70/30 splits: the true mean is 0."""
    hits = {0.0: 0, 3 / 7: 0}
    for seed in range(300):
        rng = np.random.default_rng(seed)
        data = rng.standard_normal(30)
        means = [rng.permutation(data)[:9].mean() for _ in range(10)]  # each "test set" holds nine
        for ratio in hits:
            span = resampled(means, ratio)
            hits[ratio] += span.low <= 0 <= span.high
    assert hits[0.0] < 0.8 * 300 < 0.93 * 300 <= hits[3 / 7]


def test_the_spread_over_test_examples_is_what_other_test_sets_show() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [100, 40, 60])
    rate = np.array([0.9, 0.6, 0.5])
    draws = [(rng.random(200) < rate[y]).astype(float) for _ in range(2000)]
    seen = np.var([np.mean([d[y == c].mean() for c in range(3)]) for d in draws])
    guessed = np.mean([example_spread(d[None], y) for d in draws[:200]])
    assert guessed == pytest.approx(seen, rel=0.1)


def test_a_dearer_strategy_needs_proof() -> None:
    better = decide({"probe": runs(0.7), "tune": runs(0.8, seed=1)}, NAMES, ratio=0.3)
    assert better.strategy == "tune" and better.certain and better.sentence.startswith("Use fine-tuning.")
    alike = decide({"probe": runs(0.7), "tune": runs(0.7, seed=1)}, NAMES, ratio=0.3)
    assert alike.strategy == "probe" and alike.certain and set(alike.gaps) == {"tune"}


def test_too_little_data_is_said() -> None:
    torn = decide({"probe": runs(0.7), "tune": runs(0.72, 0.15, 1), "small": runs(0.4, seed=2)}, NAMES, ratio=0.4)
    assert torn.strategy == "probe" and not torn.certain
    assert torn.sentence.startswith("Not enough data to tell") and "fine-tuning may still be better" in torn.sentence
    assert "small model" not in torn.sentence


def test_the_test_examples_of_a_given_split_are_a_luck_of_their_own() -> None:
    rng = np.random.default_rng(0)
    right = {"probe": (rng.random((5, 60)) < 0.7).astype(float), "tune": (rng.random((5, 60)) < 0.8).astype(float)}
    y = np.zeros(60)
    accuracy = {way: hits.mean(1) for way, hits in right.items()}
    seen, blind = decide(accuracy, NAMES, 0, right, y), decide(accuracy, NAMES, 0)
    other = next(iter(seen.gaps))
    widths = [d.gaps[other].high - d.gaps[other].low for d in (seen, blind) if other in d.gaps]
    assert seen.gaps[other].examples == 60 and all(w > 0 for w in widths)
    expected = paired_difference(right[other], right[seen.strategy])
    assert seen.gaps[other][1:3] == pytest.approx(expected[1:3])


def test_with_one_class_both_lucks_are_the_courses_two_way_interval() -> None:
    rng = np.random.default_rng(1)
    hits = (rng.random((6, 80)) < rng.random(80) * 0.5 + 0.4).astype(float)
    ours, theirs = resampled(hits.mean(1), 0, hits, np.zeros(80)), interval_of(hits)
    assert (ours.low, ours.high, ours.df) == pytest.approx((theirs.low, theirs.high, theirs.df))


def test_both_lucks_cover_where_that_of_the_draws_does_not() -> None:
    """Two classes of 40 and 12 test examples with a rate each, five draws: the true balanced rate is covered."""
    y, hits = np.repeat([0, 1], [40, 12]), {"both": 0, "draws": 0}
    for seed in range(300):
        rng = np.random.default_rng(seed)
        hard = rng.random(52) * 0.6  # each example has a rate of its own, a draw flips only some answers
        right = (rng.random((5, 52)) < 0.4 + hard).astype(float)
        acc = np.array([np.mean([r[y == c].mean() for c in (0, 1)]) for r in right])
        for name, span in (("both", resampled(acc, 0, right, y)), ("draws", resampled(acc, 0))):
            hits[name] += span.low <= 0.7 <= span.high
    assert hits["both"] >= 0.92 * 300 and hits["draws"] < hits["both"]


def test_draws_that_agree_by_chance_leave_the_luck_of_one_answer() -> None:
    """As if one draw of five had one answer more: the smallest spread but 0 that twenty answers can show."""
    same, other = np.full(5, 0.75), np.array([0.75] * 4 + [0.8])
    spans = [resampled(x, 3 / 7, y=np.zeros(20)) for x in (same, other)]
    assert np.diff([span[1:3] for span in spans]).ravel() == pytest.approx([0.0984, 0.0984], abs=1e-4)
    none = np.zeros((5, 40))
    given = resampled(none.mean(1), 0, none, np.repeat([0, 1], 20))
    assert given.high == pytest.approx(stats.t.ppf(0.975, given.df) / 200)
    alike = {"probe": same, "tune": same}
    assert (
        not decide(alike, NAMES, 3 / 7, y=np.zeros(10)).certain and decide(alike, NAMES, 3 / 7, y=np.zeros(40)).certain
    )
    assert resampled(runs(0.7, 0.05), 3 / 7, y=np.zeros(1000)) == resampled(runs(0.7, 0.05), 3 / 7)


def test_a_decision_needs_two_of_each() -> None:
    with pytest.raises(UserError, match="two strategies and two seeds"):
        decide({"probe": runs(0.7)}, NAMES, 0)
    with pytest.raises(UserError, match="two strategies and two seeds"):
        decide({"probe": runs(0.7)[:1], "tune": runs(0.7)[:1]}, NAMES, 0)
    with pytest.raises(UserError, match="no run"):
        resampled([], 0.1)
