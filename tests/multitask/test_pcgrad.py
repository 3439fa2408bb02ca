"""PCGrad on two vectors on paper, and against the paper's loop."""

import pytest
import torch

from transferlib.errors import UserError
from transferlib.multitask.gradients import task_gradients
from transferlib.multitask.pcgrad import pcgrad, put_gradient


def test_two_vectors_by_hand():
    """The sum (-2, 1) harms task 1. Projected: (1, 0) + 0.3 (-3, 1) = (0.1, 0.3), and (-3, 1) + 3 (1, 0) = (0, 1)."""
    both = torch.tensor([[1.0, 0.0], [-3.0, 1.0]])
    assert both.sum(0) @ both[0] < 0
    step = pcgrad(both)
    assert step.tolist() == pytest.approx([0.1, 1.3])
    assert (both @ step > 0).all()


def test_gradients_that_agree_are_left_as_they_are():
    both = torch.tensor([[1.0, 0.0], [2.0, 1.0]])
    assert torch.equal(pcgrad(both), both.sum(0))


def test_opposite_gradients_leave_nothing_and_zeros_project_nothing():
    assert torch.equal(pcgrad(torch.tensor([[1.0, 2.0], [-1.0, -2.0]])), torch.zeros(2))
    assert torch.equal(pcgrad(torch.tensor([[1.0, 2.0], [0.0, 0.0]])), torch.tensor([1.0, 2.0]))


def paper(gradients, generator):
    """Algorithm 1 of Yu et al., with its ``if``, one pair after the other."""
    moved = []
    for i in range(len(gradients)):
        g = gradients[i].clone()
        for j in torch.randperm(len(gradients), generator=generator).tolist():
            if i != j and torch.dot(g, gradients[j]) < 0:
                g -= torch.dot(g, gradients[j]) / torch.dot(gradients[j], gradients[j]) * gradients[j]
        moved.append(g)
    return torch.stack(moved).sum(0)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_paper_s_loop_for_one_network_and_for_several(seed):
    gradients = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    together = pcgrad(gradients, torch.Generator().manual_seed(1))
    for s in range(3):
        expected = paper(gradients[s], torch.Generator().manual_seed(1))
        assert torch.allclose(pcgrad(gradients[s], torch.Generator().manual_seed(1)), expected)
        assert torch.allclose(together[s], expected)


def test_two_tasks_are_never_harmed():
    pairs = torch.randn(200, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    assert ((pairs @ pcgrad(pairs)[..., None]) > -1e-12).all()


def test_the_gradient_comes_back_to_each_weight():
    a, b = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 1, 4, requires_grad=True)
    losses = {"one": (a.square() + b).sum((1, 2))}
    put_gradient([a, b], task_gradients(losses, [a, b])[:, 0])
    assert torch.equal(a.grad, 2 * a) and torch.equal(b.grad, torch.full_like(b, 3))


def test_bad_input_is_said_in_one_sentence():
    with pytest.raises(UserError, match=r"one row for each task, \(T, P\): got shape \(3,\)"):
        pcgrad(torch.ones(3))
    with pytest.raises(UserError, match="gradient has 3 numbers and the shared weights 4"):
        put_gradient([torch.zeros(4)], torch.ones(3))
