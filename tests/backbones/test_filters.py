import math

import pytest
import torch

from transferlib.backbones.filters import count_edge_detectors, gabor_bank, gabor_fit, grey_kernels
from transferlib.errors import UserError


def gabor(k, angle, wavelength, phase, width):
    at = torch.arange(k).double() - (k - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    wave = torch.cos(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / wavelength + phase)
    return torch.exp(-(x**2 + y**2) / (2 * width**2)) * wave


@pytest.mark.parametrize("phase", [0.0, 0.7, math.pi / 2])
def test_a_gabor_on_the_grid_is_explained_completely(phase):
    kernel = gabor(7, math.pi / 4, 10.5, phase, 2.1)
    assert float(gabor_fit(kernel[None])) == pytest.approx(1, abs=1e-9)


def test_a_gabor_off_the_grid_is_explained_nearly_completely():
    kernels = torch.stack([gabor(7, angle, 7.0, 0.4, 3.0) for angle in (0.1, 0.5, 2.0)])
    assert float(gabor_fit(kernels).min()) > 0.93


def test_fit_ignores_scale_sign_and_mean():
    kernels = torch.randn(5, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(gabor_fit(kernels), gabor_fit(-7 * kernels + 3), atol=1e-9)


def test_fit_is_a_share():
    fit = gabor_fit(torch.randn(200, 3, 3, generator=torch.Generator().manual_seed(1)))
    assert float(fit.min()) >= 0
    assert float(fit.max()) <= 1 + 1e-9
    assert float(gabor_fit(torch.ones(1, 3, 3))) == 0
    bank = gabor_bank(5)
    assert torch.allclose(bank @ bank.transpose(1, 2), torch.eye(2).double().expand(len(bank), 2, 2), atol=1e-9)


def test_grey_kernel_of_a_coloured_edge_is_the_edge():
    edge = gabor(5, 0.0, 7.5, math.pi / 2, 3.0)
    weight = torch.tensor([0.5, -1.0, 2.0])[None, :, None, None] * edge
    found = grey_kernels(weight)[0]
    assert abs(float(torch.nn.functional.cosine_similarity(found.flatten(), edge.flatten(), dim=0))) > 1 - 1e-9


@pytest.mark.parametrize("k", [3, 7])
def test_random_filters_pass_at_the_stated_rate_and_edges_all_pass(k):
    random = torch.randn(2000, 3, k, k, generator=torch.Generator().manual_seed(2))
    count, bar = count_edge_detectors(random)
    assert count / 2000 == pytest.approx(0.05, abs=0.02)
    assert 0 < bar < 1
    edges = torch.stack([gabor(k, a, 1.5 * k, math.pi / 2, 0.6 * k) for a in (0.0, 0.6, 1.4)])
    weight = edges[:, None] * torch.ones(3, 3, 1, 1) + 0.02 * random[:3]
    assert count_edge_detectors(weight.float())[0] == 3


def test_bad_input_gets_one_sentence():
    with pytest.raises(UserError, match="shape"):
        grey_kernels(torch.randn(3, 3))
    with pytest.raises(UserError, match="k ≥ 3"):
        grey_kernels(torch.randn(3, 3, 1, 1))
    with pytest.raises(UserError, match="NaN"):
        grey_kernels(torch.full((2, 3, 3, 3), float("nan")))
    with pytest.raises(UserError, match="level = 1"):
        count_edge_detectors(torch.randn(2, 3, 3, 3), level=1)


def test_a_pair_whose_sine_vanishes_on_the_grid_has_one_direction_and_no_noise():
    # k = 3, wavelength 2, along an axis: sin(π x) is 0 at −1, 0 and 1. Two axes, two widths.
    bank = gabor_bank(3)
    lengths = bank.norm(dim=2)
    assert (lengths < 0.5).sum() == 4
    assert torch.allclose(lengths[lengths >= 0.5], torch.ones(188).double())
    assert (lengths[lengths < 0.5] == 0).all()
    assert torch.allclose(bank[:, 0].mul(bank[:, 1]).sum(1), torch.zeros(96).double(), atol=1e-12)
    assert all((gabor_bank(k).norm(dim=2) > 0.99).all() for k in (4, 5, 7))


def test_the_fit_is_least_squares_on_every_pair():
    kernels = torch.randn(6, 3, 3, generator=torch.Generator().manual_seed(4)).double()
    at = torch.arange(3).double() - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    best = torch.zeros(6).double()
    for angle in torch.arange(12).double() * math.pi / 12:
        for wavelength in (4.5, 4.5 / 2.25 ** (1 / 3), 4.5 / 2.25 ** (2 / 3), 2.0):
            for width in (0.9, 1.8):
                phase = 2 * math.pi * (x * torch.cos(angle) + y * torch.sin(angle)) / wavelength
                window = torch.exp(-(x**2 + y**2) / (2 * width**2))
                design = (
                    torch.stack([window * phase.cos(), window * phase.sin(), torch.ones(3, 3)]).double().flatten(1).T
                )
                z = kernels.flatten(1).T  # (9, 6)
                left = z - design @ torch.linalg.pinv(design, rtol=1e-9) @ z
                # Without the mean on both sides: a constant stands in the design, as in any regression.
                best = torch.maximum(best, 1 - left.square().sum(0) / (z - z.mean(0)).square().sum(0))
    assert torch.allclose(gabor_fit(kernels), best, atol=1e-9)
