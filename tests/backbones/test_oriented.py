import math

import pytest
import torch

from transferlib.backbones.oriented import count_oriented, orientation, round_fit
from transferlib.errors import UserError


def grating(k, angle, phase=math.pi / 2):
    at = torch.arange(k).double() - (k - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    wave = torch.cos(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / (1.5 * k) + phase)
    return torch.exp(-(x**2 + y**2) / (0.72 * k**2)) * wave


def spot(k, width, off=0.0):
    at = torch.arange(k).double() - (k - 1) / 2 - off
    return torch.exp(-(at[:, None] ** 2 + at**2) / (2 * width**2))


@pytest.mark.parametrize("k", [3, 5])
def test_spots_are_round_wherever_they_stand_and_edges_are_not(k):
    spots = torch.stack([spot(k, w, off) for w in (0.8, 1.1) for off in (0.0, 0.5, -0.5)])
    edges = torch.stack([grating(k, a) for a in (0.0, 0.5, 1.2)])
    assert float(round_fit(spots).min()) > 0.97
    assert float(orientation(spots[:, None]).max()) < 0.02
    assert float(orientation(edges[:, None]).min()) > 0.15
    assert count_oriented(torch.cat([spots, edges])[:, None].float())[0] == 3


def test_a_spot_with_a_dark_surround_is_round():
    assert float(round_fit((spot(5, 0.8) - 0.3 * spot(5, 1.6))[None])) > 0.97


@pytest.mark.parametrize(("k", "channels"), [(3, 1), (5, 1), (3, 3)])
def test_random_filters_pass_at_the_stated_rate(k, channels):
    random = torch.randn(3000, channels, k, k, generator=torch.Generator().manual_seed(5))
    assert count_oriented(random)[0] / 3000 == pytest.approx(0.05, abs=0.02)


def test_a_share_ignores_scale_sign_and_mean():
    kernels = torch.randn(5, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(round_fit(kernels), round_fit(-3 * kernels + 2), atol=1e-9)
    assert float(round_fit(torch.ones(1, 3, 3))) == 0


def test_bad_input_gets_one_sentence():
    with pytest.raises(UserError, match="not a quantile"):
        count_oriented(torch.ones(1, 1, 3, 3), level=1)
    with pytest.raises(UserError, match="k ≥ 3"):
        count_oriented(torch.ones(1, 1, 2, 2))
