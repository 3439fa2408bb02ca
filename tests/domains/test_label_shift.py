"""The cure for label shift, on Gaussians whose posterior is known, and against a direct maximisation."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from transferlib.domains.label_shift import target_shares, with_shares
from transferlib.errors import UserError

SOURCE, TARGET = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.1, 0.2, 0.7]).double()
MEANS = torch.tensor([-2.0, 0.0, 2.0]).double()


def posterior(x, shares):
    return (shares.log() - (x[:, None] - MEANS).square() / 2).softmax(1)


def drawn(n, shares, seed=0):
    g = torch.Generator().manual_seed(seed)
    y = torch.multinomial(shares, n, replacement=True, generator=g)
    return MEANS[y] + torch.randn(n, generator=g, dtype=torch.double), y


def test_the_shares_of_the_target_are_recovered_from_unlabelled_examples():
    x, y = drawn(20_000, TARGET)
    shares = target_shares(posterior(x, SOURCE), SOURCE)
    assert torch.allclose(shares, y.bincount().double() / len(y), atol=0.02)
    # Counting the predictions, the naive way, is far off.
    assert (posterior(x, SOURCE).mean(0) - TARGET).abs().max() > 0.1


def test_it_is_the_maximum_of_the_likelihood():
    p = posterior(drawn(300, TARGET, 1)[0], SOURCE)

    def loss(z):
        shares = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        return -np.log((p.numpy() * shares / SOURCE.numpy()).sum(1)).mean()

    best = minimize(loss, np.zeros(3), tol=1e-12).x
    assert np.allclose(target_shares(p, SOURCE), np.exp(best) / np.exp(best).sum(), atol=1e-4)


def test_corrected_predictions_are_bayes_rule_and_more_often_right():
    x, y = drawn(4000, TARGET, 2)
    p = posterior(x, SOURCE)
    corrected = with_shares(p, SOURCE, TARGET)
    assert torch.allclose(corrected, posterior(x, TARGET))
    right = [float((q.argmax(1) == y).double().mean()) for q in (p, corrected)]
    assert right[1] > right[0] + 0.05


def test_without_a_shift_nothing_changes():
    p = posterior(drawn(20_000, SOURCE, 3)[0], SOURCE)
    assert torch.allclose(target_shares(p, SOURCE), SOURCE, atol=0.02)
    assert torch.allclose(with_shares(p, SOURCE, SOURCE), p)


def test_bad_input_gets_one_sentence():
    p = torch.tensor([[0.5, 0.5], [0.2, 0.8]])
    with pytest.raises(UserError, match=r"\(2, 2\) and \(3,\) shares"):
        target_shares(p, torch.tensor([0.2, 0.3, 0.5]))
    with pytest.raises(UserError, match="probabilities must be"):
        target_shares(torch.tensor([[2.0, 1.0]]), torch.tensor([0.5, 0.5]))  # logits
    with pytest.raises(UserError, match="shares must be"):
        target_shares(p, torch.tensor([3.0, 5.0]))  # counts
    with pytest.raises(UserError, match="Class 1 has no share"):
        target_shares(p, torch.tensor([1.0, 0.0]))
    with pytest.raises(UserError, match="probabilities must be"):
        target_shares(p * float("nan"), torch.tensor([0.5, 0.5]))
    assert with_shares(p, torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])).tolist() == [[1, 0], [1, 0]]
