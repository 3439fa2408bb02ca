"""Label budgets: balanced, nested, seeded."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlib.datasets.budgets import at_most, evened, nested_subset
from transferlib.errors import UserError

Y = torch.tensor([c for c in range(4) for _ in range(30 + c)])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10_000))
def test_balanced_nested_and_without_repetition(n, m, seed):
    small, large = sorted((n, m))
    few, many = nested_subset(Y, small, seed), nested_subset(Y, large, seed)
    assert torch.bincount(Y[many]).tolist() == [large] * 4
    assert len(set(many.tolist())) == len(many)
    assert few.tolist() == many[: len(few)].tolist()


def test_the_seed_decides_the_draw():
    assert torch.equal(nested_subset(Y, 5, 3), nested_subset(Y, 5, 3))
    assert not torch.equal(nested_subset(Y, 5, 3), nested_subset(Y, 5, 4))


def test_every_example_can_be_drawn_and_equally_often():
    drawn = torch.bincount(torch.cat([nested_subset(Y, 10, s) for s in range(300)]), minlength=len(Y))
    first = drawn[Y == 0] / 300
    assert 0.2 < first.min() < 1 / 3 < first.max() < 0.47  # 5 standard errors around 10/30


def test_labels_need_not_be_0_to_k():
    assert sorted(torch.tensor([7, 7, 3, 3])[nested_subset(torch.tensor([7, 7, 3, 3]), 1, 0)].tolist()) == [3, 7]


@pytest.mark.parametrize(
    ("y", "n", "message"),
    [
        (Y, 31, r"n = 31 .* class 0 has 30; use n ≤ 30"),
        (Y, 0, "n must be at least 1"),
        (torch.zeros(9, dtype=torch.long), 1, "1 class only"),
        (torch.zeros(0, dtype=torch.long), 1, "0 class only"),
    ],
)
def test_bad_input_is_one_sentence(y, n, message):
    with pytest.raises(UserError, match=message):
        nested_subset(y, n, 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10_000))
def test_at_most_takes_all_of_a_small_class_and_nests(n, m, seed):
    y = torch.tensor([0] * 3 + [1] * 8 + [2] * 20)[torch.randperm(31, generator=torch.Generator().manual_seed(seed))]
    small, large = sorted((n, m))
    few, many = at_most(y, small, seed), at_most(y, large, seed)
    assert torch.bincount(y[many]).tolist() == [min(large, 3), min(large, 8), min(large, 20)]
    assert set(few.tolist()) <= set(many.tolist()) and len(set(many.tolist())) == len(many)


def test_at_most_needs_a_label():
    with pytest.raises(UserError, match="n = 0"):
        at_most(Y, 0, 0)


def test_evened_repeats_small_classes_and_drops_nothing():
    y = torch.tensor([0, 1, 1, 1, 2, 2, 1])
    rows = evened(y)
    assert torch.bincount(y[rows]).tolist() == [4, 4, 4] and set(rows.tolist()) == set(range(7))
