import math

import numpy as np
import pytest
import torch

from transferlib.domains.alignment import coral, coral_recolour, covariance, median_bandwidth, mmd, starting_scale
from transferlib.errors import UserError


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(4, 4, generator=g)
    return torch.randn(200, 4, generator=g), torch.randn(150, 4, generator=g) @ mix


def paper(source, target):
    """Equation 1 of Deep CORAL, with numpy's covariance."""
    gap = np.cov(source.double().numpy(), rowvar=False) - np.cov(target.double().numpy(), rowvar=False)
    return (gap**2).sum() / (4 * source.shape[1] ** 2)


def test_coral_equals_the_papers_formula(pair):
    assert float(coral(*pair)) == pytest.approx(paper(*pair), rel=1e-5)


def test_coral_of_two_known_covariances():
    # Columns ±1 have variance N/(N−1); tripling one column makes it nine times that.
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    y = x * torch.tensor([3.0, 1.0])
    assert float(coral(x, y)) == pytest.approx((9 * 4 / 3 - 4 / 3) ** 2 / (4 * 2**2))


def test_coral_ignores_a_shift_of_the_mean(pair):
    source, _ = pair
    assert float(coral(source, source + 3)) == pytest.approx(0, abs=1e-10)


def test_coral_is_stable_at_mean_one_thousand(pair):
    source, target = pair
    assert float(coral(source + 1e3, target + 1e3)) == pytest.approx(paper(source, target), rel=1e-3)


def test_coral_gradient_by_finite_differences(pair):
    source, target = (x[:8].double().requires_grad_() for x in pair)
    assert torch.autograd.gradcheck(coral, (source, target))


def test_mmd_equals_the_double_sum(pair):
    source, target = pair[0][:7].double(), pair[1][:5].double()
    scales, sigma2 = (0.5, 3.0), 0.8

    def k(a, b):
        return sum(math.exp(-float((a - b).square().sum()) / (2 * c * sigma2)) for c in scales) / len(scales)

    m, n = len(source), len(target)
    ss = sum(k(source[i], source[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    tt = sum(k(target[i], target[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    st = sum(k(a, b) for a in source for b in target) / (m * n)
    assert float(mmd(source, target, sigma2, scales)) == pytest.approx(ss + tt - 2 * st, rel=1e-9)


def test_mmd_is_unbiased_on_equal_distributions():
    g = torch.Generator().manual_seed(1)
    pairs = [(torch.randn(12, 3, generator=g), torch.randn(9, 3, generator=g)) for _ in range(600)]
    values = torch.stack([mmd(source, target, bandwidth=3.0) for source, target in pairs])
    error = values.std() / math.sqrt(len(values))
    # A biased estimator (diagonal kept) would sit near 1/12 + 1/9 ≈ 0.1, some 40 standard errors away.
    assert abs(float(values.mean())) < 3 * float(error)
    assert float(values.min()) < 0
    far = mmd(torch.randn(40, 3, generator=g), 2 + torch.randn(40, 3, generator=g))
    assert float(far) > 20 * float(values.std()) / math.sqrt(10)


def test_mmd_gradient_by_finite_differences(pair):
    source, target = pair[0][:6].double().requires_grad_(), pair[1][:5].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: mmd(s, t, bandwidth=2.0), (source, target))


def test_mmd_does_not_move_when_both_domains_move(pair):
    source, target = pair
    assert float(mmd(source + 1e3, target + 1e3)) == pytest.approx(float(mmd(source, target)), rel=1e-4)


def test_median_bandwidth_is_the_median_squared_distance():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])
    assert median_bandwidth(a, b) == pytest.approx(4.0)  # 1, 4 and 9


def test_recolouring_gives_the_targets_mean_and_covariance(pair):
    source, target = pair[0] + 5, pair[1] - 2
    new = coral_recolour(source, target, ridge=0.0)
    assert torch.allclose(new.mean(0), target.mean(0), atol=1e-4)
    assert torch.allclose(covariance(new), covariance(target), atol=1e-3)
    assert float(coral(new, target)) < 1e-6


def test_recolouring_works_with_more_features_than_examples():
    g = torch.Generator().manual_seed(2)
    source, target = torch.randn(6, 20, generator=g), torch.randn(9, 20, generator=g)
    assert torch.isfinite(coral_recolour(source, target)).all()
    with pytest.raises(UserError, match="singular"):
        coral_recolour(source, target, ridge=0.0)


@pytest.mark.parametrize("loss", [coral, mmd, coral_recolour])
def test_bad_features_get_one_sentence(loss, pair):
    source, target = pair
    broken = source.clone()
    broken[3, 1] = float("nan")
    with pytest.raises(UserError, match="source features hold NaN"):
        loss(broken, target)
    with pytest.raises(UserError, match="target features are constant"):
        loss(source, torch.ones(9, 4))
    with pytest.raises(UserError, match="one encoder"):
        loss(source, target[:, :3])
    with pytest.raises(UserError, match="1 example"):
        loss(source[:1], target)


def test_bad_numbers_get_one_sentence(pair):
    with pytest.raises(UserError, match="bandwidth is 0"):
        mmd(*pair, bandwidth=0.0)
    with pytest.raises(UserError, match="ridge = 2"):
        coral_recolour(*pair, ridge=2.0)
    same = torch.zeros(9, 2)
    same[0] = 1
    with pytest.raises(UserError, match="identical"):
        median_bandwidth(same, same)


@pytest.mark.parametrize("ridge", [0.0, 0.3, 1.0])
def test_recolouring_with_a_ridge_is_its_formula(pair, ridge):
    source, target = (x.double() for x in pair)

    def power(x, exponent):
        c = np.cov(x.numpy(), rowvar=False)
        values, vectors = np.linalg.eigh((1 - ridge) * c + ridge * np.trace(c) / len(c) * np.eye(len(c)))
        return vectors @ np.diag(values**exponent) @ vectors.T

    wanted = (source - source.mean(0)).numpy() @ power(source, -0.5) @ power(target, 0.5) + target.mean(0).numpy()
    assert np.allclose(coral_recolour(source, target, ridge).numpy(), wanted, atol=1e-8)


def test_features_of_a_small_scale_are_no_duplicates(pair):
    source, target = (0.01 * x for x in pair)
    assert 0 < median_bandwidth(source, target) < 0.01
    assert float(mmd(source, target)) == pytest.approx(float(mmd(*pair)), rel=1e-3)


def test_biased_mmd_is_the_double_sum_with_its_diagonal(pair):
    source, target = pair[0][:7].double(), pair[1][:5].double()

    def k(a, b):
        return torch.exp(-torch.cdist(a, b).square() / (2 * 0.8))

    wanted = k(source, source).mean() + k(target, target).mean() - 2 * k(source, target).mean()
    assert float(mmd(source, target, 0.8, (1.0,), biased=True)) == pytest.approx(float(wanted), rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda s: mmd(s, target, 0.8, (1.0,), biased=True), (source.clone().requires_grad_(),)
    )


def test_biased_mmd_is_never_below_zero_where_the_unbiased_one_is_so_in_half_of_the_draws():
    g = torch.Generator().manual_seed(1)
    pairs = [(torch.randn(64, 8, generator=g), torch.randn(64, 8, generator=g)) for _ in range(60)]
    unbiased = torch.stack([mmd(*p) for p in pairs])
    biased = torch.stack([mmd(*p, biased=True) for p in pairs])
    assert (unbiased < 0).float().mean() > 0.3  # a scale of loss / distance would change its sign here
    assert (biased > 0).all()
    assert float(mmd(pairs[0][0], pairs[0][0], biased=True)) == pytest.approx(0, abs=1e-6)


def test_the_starting_scale_makes_both_terms_equally_large_and_refuses_to_push_apart():
    loss = torch.tensor(2.3, requires_grad=True)
    scale = starting_scale(loss, torch.tensor(0.05, requires_grad=True))
    assert scale * 0.05 == pytest.approx(2.3)
    assert starting_scale(torch.tensor(0.0), torch.tensor(0.1)) == 0
    for top, bottom in ((1.0, -0.01), (1.0, 0.0), (1.0, math.nan), (math.nan, 1.0), (-1.0, 1.0), (math.inf, 1.0)):
        with pytest.raises(UserError, match="biased=True"):
            starting_scale(torch.tensor(top), torch.tensor(bottom))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind, pair):
    source, target = (x.to(kind) for x in pair)
    for measure in (coral, mmd, coral_recolour):
        value = measure(source, target)
        assert value.dtype == torch.float32 and torch.equal(value, measure(source.float(), target.float()))
    far = (source.float() * 300 + 1000).to(kind)  # squares leave the range of float16
    assert torch.isfinite(coral(far, target.float() * 300)) and torch.isfinite(mmd(far, far.flip(1)))


def test_whole_numbers_are_no_features(pair):
    with pytest.raises(UserError, match=r"source features are torch\.int64.*x\.float"):
        coral((pair[0] * 10).long(), pair[1])
