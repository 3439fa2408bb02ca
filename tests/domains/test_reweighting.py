import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from transferlib.domains.reweighting import (
    check_weights,
    density_ratio,
    effective_sample_size,
    weighted_logistic,
    weighted_ridge,
)
from transferlib.errors import UserError

MEAN = torch.tensor([0.8, -0.5])


@pytest.fixture(scope="module")
def gaussians():
    """N(0, I) and N(MEAN, I): the true ratio is exp(MEANᵀx − ‖MEAN‖²/2)."""
    g = torch.Generator().manual_seed(0)
    return torch.randn(6000, 2, generator=g), MEAN + torch.randn(3000, 2, generator=g)


def truth(x):
    return torch.exp(x @ MEAN - MEAN.square().sum() / 2)


@pytest.mark.parametrize("folds", [0, 5])
def test_density_ratio_matches_the_true_ratio_of_two_gaussians(gaussians, folds):
    source, target = gaussians
    error = (density_ratio(source, target, folds=folds).log() - truth(source).log()).abs()
    assert float(error.mean()) < 0.05
    assert float(error.max()) < 0.35


def test_density_ratio_does_not_depend_on_how_many_target_examples_there_are(gaussians):
    source, target = gaussians
    few, many = density_ratio(source, target[:1000]), density_ratio(source, target)
    assert float(few.mean()) == pytest.approx(1, abs=0.1)
    assert float(many.mean()) == pytest.approx(1, abs=0.05)


def test_weights_move_the_source_mean_onto_the_target_mean(gaussians):
    source, target = gaussians
    w = density_ratio(source, target)
    moved = (w[:, None] * source).sum(0) / w.sum()
    assert torch.allclose(moved, MEAN, atol=0.1)


def test_folds_keep_many_features_from_being_told_apart_by_heart():
    g = torch.Generator().manual_seed(1)
    source, target = torch.randn(60, 80, generator=g), torch.randn(60, 80, generator=g)
    # One distribution: honest weights have nothing to say, memorised ones are near zero for every source example.
    assert float(density_ratio(source, target, penalty=0.01).max()) < 0.2
    assert float(density_ratio(source, target, penalty=0.01, folds=5).median()) > 0.2


def test_effective_sample_size_of_known_weights():
    assert effective_sample_size(torch.ones(50)) == pytest.approx(50)
    assert effective_sample_size(torch.tensor([0.0, 0.0, 7.0])) == pytest.approx(1)
    assert effective_sample_size(torch.tensor([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_sample_size(torch.tensor([1e30, 1e30])) == pytest.approx(2)


def test_weighted_ridge_equals_sklearn():
    g = torch.Generator().manual_seed(2)
    x, y, w = torch.randn(40, 5, generator=g).double() + 3, torch.arange(40) % 3, torch.rand(40, generator=g).double()
    coef, offset = weighted_ridge(x, y, 10 * w, penalty=0.7)
    model = Ridge(alpha=0.7).fit(x.numpy(), np.eye(3)[y], sample_weight=(w / w.mean()).numpy())
    assert np.allclose(coef, model.coef_)
    assert np.allclose(offset, model.intercept_)


@pytest.mark.parametrize("classes", [2, 3])
def test_weighted_logistic_equals_repeating_the_examples(classes):
    g = torch.Generator().manual_seed(3)
    x, y = torch.randn(60, 4, generator=g).double(), torch.arange(60) % classes
    times = torch.randint(1, 4, (60,), generator=g)
    coef, offset = weighted_logistic(x, y, times.double())
    rows = torch.repeat_interleave(torch.arange(60), times)
    # Weights are scaled to mean 1, so the repeated fit needs the penalty scaled back.
    model = LogisticRegression(C=1 / float(times.double().mean()), max_iter=2000, tol=1e-8).fit(x[rows], y[rows])
    assert np.allclose((x @ coef.T + offset).softmax(1), model.predict_proba(x), atol=1e-3)


def test_weights_that_collapse_get_one_sentence():
    w = torch.full((100,), 1e-9)
    w[3] = 1.0
    for probe in (weighted_ridge, weighted_logistic):
        with pytest.raises(UserError, match=r"100 examples count as 1\.0"):
            probe(torch.randn(100, 2), torch.arange(100) % 2, w)


@pytest.mark.parametrize("w", [[1.0, float("nan")], [1.0, -1.0], [0.0, 0.0], [1.0, float("inf")]])
def test_bad_weights_get_one_sentence(w):
    with pytest.raises(UserError, match="2 weights must be finite"):
        effective_sample_size(torch.tensor(w))


def test_other_bad_input_gets_one_sentence(gaussians):
    source, target = gaussians[0][:20], gaussians[1][:20]
    with pytest.raises(UserError, match="one weight each"):
        check_weights(torch.ones(3), 4)
    with pytest.raises(UserError, match="Class 1 has no labelled example"):
        weighted_logistic(torch.randn(6, 2), torch.tensor([0, 2, 0, 2, 0, 2]), torch.ones(6))
    with pytest.raises(UserError, match="penalty = 0"):
        density_ratio(source, target, penalty=0.0)
    with pytest.raises(UserError, match="folds = 30"):
        density_ratio(source, target, folds=30)
    with pytest.raises(UserError, match="source features hold NaN"):
        density_ratio(source * float("nan"), target)
    with pytest.raises(UserError, match="target features are constant"):
        density_ratio(source, torch.zeros(9, 2))
    with pytest.raises(UserError, match="folds = -2"):
        density_ratio(source, target, folds=-2)


PROBES = [weighted_ridge, weighted_logistic]


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.zeros(6, dtype=torch.long), "All 6 labels are class 0"),
        (torch.tensor([0, 1, 0, 1, 0]), "6 examples and 5 labels"),
        (torch.tensor([0, -1, 0, 1, 0, 1]), "from -1 to 1"),
        (torch.tensor([0.0, 1, 0, 1, 0, 1]), "torch.float32"),
        (torch.tensor([[0], [1], [0], [1], [0], [1]]), r"shape \(6, 1\)"),
    ],
)
def test_labels_that_make_no_classifier_get_one_sentence(probe, y, words):
    with pytest.raises(UserError, match=words):
        probe(torch.randn(6, 2), y, torch.ones(6))


@pytest.mark.parametrize("probe", PROBES)
def test_other_whole_types_of_labels_and_weights_are_taken(probe):
    x, y, w = torch.randn(30, 2), torch.arange(30) % 2, torch.arange(30) % 3 + 1
    wanted = probe(x, y, w.float())
    for labels in (y.int(), y.bool(), y.to(torch.uint8)):
        assert all(torch.equal(a, b) for a, b in zip(probe(x, labels, w), wanted, strict=True))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind, gaussians):
    x, y, w = torch.randn(30, 2).to(kind), torch.arange(30) % 2, torch.rand(30).to(kind)
    for probe in PROBES:
        wanted = probe(x.float(), y, w.float())
        assert all(torch.equal(a, b) for a, b in zip(probe(x, y, w), wanted, strict=True))
    ratio = density_ratio(gaussians[0].to(kind), gaussians[1].to(kind))
    assert ratio.dtype == torch.float32 and torch.isfinite(ratio).all()


def test_whole_numbers_and_penalties_without_a_solution_get_one_sentence():
    x, y, w = torch.randn(6, 2), torch.arange(6) % 2, torch.ones(6)
    for probe in PROBES:
        with pytest.raises(UserError, match=r"source features are torch\.int32"):
            probe((10 * x).int(), y, w)
        with pytest.raises(UserError, match="penalty = -1"):
            probe(x, y, w, penalty=-1)
    with pytest.raises(UserError, match="penalty = 0"):
        weighted_logistic(x, y, w, penalty=0)
    with pytest.raises(UserError, match="depend on each other"):
        weighted_ridge(torch.ones(6, 2) * torch.arange(6.0)[:, None], y, w, penalty=0)
