"""Intervals, against SciPy, the pigeonhole bootstrap, and coverage counted by simulation."""

import numpy as np
import pytest
from scipy import special, stats

from transferlib.course.intervals import (
    Interval,
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


def by_squares(table: np.ndarray) -> tuple[float, float]:
    """Variance of the mean and its degrees of freedom, from the sums of squares of a two-way table."""
    (s, i), grand = table.shape, table.mean()
    total, of_seeds = ((table - grand) ** 2).sum(), i * ((table.mean(1) - grand) ** 2).sum()
    of_examples = s * ((table.mean(0) - grand) ** 2).sum()
    squares = {"seed": of_seeds / (s - 1), "example": of_examples / (i - 1)}
    squares["rest"] = (total - of_seeds - of_examples) / ((s - 1) * (i - 1))
    df = {"seed": s - 1, "example": i - 1, "rest": (s - 1) * (i - 1)}
    both = (squares["seed"] + squares["example"] - squares["rest"]) / (s * i)
    larger = max("seed", "example", key=lambda kind: squares[kind])
    if both <= squares[larger] / (s * i):  # the other kind's share would be negative
        return squares[larger] / (s * i), df[larger]
    if squares["seed"] / (s * i) > both / 2:
        return both, df["seed"]
    return both, both**2 / sum((squares[kind] / (s * i)) ** 2 / df[kind] for kind in df)


@pytest.mark.parametrize(("of_seed", "of_example"), [(0.3, 2.0), (2.0, 0.3), (1.0, 1.0), (0.0, 0.0)])
@pytest.mark.parametrize("shape", [(3, 7), (8, 40), (5, 3)])
def test_the_spread_is_that_of_the_sums_of_squares(shape: tuple[int, int], of_seed: float, of_example: float) -> None:
    for draw in range(6):
        rng = np.random.default_rng(draw)
        table = of_seed * rng.normal(size=(shape[0], 1)) + of_example * rng.normal(size=(1, shape[1]))
        table = table + rng.normal(size=shape) + 3
        variance, df = by_squares(table)
        assert spread(table) == pytest.approx((variance, df), rel=1e-9)
        found, half = two_way(table, level=0.9), stats.t.ppf(0.95, df) * np.sqrt(variance)
        assert found == pytest.approx((table.mean(), table.mean() - half, table.mean() + half, *shape, df), rel=1e-9)


@pytest.mark.parametrize("level", [0.95, 0.8])
@pytest.mark.parametrize(("easy", "seed"), [(0.0, 0), (0.6, 1), (1.6, 2), (-2.0, 3)])
def test_the_interval_of_an_accuracy_leaves_out_its_tails(easy: float, seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    lean = 0.5 * rng.normal(size=(6, 1)) + rng.normal(size=(1, 60)) + rng.normal(size=(6, 60)) + easy
    right = (lean > 0).astype(float)
    p, (variance, df) = right.mean(), by_squares(right)
    narrow, wide = stats.t.ppf(0.5 + level / 2, [right.size - 1, df])
    n = min(p * (1 - p) / variance * (narrow / wide) ** 2, 60 if 60 * min(p, 1 - p) < 5 else right.size)
    found, tail = accuracy_interval(right, level), (1 - level) / 2
    # P(Binomial(n, low) ≥ np) and P(Binomial(n, high) ≤ np) are the two tails; n is no whole number.
    assert special.betainc(n * p, n * (1 - p) + 1, found.low) == pytest.approx(tail, rel=1e-6)
    assert special.betaincc(n * p + 1, n * (1 - p), found.high) == pytest.approx(tail, rel=1e-6)
    assert (found.mean, found.seeds, found.examples) == (p, 6, 60) and found.df == pytest.approx(df)


def test_an_accuracy_of_none_or_all_has_the_exact_bound() -> None:
    bound = 0.025 ** (1 / 20)  # (1 − p)²⁰ = 0.025
    none, every = accuracy_interval(np.zeros((3, 20))), accuracy_interval(np.ones((3, 20)))
    assert none[:3] == pytest.approx((0, 0, 1 - bound)) and every[:3] == pytest.approx((1, bound, 1))
    with pytest.raises(UserError, match=r"^An accuracy is made of right"):
        accuracy_interval(np.full((3, 20), 0.5))


def test_an_interval_in_percent() -> None:
    assert Interval(0.5, 0.4, 0.7, 8, 30, 9.5).scaled(100) == pytest.approx((50, 40, 70, 8, 30, 9.5))
    assert mean_interval([True, False, True]).mean == pytest.approx(2 / 3)
    assert paired_difference([True, True], [False, True]).mean == 0.5  # answers are no numbers until they are made some


def test_label_equivalents_without_luck_are_read_off_the_curve() -> None:
    curve = np.array([[0.5, 0.6, 0.8]] * 3)
    assert label_equivalent(np.full(4, 0.7), [10, 20, 40], curve) == pytest.approx([np.sqrt(800)] * 3)
    assert label_equivalent(np.full(4, 0.8), [10, 20, 40], curve) == pytest.approx([40] * 3)  # reached at the last
    assert label_equivalent(np.full(4, 0.3), [10, 20, 40], curve) == pytest.approx([10] * 3)
    assert label_equivalent(np.full(4, 0.9), [10, 20, 40], curve) == (np.inf,) * 3
    answers = np.repeat(curve[:, :, None], 5, axis=2)
    assert label_equivalent(np.full((4, 5), 0.7), [10, 20, 40], answers) == pytest.approx([np.sqrt(800)] * 3)


def test_label_equivalents_feel_the_luck_of_the_examples() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(200)  # the same examples are hard for everybody
    curves = np.stack([np.stack([hard < share for share in (0.5, 0.6, 0.7)])] * 4).astype(float)
    ours = np.stack([hard[::-1] < 0.6] * 4).astype(float)
    _, low, high = label_equivalent(ours, [10, 20, 40], curves)
    assert low < 18 and high > 22  # the seeds agree: all of this is the examples
    alone = label_equivalent(ours.mean(1), [10, 20, 40], curves.mean(2))
    assert alone[1] == alone[2]
    assert label_equivalent(ours, [10, 20, 40], curves) == label_equivalent(ours, [10, 20, 40], curves, 1000, 0)
    paired = np.stack([hard < 0.6] * 4).astype(float)  # what is right for one is right for the other
    assert label_equivalent(paired, [10, 20, 40], curves)[1:] == pytest.approx((20, 20))
