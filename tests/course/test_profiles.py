import pytest
import torch

from transferlib.course.profiles import check_device, pick
from transferlib.errors import UserError


def test_pick_returns_the_profiles_own_value_and_gpu_falls_back_to_cpu() -> None:
    assert pick("smoke", smoke=1, cpu=2, gpu=3) == 1
    assert pick("gpu", smoke=1, cpu=2, gpu=3) == 3
    assert pick("gpu", smoke=1, cpu=2) == 2


def test_an_unknown_profile_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"PROFILE='smoky' is unknown: did you mean 'smoke'"):
        pick("smoky", smoke=1, cpu=2)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "cpu:a"])
def test_an_unknown_device_is_named(device: str) -> None:
    with pytest.raises(UserError, match="is unknown: use 'cpu'"):
        check_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_says_what_to_use_instead() -> None:
    with pytest.raises(UserError, match=r"DEVICE='cuda' needs an NVIDIA GPU .* use DEVICE=cpu"):
        check_device("cuda")
