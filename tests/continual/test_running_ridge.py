"""The head of the running sums is the head of all examples at once."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from transferlib.continual.running_ridge import RunningRidge
from transferlib.errors import UserError


def blobs():
    y = torch.tensor([3, 1, 7]).repeat_interleave(torch.tensor([10, 14, 9]))
    x = torch.randn(33, 5, generator=torch.Generator().manual_seed(0))
    return x + y[:, None] * torch.tensor([1, 0, 0, 0, 1]), y


@pytest.mark.parametrize("lam", [1e-3, 0.3])
def test_it_is_ridge_regression_on_everything_whatever_the_order_of_the_classes(lam):
    x, y = blobs()
    sums = RunningRidge(5)
    for c in (7, 3, 1):  # class by class
        sums.add(x[y == c], y[y == c])
    w, b = sums.head(lam)
    z = x.double().numpy()
    alpha = lam * ((z - z.mean(0)) ** 2).sum() / 5
    truth = Ridge(alpha=alpha).fit(z, (y[:, None] == torch.tensor([1, 3, 7])).numpy().astype(float))
    assert np.allclose(w.T, truth.coef_) and np.allclose(b, truth.intercept_)
    assert (sums.predict(x, lam) == torch.tensor([1, 3, 7])[truth.predict(z).argmax(1)]).all()


def test_bad_input_is_said_in_one_sentence():
    x, y = blobs()
    with pytest.raises(UserError, match="0 dimensions"):
        RunningRidge(0)
    sums = RunningRidge(5)
    with pytest.raises(UserError, match=r"need x \(N, 5\)"):
        sums.add(x[:, :2], y)
    sums.add(x[:10], y[:10])
    with pytest.raises(UserError, match="1 classes with lam = 1"):
        sums.head(1.0)
    sums.add(x, y)
    with pytest.raises(UserError, match="lam = 0"):
        sums.head(0.0)
    with pytest.raises(UserError, match="NaN"):
        sums.add(x * torch.nan, y)
