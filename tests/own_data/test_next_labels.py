"""What to label next: uncertain, and not the same thing twice."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from transferlib.errors import UserError
from transferlib.own_data.next_labels import next_labels, uncertainty


def test_uncertainty_is_scipys_entropy_as_a_share_of_the_largest() -> None:
    p = torch.rand(50, 5, generator=torch.Generator().manual_seed(0)).softmax(1)
    assert np.allclose(uncertainty(p), entropy(p.double().numpy(), axis=1) / np.log(5))


def test_each_choice_is_the_largest_uncertainty_times_distance_to_the_nearest_chosen() -> None:
    g = torch.Generator().manual_seed(1)
    p, f = torch.rand(60, 3, generator=g).softmax(1), torch.randn(60, 4, generator=g)
    chosen = next_labels(p, f, count=6, pool=10).tolist()
    u, unit = uncertainty(p), (f / f.norm(dim=1, keepdim=True)).double()
    assert chosen[0] == int(u.argmax())
    for k in range(1, 6):
        gain = [float(u[i]) * min(float((unit[i] - unit[s]).norm()) for s in chosen[:k]) for i in range(60)]
        assert chosen[k] == int(np.argmax(gain))


def test_three_groups_give_one_each_where_the_most_uncertain_are_of_one() -> None:
    f = torch.eye(3)[torch.tensor([0] * 10 + [1] * 10 + [2] * 10)]
    p = torch.full((30, 2), 0.5)
    p[10:] = torch.tensor([0.6, 0.4])
    assert uncertainty(p).argsort(descending=True, stable=True)[:3].tolist() == [0, 1, 2]
    assert {i // 10 for i in next_labels(p, f, count=3).tolist()} == {0, 1, 2}


def test_the_same_picture_is_not_asked_for_twice_and_the_sure_are_not_asked_for() -> None:
    assert next_labels(torch.full((9, 2), 0.5), torch.ones(9, 3), count=4).tolist() == [0]
    p = torch.tensor([[0.5, 0.5], [0.6, 0.4], [1.0, 0.0], [1.0, 0.0]])
    assert next_labels(p, torch.eye(4), count=4).tolist() == [0, 1]
    with pytest.raises(UserError, match="got 4 rows of probabilities and 3"):
        next_labels(p, torch.zeros(3, 2))
