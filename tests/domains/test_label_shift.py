"""The cure for label shift, on Gaussians whose posterior is known, and against a direct maximisation."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from transferlib.domains.label_shift import black_box_shares, calibrated, left_out_scores, target_shares, with_shares
from transferlib.errors import UserError
from transferlib.tuning.probes import fit_probe, ridge_path

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


def test_bbse_and_maximum_likelihood_recover_the_same_known_shares():
    (x, y), (away, truth) = drawn(20_000, SOURCE, 4), drawn(20_000, TARGET, 5)
    answers = posterior(x, SOURCE).argmax(1)
    shares = black_box_shares(answers, y, posterior(away, SOURCE).argmax(1), 3)
    real = truth.bincount().double() / len(truth)
    assert torch.allclose(shares.double(), real, atol=0.03)
    assert torch.allclose(shares.double(), target_shares(posterior(away, SOURCE), SOURCE), atol=0.03)
    # A classifier that is wrong in a known way serves as well: its answers rotated by one.
    rotated = black_box_shares((answers + 1) % 3, y, (posterior(away, SOURCE).argmax(1) + 1) % 3, 3)
    assert torch.allclose(rotated, shares, atol=1e-5)


def test_reweighting_by_estimated_shares_is_bayes_optimal_on_two_gaussians():
    # Means ±1, variance 1, shares ½ at home and 0.9 away: Bayes' line away stands where 2x = log(0.1 / 0.9).
    g = torch.Generator().manual_seed(6)
    y = (torch.rand(200_000, generator=g) < 0.9).long()
    x = 2.0 * y - 1 + torch.randn(200_000, generator=g, dtype=torch.double)
    half, home = torch.tensor([0.5, 0.5]).double(), (2 * x).sigmoid()
    p = torch.stack([1 - home, home], 1)
    new = with_shares(p, half, target_shares(p, half))
    line = np.log(0.1 / 0.9) / 2
    assert float(((new.argmax(1) == 1) == (x > line)).double().mean()) > 0.995
    normal = torch.distributions.Normal(0.0, 1.0)
    bayes = 0.9 * float(normal.cdf(torch.tensor(1 - line))) + 0.1 * float(normal.cdf(torch.tensor(1 + line)))
    right = float((new.argmax(1) == y).double().mean())
    assert abs(right - bayes) < 0.003
    assert right > float((p.argmax(1) == y).double().mean()) + 0.03


def test_calibration_recovers_a_temperature_and_the_shares():
    x, y = drawn(20_000, SOURCE, 7)
    log_p = posterior(x, SOURCE).log()
    temperature, bias = calibrated(3.0 * log_p + torch.tensor([1.0, 0.0, -1.0]), y, penalty=0.0)
    assert temperature == pytest.approx(3.0, rel=0.05)
    p = ((3.0 * log_p + torch.tensor([1.0, 0.0, -1.0])) / temperature + bias).softmax(1)
    assert torch.allclose(p.mean(0), y.bincount().double() / len(y), atol=1e-3)
    assert float((p - posterior(x, SOURCE)).abs().max()) < 0.03


def test_answers_and_scores_that_fit_nothing_get_one_sentence():
    y = torch.tensor([0, 1, 0, 1])
    with pytest.raises(UserError, match="3 answers for 4 labels"):
        black_box_shares(y[:3], y, y, 2)
    with pytest.raises(UserError, match="do not tell the classes apart"):
        black_box_shares(torch.tensor([0, 0, 1, 1]), y, y, 2)
    with pytest.raises(UserError, match="Class 2 has no source example"):
        black_box_shares(y, y, y, 3)
    with pytest.raises(UserError, match=r"0 … 1"):
        black_box_shares(y + 1, y + 1, y, 2)
    with pytest.raises(UserError, match=r"\(4, 2\) for 3 labels"):
        calibrated(torch.zeros(4, 2), y[:3])


def test_left_out_scores_are_those_of_a_probe_that_was_fitted_without_the_example():
    g = torch.Generator().manual_seed(8)
    y = torch.arange(24) % 3
    x = torch.randn(24, 5, generator=g, dtype=torch.double) + torch.eye(5).double()[y]
    probe = fit_probe(x, y)
    penalty = probe.lam * float((x - x.mean(0)).square().sum()) / len(x)  # refitted with the same price of a weight
    wanted = []
    for i in range(len(x)):
        rest = [j for j in range(len(x)) if j != i]
        weight, bias, _ = ridge_path(x[rest], torch.nn.functional.one_hot(y[rest], 3).double(), [penalty])
        wanted.append(x[i] @ weight[0] + bias[0])
    assert torch.allclose(left_out_scores(probe, x, y), torch.stack(wanted), atol=1e-8)
