"""Closed-form probes against scikit-learn, against leaving examples out by hand, and against known invariances."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge, RidgeClassifierCV

from transferlib.datasets.budgets import nested_subset
from transferlib.errors import UserError
from transferlib.tuning.probes import LAMBDAS, fit_probe, probe_curve, ridge_path

SHAPES = [(40, 7), (7, 40), (20, 20), (21, 20)]  # primal, dual, and both sides of the switch


def problem(n: int, d: int, c: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64) * torch.logspace(0, -2, d) + 5
    return x, torch.randn(n, c, generator=g, dtype=torch.float64) + 1


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_every_lambda_equals_scikit_learn(n, d):
    x, y = problem(n, d)
    lambdas = [1e-3, 1e-1, 1.0, 1e3]
    weight, bias, _ = ridge_path(x, y, lambdas)
    for w, b, lam in zip(weight, bias, lambdas, strict=True):
        peer = Ridge(alpha=lam, solver="svd").fit(x.numpy(), y.numpy())
        np.testing.assert_allclose(w, peer.coef_.T, atol=1e-8)
        np.testing.assert_allclose(b, peer.intercept_, atol=1e-8)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_leave_one_out_equals_leaving_each_one_out(n, d):
    x, y = problem(n, d)
    lambdas = [1e-2, 1.0, 1e2]
    _, _, error = ridge_path(x, y, lambdas)
    for e, lam in zip(error, lambdas, strict=True):
        left = []
        for i in range(n):
            rest = np.arange(n) != i
            peer = Ridge(alpha=lam, solver="svd").fit(x[rest].numpy(), y[rest].numpy())
            left.append((peer.predict(x[i : i + 1].numpy())[0] - y[i].numpy()) ** 2)
        assert float(e) == pytest.approx(np.mean(left), rel=1e-8)


def test_the_probe_takes_the_lambda_with_the_smallest_leave_one_out_error():
    x, y = digits()
    few = nested_subset(y, 5, 0)
    x, y = x[few].double(), y[few]
    unit = ((x - x.mean(0)) ** 2).sum(1).mean()  # λ counts in mean squared lengths
    weight, _, error = ridge_path(x, torch.eye(10, dtype=torch.float64)[y], [lam * float(unit) for lam in LAMBDAS])
    probe = fit_probe(x, y)
    assert probe.lam == pytest.approx(LAMBDAS[int(error.argmin())])
    torch.testing.assert_close(probe.weight, weight[error.argmin()])
    assert LAMBDAS[0] < probe.lam < LAMBDAS[-1]


def test_scaling_shifting_and_rotating_the_features_change_nothing():
    x, y = digits()
    few = nested_subset(y, 4, 1)
    rotation = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    test = x[:500].double()
    plain = fit_probe(x[few].double(), y[few])

    def moved(z):
        return 1000 * (z @ rotation) + 77

    other = fit_probe(moved(x[few].double()), y[few])
    assert other.lam == plain.lam
    torch.testing.assert_close(moved(test) @ other.weight + other.bias, test @ plain.weight + plain.bias)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_as_good_as_scikit_learns_own_cross_validated_ridge(n):
    x, y = digits()
    ours, theirs = [], []
    for seed in range(8):
        few = nested_subset(y[:900], n, seed)
        ours.append((fit_probe(x[few], y[few]).predict(x[900:]) == y[900:]).float().mean())
        peer = RidgeClassifierCV(alphas=np.logspace(-1, 5, 25)).fit(x[few].numpy(), y[few].numpy())
        theirs.append(peer.score(x[900:].numpy(), y[900:].numpy()))
    assert np.mean(ours) > np.mean(theirs) - 0.01


def test_the_curve_is_the_probe_point_by_point_on_nested_subsets():
    x, y = digits()
    budgets, seeds = [1, 3, 10, 50], [4, 0]  # 64 features: the last two are primal
    curve = probe_curve(x[:900].double(), y[:900], x[900:].double(), y[900:], budgets, seeds)
    assert curve.shape == (2, 4)
    for i, seed in enumerate(seeds):
        for j, n in enumerate(budgets):
            few = nested_subset(y[:900], n, seed)
            guess = fit_probe(x[few].double(), y[few]).predict(x[900:].double())
            assert curve[i, j] == pytest.approx(float((guess == y[900:]).double().mean()), abs=1e-12)


def test_float32_with_a_large_mean_agrees_with_float64():
    x, y = digits()
    x = x / 16 + 30
    both = [
        probe_curve(x[:900].to(t), y[:900], x[900:].to(t), y[900:], [2, 20], [0, 1])
        for t in (torch.float32, torch.float64)
    ]
    np.testing.assert_allclose(both[0], both[1], atol=0.004)


def test_the_curve_does_not_depend_on_the_number_of_threads():
    x, y = digits()
    before = torch.get_num_threads()
    try:
        curves = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            allowed = torch.__config__.parallel_info()
            curves.append(probe_curve(x[:900], y[:900], x[900:], y[900:], [1, 20], range(6)))
            assert torch.__config__.parallel_info() == allowed  # the workers' own limit stayed theirs
        np.testing.assert_array_equal(*curves)
    finally:
        torch.set_num_threads(before)


def test_labels_need_not_be_0_to_k_in_a_curve():
    x, y = digits()
    plain = probe_curve(x[:900], y[:900], x[900:], y[900:], [2], [0])
    np.testing.assert_array_equal(probe_curve(x[:900], y[:900] * 3 + 5, x[900:], y[900:] * 3 + 5, [2], [0]), plain)


X, Y = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_probe(X * float("nan"), Y), "NaN or infinity in 6 of 6"),
        (lambda: fit_probe(torch.ones(6, 4), Y), "same features"),
        (lambda: fit_probe(X, Y * 0), "labels are class 0: at least two"),
        (lambda: fit_probe(X, Y, n_classes=2), "must lie in 0 … 1: got 0 … 2"),
        (lambda: fit_probe(X, Y, lambdas=[0.0, 1.0]), "λ must be positive"),
        (lambda: fit_probe(X[0], Y), r"shape \(N, D\)"),
        (lambda: probe_curve(X, Y, X, Y, [3], [0]), "n = 3 labels per class is more"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_balanced_probe_is_weighted_ridge_with_its_own_leave_one_out(n, d):
    x, _ = problem(n, d)
    y = torch.tensor([0] * (n - 5) + [1] * 3 + [2] * 2)
    goal = torch.eye(3, dtype=torch.float64)[y].numpy()
    w = (n / (3 * y.bincount()[y])).numpy()
    centred = (x.numpy() - np.average(x.numpy(), axis=0, weights=w)) * np.sqrt(w)[:, None]
    lambdas = (1e-2, 1e-1, 1.0, 10.0)
    alphas = [lam * (centred**2).sum() / n for lam in lambdas]
    errors = []
    for alpha in alphas:
        left = []
        for i in range(n):
            rest = np.arange(n) != i
            peer = Ridge(alpha=alpha, solver="svd").fit(x.numpy()[rest], goal[rest], sample_weight=w[rest])
            left.append(w[i] * ((peer.predict(x.numpy()[i : i + 1]) - goal[i]) ** 2).mean())
        errors.append(np.mean(left))
    best = int(np.argmin(errors))
    found = fit_probe(x, y, lambdas=lambdas, balanced=True)
    assert found.lam == pytest.approx(lambdas[best])
    peer = Ridge(alpha=alphas[best], solver="svd").fit(x.numpy(), goal, sample_weight=w)
    np.testing.assert_allclose(found.weight, peer.coef_.T, atol=1e-8)
    np.testing.assert_allclose(found.bias, peer.intercept_, atol=1e-8)


def test_a_balanced_probe_does_not_forget_the_small_class():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1000, 5, generator=g)
    y = (torch.arange(1000) >= 950).long()
    x[y == 1, 0] += 2
    right = {b: (fit_probe(x, y, balanced=b).predict(x) == y)[y == 1].float().mean() for b in (False, True)}
    assert right[True] > 0.7 > 0.3 > right[False]
    even = torch.arange(1000) % 2
    same = (fit_probe(x, even, balanced=b).weight for b in (False, True))
    torch.testing.assert_close(*same, atol=1e-5, rtol=1e-4)


def test_a_draw_of_examples_that_are_all_alike_leaves_the_bias():
    x = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0], [4.0, 0.0, 1.0], [5.0, 0.0, 1.0]])
    y, picked = torch.tensor([0, 1, 0, 1]), None
    for seed in range(50):
        picked = nested_subset(y, 1, seed).tolist()
        if set(picked) == {0, 1}:
            curve = probe_curve(x, y, x, y, [1, 2], [seed])
            assert curve[0, 0] == 0.5 and curve.dtype == np.float64  # one class for everything
            break
    else:
        pytest.fail("no seed draws the two that are alike")


def test_two_examples_are_enough_and_one_is_not():
    x, y = torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([0, 1])
    assert fit_probe(x, y).predict(x).tolist() == [0, 1]
    with pytest.raises(UserError, match="N ≥ 2"):
        fit_probe(x[:1], y[:1])
    assert len(ridge_path(x, torch.eye(2), [1])) == 3  # one λ, and a whole number, are a path too


def test_classes_weigh_as_many_as_they_are_unless_balanced_is_asked_for():
    x, y = problem(30, 5)[0], torch.tensor([0] * 22 + [1] * 8)
    plain, even = fit_probe(x, y), fit_probe(x, y, balanced=True)
    assert torch.equal(plain.weight, fit_probe(x, y, balanced=False).weight)
    assert not torch.allclose(plain.bias, even.bias)


def test_a_class_of_one_example_counts_as_much_as_the_others():
    x, _ = problem(12, 3)
    y = torch.tensor([0] * 8 + [1] * 3 + [2])
    probe = fit_probe(x, y, balanced=True)
    rows = [i for c, times in ((0, 3), (1, 8), (2, 24)) for i in torch.nonzero(y == c).flatten().tolist() * times]
    spread = x[rows] - x[rows].mean(0)
    lam = probe.lam * float(spread.square().sum(1).mean()) * len(rows)
    target = torch.eye(3, dtype=x.dtype)[y[rows]]
    weight = torch.linalg.solve(
        spread.T @ spread + lam / len(y) * torch.eye(3, dtype=x.dtype), spread.T @ (target - target.mean(0))
    )
    assert torch.allclose(probe.weight, weight, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.bool])
def test_labels_of_another_whole_type_are_the_same_classes(kind):
    x, y = problem(30, 5)[0].float(), torch.arange(30) % 2
    wanted, found = fit_probe(x, y), fit_probe(x, y.to(kind))
    assert torch.equal(wanted.weight, found.weight) and wanted.lam == found.lam
    curves = [probe_curve(x, z, x, z, [1, 3], [0]) for z in (y, y.to(kind))]
    assert np.array_equal(*curves)


def test_labels_and_features_of_other_kinds_get_one_sentence():
    x, y = problem(30, 5)[0].float(), torch.arange(30) % 2
    for bad, words in ((y.float(), "torch.float32"), (y[:, None], r"shape \(30, 1\)"), (y[:29], "30 examples and 29")):
        for act in (lambda b: fit_probe(x, b), lambda b: probe_curve(x, b, x, y, [1], [0])):
            with pytest.raises(UserError, match=words):
                act(bad)
    with pytest.raises(UserError, match=r"test labels have shape \(30, 1\)"):
        probe_curve(x, y, x, y[:, None], [1], [0])  # every example would meet every label
    with pytest.raises(UserError, match=r"features are torch\.int64.*x\.float"):
        fit_probe((10 * x).long(), y)
    with pytest.raises(UserError, match=r"shape \(30, C\): got \(29, 2\)"):
        ridge_path(x, torch.zeros(29, 2), [1.0])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_solved_in_float32(kind):
    x, y = problem(30, 5)[0].to(kind), torch.arange(30) % 3
    found, wanted = fit_probe(x, y), fit_probe(x.float(), y)
    assert torch.equal(found.weight, wanted.weight) and found.weight.dtype == torch.float32
    assert torch.equal(found.predict(x), wanted.predict(x.float()))
    assert torch.equal(ridge_path(x, torch.eye(3)[y], [1.0])[0], ridge_path(x.float(), torch.eye(3)[y], [1.0])[0])
