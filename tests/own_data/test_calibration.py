"""Calibration against hand-computed bins, and against a model that is right exactly as often as it says."""

import numpy as np
import pytest
import torch

from transferlib.errors import UserError
from transferlib.own_data.calibration import reliability


def test_two_bins_by_hand() -> None:
    p = torch.tensor([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.05, 0.95]])
    found = reliability(p, torch.tensor([0, 0, 0, 0]), bins=2)  # right, wrong, right, wrong
    assert found.sure == pytest.approx([0.65, 0.925]) and found.right == pytest.approx([0.5, 0.5])
    assert found.error == pytest.approx((2 * 0.15 + 2 * 0.425) / 4)


def test_an_honest_model_is_within_luck_and_a_boaster_is_not() -> None:
    rng, inside = np.random.default_rng(0), 0
    for seed in range(40):
        top = torch.from_numpy(rng.uniform(0.5, 1, 300))
        p = torch.stack([top, 1 - top], 1)
        y = torch.from_numpy((rng.random(300) >= top.numpy()).astype(int))
        found = reliability(p, y, seed=seed)
        inside += found.error <= found.luck
    assert inside >= 34  # 95 in 100 are expected
    boast = torch.tensor([[0.99, 0.01]]).repeat(300, 1)
    found = reliability(boast, y)
    assert found.error > 3 * found.luck


def test_scores_are_no_probabilities() -> None:
    with pytest.raises(UserError, match="sum to one"):
        reliability(torch.tensor([[2.0, 1.0]]), torch.tensor([0]))
