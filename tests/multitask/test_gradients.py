"""Gradients at the trunk, by hand, and at the lowest point of a sum."""

import pytest
import torch
from torch import nn

from transferlib.errors import UserError
from transferlib.multitask.gradients import gradient_cosine, task_gradients


def test_gradient_cosine_by_hand():
    w = nn.Parameter(torch.tensor([1.0, 2.0]))
    along, other = torch.tensor([3.0, 4.0]), torch.tensor([4.0, -3.0])
    loss = (w * along).sum()
    assert gradient_cosine(loss, 2 * (w * along).sum(), [w]).item() == pytest.approx(1.0)
    assert gradient_cosine(loss, (w * other).sum(), [w]).item() == pytest.approx(0.0, abs=1e-6)
    assert gradient_cosine(loss, (w * torch.tensor([-1.0, 0.0])).sum(), [w]).item() == pytest.approx(-0.6)
    loss.backward()  # the graph is kept
    assert torch.equal(w.grad, along)


def test_each_task_has_its_row_and_a_weight_it_does_not_reach_is_zero_there():
    a, b = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    rows = task_gradients({"first": (a.square().sum() + b.sum()), "second": 5 * b.sum()}, [a, b])
    assert rows.tolist() == [[2.0, 4.0, 1.0], [0.0, 0.0, 5.0]]


def test_networks_side_by_side_have_the_gradients_of_each_alone():
    torch.manual_seed(0)
    w, v = torch.randn(3, 2, 4, requires_grad=True), torch.randn(3, 1, 4, requires_grad=True)

    def losses(w, v):
        return {"a": (w + v).square().sum((-2, -1)), "b": (w * v).sin().sum((-2, -1))}

    both, cosines = task_gradients(losses(w, v), [w, v]), gradient_cosine(*losses(w, v).values(), [w, v])
    for s in range(3):
        one, other = w[s].detach().requires_grad_(), v[s].detach().requires_grad_()
        assert torch.allclose(both[s], task_gradients(losses(one, other), [one, other]))
        assert torch.isclose(cosines[s], gradient_cosine(*losses(one, other).values(), [one, other]))


@pytest.mark.parametrize("seed", range(5))
def test_where_a_sum_has_come_to_rest_any_two_gradients_are_opposite(seed):
    """Two quadratic bowls, placed at random: at the lowest point of their sum the cosine is -1."""
    g = torch.Generator().manual_seed(seed)
    bowls = [(lambda m: m @ m.T + torch.eye(5))(torch.randn(5, 5, generator=g)).double() for _ in range(2)]
    aims = [torch.randn(5, generator=g).double() for _ in range(2)]
    at = torch.linalg.solve(bowls[0] + bowls[1], bowls[0] @ aims[0] + bowls[1] @ aims[1]).requires_grad_()
    a, b = ((at - aim) @ bowl @ (at - aim) / 2 for bowl, aim in zip(bowls, aims, strict=True))
    assert gradient_cosine(a, b, [at]).item() == pytest.approx(-1, abs=1e-9)


def test_bad_input_is_said_in_one_sentence():
    w = nn.Parameter(torch.ones(2))
    for unreached in (torch.ones(1, requires_grad=True).sum(), torch.tensor(1.0)):
        with pytest.raises(UserError, match="loss of task 'second' has no gradient"):
            gradient_cosine(w.sum(), unreached, [w])
    with pytest.raises(UserError, match="second loss has a zero gradient"):
        gradient_cosine(w.sum(), 0 * w.sum(), [w])
