"""Weight interpolation at its end points, in the middle, and between models that do not belong together."""

import copy

import pytest
import torch
from torch import nn

from transferlib.errors import UserError
from transferlib.tuning.wise_ft import interpolate


def two() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    a, b = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2))
    b(torch.randn(8, 3))  # moves the statistics and the counter
    return a.state_dict(), b.state_dict()


def test_the_ends_are_the_two_models_bit_by_bit() -> None:
    a, b = two()
    start, end = interpolate(a, b, 0), interpolate(a, b, 1)
    assert all(torch.equal(start[n], a[n]) for n in a if a[n].is_floating_point())
    assert all(torch.equal(end[n], b[n]) for n in b)
    start["0.weight"].zero_()
    assert a["0.weight"].any(), "a copy, not the model's own tensor"


def test_in_between_is_the_straight_line() -> None:
    a, b = two()
    mixed = interpolate(a, b, 0.25)
    for name in ("0.weight", "1.running_mean"):
        torch.testing.assert_close(mixed[name], 0.75 * a[name] + 0.25 * b[name])
    assert mixed["1.num_batches_tracked"] == 1


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_outside_of_the_two_models_is_refused(share: float) -> None:
    with pytest.raises(UserError, match=f"share = {share} is not between"):
        interpolate(*two(), share)


def test_models_that_do_not_belong_together_are_refused() -> None:
    a, b = two()
    with pytest.raises(UserError, match=r"Only one of the two models has 'head\.weight'"):
        interpolate(a, b | {"head.weight": torch.ones(1)}, 0.5)
    with pytest.raises(UserError, match=r"'0.bias' is \(4,\) in one model and \(5,\) in the other"):
        interpolate(a, b | {"0.bias": torch.ones(5)}, 0.5)


def test_a_state_dict_that_follows_its_model_is_refused() -> None:
    model = nn.Linear(3, 4)
    start = model.state_dict()
    with torch.no_grad():
        model.weight += 1
    with pytest.raises(UserError, match=r"Both models are the same tensors.*keep a copy"):
        interpolate(start, model.state_dict(), 0.5)
    shared = copy.deepcopy(model.state_dict()) | {"bias": model.bias}  # one tensor in both: a frozen part, say
    assert torch.equal(interpolate(shared, model.state_dict(), 0.5)["bias"], model.bias)
