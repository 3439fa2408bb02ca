"""Clouds of two classes: by hand, against simulation, and against another solver."""

import math

import pytest
import torch

from transferlib.errors import UserError
from transferlib.tuning.geometry import TwoClouds, effective_dimension, margin, two_clouds


def gaussian(n, spreads, shift=0.0, seed=0):
    z = torch.randn(n, len(spreads), generator=torch.Generator().manual_seed(seed)).double()
    x = z * torch.tensor(spreads).double()
    x[:, 0] += shift
    return x


def test_effective_dimension_by_hand():
    line = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    assert effective_dimension(line) == pytest.approx(1)
    cross = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # λ = 18 and 2: 20² / 328
    assert effective_dimension(cross) == pytest.approx(400 / 328)


def test_effective_dimension_ignores_place_size_and_rotation_and_the_longer_side():
    x = gaussian(60, [3, 2, 1, 1])
    turn = torch.linalg.qr(gaussian(4, [1, 1, 1, 1], seed=1))[0]
    assert effective_dimension(7 * x @ turn + 5) == pytest.approx(effective_dimension(x))
    wide = torch.cat([x[:3], torch.zeros(3, 9)], 1)  # more features than points
    assert effective_dimension(wide) == pytest.approx(effective_dimension(x[:3]))


def test_the_margin_by_hand():
    coats, shoes = torch.tensor([[3.0, 1.0], [4.0, 1.0]]), torch.tensor([[1.0, 3.0], [1.0, 4.0]])
    assert margin(coats, shoes) == pytest.approx(math.sqrt(2), rel=1e-4)
    assert margin(10 * coats - 3, 10 * shoes - 3) == pytest.approx(10 * math.sqrt(2), rel=1e-4)
    point = torch.tensor([[0.0, 0.0]])
    assert margin(point, torch.tensor([[5.0, -1.0], [5.0, 1.0]])) == pytest.approx(2.5, rel=1e-4)


def test_classes_that_no_cut_parts_have_no_margin():
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert margin(*corners) == 0


def test_the_margin_is_half_of_the_distance_of_the_hulls():
    from scipy.optimize import minimize

    a, b = gaussian(5, [1] * 12), gaussian(6, [1] * 12, shift=3, seed=1)

    def apart(w):
        w = torch.from_numpy(w)
        return float((w[:5].softmax(0) @ a - w[5:].softmax(0) @ b).norm())

    nearest = min(minimize(apart, gaussian(1, [1] * 11, seed=s)[0].numpy(), tol=1e-10).fun for s in range(3))
    assert margin(a, b) == pytest.approx(nearest / 2, rel=1e-3)


def test_the_estimates_find_the_truth_also_with_more_features_than_points():
    spreads = [3.0] * 5 + [1.0] * 95
    total, squares = 5 * 9 + 95, 5 * 81 + 95
    found = [
        two_clouds(gaussian(30, spreads, shift=4, seed=2 * s), gaussian(40, spreads, seed=2 * s + 1)) for s in range(80)
    ]
    truth = {"gap": 16, "along": 9 * 16, "total": total, "squares": squares}
    for name, value in truth.items():
        assert sum(getattr(f, name) for f in found) / len(found) == pytest.approx(value, rel=0.08), name
    assert TwoClouds(**truth).dimension == pytest.approx(total**2 / squares)


@pytest.mark.parametrize("spreads", [[1.0] * 200, [2.0, 2.0, *[0.5] * 60], [1.0, 1.0]])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_the_share_of_right_answers_is_what_a_simulation_gives(spreads, n):
    shift, right = 4.0, []
    for seed in range(60):
        a, b = gaussian(n, spreads, shift, 3 * seed), gaussian(n, spreads, 0, 3 * seed + 1)
        new = gaussian(200, spreads, shift, 3 * seed + 2)
        w = a.mean(0) - b.mean(0)
        right.append(float((new @ w > (a.mean(0) + b.mean(0)) @ w / 2).double().mean()))
    squared = [s**2 for s in spreads]
    truth = TwoClouds(shift**2, shift**2 * squared[0], sum(squared), sum(s**2 for s in squared))
    assert sum(right) / len(right) == pytest.approx(truth.right(n), abs=0.04 if n == 1 else 0.02)


def test_a_tiny_gap_stays_positive():
    same = gaussian(10, [1.0] * 30)
    assert 0.5 < two_clouds(same, same + 1e-3).right(5) < 0.6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_dimension(torch.ones(3, 2)), "All 3 points are the same"),
        (lambda: effective_dimension(torch.tensor([[1.0, math.nan]] * 2)), "NaN"),
        (lambda: two_clouds(torch.ones(3, 2), torch.ones(9, 2)), "4 or more rows"),
        (lambda: two_clouds(torch.randn(5, 2), torch.randn(5, 3)), "2 and 3 features"),
        (lambda: margin(torch.ones(0, 2), torch.ones(1, 2)), "points of one width"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()
