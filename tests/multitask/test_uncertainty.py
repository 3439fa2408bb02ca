"""Uncertainty weighting at its closed-form optimum."""

import math

import pytest
import torch

from transferlib.errors import UserError
from transferlib.multitask.uncertainty import UncertaintyWeights


def test_uncertainty_weights_reach_their_closed_form_optimum():
    losses = {"class": torch.tensor(0.7), "value": torch.tensor(3.0)}
    weights = UncertaintyWeights({"class": "classification", "value": "regression"})
    optimiser = torch.optim.LBFGS(weights.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        total = weights(losses)
        total.backward()
        return total

    optimiser.step(closure)
    assert weights.log_var["class"].exp().item() == pytest.approx(2 * 0.7, rel=1e-3)
    assert weights.log_var["value"].exp().item() == pytest.approx(3.0, rel=1e-3)
    by_hand = 0.7 / 1.4 + math.log(1.4) / 2 + 3.0 / (2 * 3.0) + math.log(3.0) / 2
    assert weights(losses).item() == pytest.approx(by_hand, rel=1e-5)


def test_uncertainty_weights_start_at_the_plain_sum_for_classification():
    weights = UncertaintyWeights({"a": "classification", "b": "classification"})
    assert weights({"a": torch.tensor(1.0), "b": torch.tensor(2.0)}).item() == 3.0
    assert weights({"b": torch.tensor(2.0)}).item() == 2.0


def test_networks_side_by_side_have_noise_levels_of_their_own():
    weights = UncertaintyWeights({"a": "regression", "b": "classification"}, shape=(2,))
    with torch.no_grad():
        weights.log_var["a"].copy_(torch.tensor([0.0, math.log(4.0)]))
    total = weights({"a": torch.tensor([4.0, 4.0]), "b": torch.tensor([1.0, 3.0])})
    assert total.tolist() == pytest.approx([4 / 2 + 1, 4 / 8 + math.log(2) + 3])


def test_bad_input_is_said_in_one_sentence():
    with pytest.raises(UserError, match="did you mean 'regression'"):
        UncertaintyWeights({"a": "regresion"})
    with pytest.raises(UserError, match="Unknown task 'categry': did you mean 'category'"):
        UncertaintyWeights({"category": "classification"})({"categry": torch.tensor(1.0)})
    with pytest.raises(UserError, match=r"task 'a' has shape \(3,\): pass its mean"):
        UncertaintyWeights({"a": "regression"})({"a": torch.ones(3)})
