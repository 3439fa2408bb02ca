"""Class means: the mean of what was seen, whatever the order, and no class changes another."""

import pytest
import torch

from transferlib.continual.class_means import ClassMeans
from transferlib.errors import UserError


def blobs():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(3).repeat_interleave(10)
    return torch.randn(30, 4, generator=generator) + 4 * torch.eye(3, 4)[y], y


def test_it_is_the_mean_whatever_the_order_and_the_parts():
    x, y = blobs()
    at_once, one_by_one = ClassMeans(), ClassMeans()
    at_once.add(x, y)
    for i in torch.randperm(30, generator=torch.Generator().manual_seed(1)).tolist():
        one_by_one.add(x[i : i + 1], y[i : i + 1])
    truth = torch.stack([x[y == c].double().mean(0) for c in range(3)])
    assert torch.allclose(at_once.means(), truth)
    assert torch.allclose(one_by_one.means(), truth)


def test_a_new_class_leaves_the_old_means_bit_by_bit():
    x, y = blobs()
    means = ClassMeans()
    means.add(x[y < 2], y[y < 2])
    before = means.means()
    means.add(x[y == 2], y[y == 2])
    assert torch.equal(means.means([0, 1]), before)


def test_only_the_classes_that_are_asked_for_can_win():
    x, y = blobs()
    means = ClassMeans()
    means.add(x, y)
    assert torch.equal(means.predict(x), torch.cdist(x, means.means().float()).argmin(1))
    assert set(means.predict(x, [2, 0]).tolist()) == {0, 2}


def test_bad_input_is_said_in_one_sentence():
    means = ClassMeans()
    with pytest.raises(UserError, match="No example of any class was added"):
        means.predict(torch.zeros(1, 2))
    with pytest.raises(UserError, match="Class means need x"):
        means.add(torch.zeros(2, 2), torch.tensor([1]))
    with pytest.raises(UserError, match="NaN"):
        means.add(torch.full((1, 2), torch.nan), torch.tensor([1]))
