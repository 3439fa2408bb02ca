"""Costs: the answer and the threshold that cost least, against trying everything."""

import numpy as np
import pytest
import torch

from transferlib.errors import UserError
from transferlib.own_data.thresholds import best_threshold, cheapest, cost_matrix, mean_cost


@pytest.mark.parametrize("seed", range(4))
def test_the_threshold_costs_as_little_as_the_best_of_all(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (200,), generator=g)
    p = ((2 * torch.randn(200, generator=g) + 2 * y - 1).sigmoid() * 20).round() / 20  # with equal ones
    cost = torch.tensor([[0.0, 1], [float(seed + 1), 0]], dtype=torch.double)
    best = best_threshold(p, y, cost)
    tried = [mean_cost((p >= t).long(), y, cost) for t in np.linspace(0, 1.001, 2003)]
    assert best.cost == pytest.approx(min(tried))
    assert mean_cost((p >= best.at).long(), y, cost) == pytest.approx(best.cost)
    assert best.usual == pytest.approx(mean_cost((p >= 0.5).long(), y, cost)) and best.cost <= best.usual


def test_right_probabilities_need_the_threshold_that_theory_says() -> None:
    g = torch.Generator().manual_seed(0)
    p = torch.rand(200_000, generator=g)
    y = (torch.rand(200_000, generator=g) < p).long()
    assert best_threshold(p, y, torch.tensor([[0.0, 1], [4, 0]])).at == pytest.approx(0.2, abs=0.03)


def test_a_dear_error_is_answered_around() -> None:
    p = torch.tensor([[0.7, 0.2, 0.1], [0.95, 0.05, 0.0]])
    assert cheapest(p, cost_matrix("", ["a", "b", "c"])).tolist() == [0, 0]
    cost = cost_matrix("b:a=5", ["a", "b", "c"])
    assert cheapest(p, cost).tolist() == [1, 0]
    assert cost.tolist() == [[0, 1, 1], [5, 0, 1], [1, 1, 0]]
    assert mean_cost(torch.tensor([0, 0]), torch.tensor([1, 0]), cost) == 2.5


@pytest.mark.parametrize(
    ("said", "sentence"),
    [("cat:dgo=5", "did you mean 'dog'"), ("cat:dog", "names the class"), ("cat:dog=x", "write true:called=number"),
     ("cat:dog=-1", "a number above 0"), ("cat:dog=nan", "a number above 0"), ("cat:cat=2", "two classes")],
)  # fmt: skip
def test_a_cost_that_is_none_is_one_sentence(said: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        cost_matrix(said, ["cat", "dog"])


def test_names_with_a_sign_in_them_and_more_than_two_classes() -> None:
    assert cost_matrix("a=b:c = 2", ["a=b", "c"])[0, 1] == 2
    with pytest.raises(UserError, match="between two classes"):
        best_threshold(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 1, 2]), torch.ones(3, 3))
