"""The fast path gives each task what the plain loop gives it; ANIL's gradient against finite differences."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from transferlib.errors import UserError
from transferlib.meta.episodes import Episode, episodes, stack
from transferlib.meta.maml import maml_adapt, maml_loss
from transferlib.meta.stacked import copies, stacked_adapt, stacked_loss


class Net(nn.Module):
    """One hidden layer, written so that the same lines serve one set of weights and one for each task."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.w, self.b = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(6))
        self.head = nn.Parameter(torch.randn(6, 3))
        self.double()

    def forward(self, x):
        return forward(dict(self.named_parameters()), x)


def forward(w, x):
    return torch.tanh(x @ w["w"] + w["b"].unsqueeze(-2)) @ w["head"]


def tasks(count=3):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(60, 4, generator=g, dtype=torch.double)
    y = torch.arange(60) % 6
    return list(episodes(x + 0.5 * y[:, None], y, ways=3, shots=2, queries=3, seed=0, count=count))


@pytest.mark.parametrize("moves", [(), ("head",)])
@pytest.mark.parametrize("first_order", [False, True])
def test_every_task_ends_where_the_plain_loop_ends_and_sends_back_the_same_gradient(first_order, moves):
    plain, fast, drawn = Net(), Net(), tasks()
    maml_loss(plain, drawn, 0.4, 3, first_order=first_order, moves=moves).backward()
    batch, start = stack(drawn), copies(dict(fast.named_parameters()), 3)
    found = stacked_adapt(
        forward, start, batch.support_x, batch.support_y, 0.4, 3, first_order=first_order, moves=moves
    )
    stacked_loss(forward(found, batch.query_x), batch.query_y).mean().backward()
    for t, task in enumerate(drawn):
        alone = maml_adapt(Net(), task.support_x, task.support_y, 0.4, 3, moves=moves)
        assert all(torch.allclose(found[name][t], alone[name]) for name in found)
    assert all(torch.allclose(p.grad, q.grad) for p, q in zip(plain.parameters(), fast.parameters(), strict=True))


def test_anil_moves_the_head_alone_and_its_gradient_agrees_with_finite_differences():
    model, batch = Net(), tasks(2)
    fast = maml_adapt(model, batch[0].support_x, batch[0].support_y, 0.4, 3, moves=["head"])
    assert fast["w"] is model.w and not torch.equal(fast["head"], model.head)
    maml_loss(model, batch, 0.4, 3, moves=["head"]).backward()
    for p in model.parameters():
        for index in {(0,) * p.dim(), tuple(s - 1 for s in p.shape)}:
            losses = []
            for step in (1e-6, -1e-6):
                with torch.no_grad():
                    p[index] += step
                losses.append(maml_loss(model, batch, 0.4, 3, moves=["head"]).item())
                with torch.no_grad():
                    p[index] -= step
            slope = (losses[0] - losses[1]) / 2e-6
            assert p.grad[index].item() == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_two_calls_of_one_step_are_one_call_of_two():
    batch = stack(tasks())
    start = copies(dict(Net().named_parameters()), 3)
    one = stacked_adapt(forward, start, batch.support_x, batch.support_y, 0.3, 1)
    two = stacked_adapt(forward, one, batch.support_x, batch.support_y, 0.3, 1)
    once = stacked_adapt(forward, start, batch.support_x, batch.support_y, 0.3, 2)
    assert all(torch.allclose(two[name], once[name]) for name in once)


def test_bad_input_is_one_sentence():
    (task,) = tasks(1)
    batch = stack([task])
    start = copies(dict(Net().named_parameters()), 1)
    with pytest.raises(UserError, match=r"cannot move 'tail': the weights are w, b, head"):
        stacked_adapt(forward, start, batch.support_x, batch.support_y, 0.1, 1, moves=["tail"])
    with pytest.raises(UserError, match=r"steps = -1"):
        stacked_adapt(forward, start, batch.support_x, batch.support_y, 0.1, -1)
    with pytest.raises(UserError, match=r"cannot move '1.weight': name trainable parameters, such as 'head'"):
        maml_adapt(Net(), task.support_x, task.support_y, 0.1, 1, moves=["1.weight"])
    with pytest.raises(UserError, match=r"episodes of one shape: got 0"):
        stack([])
    with pytest.raises(UserError, match=r"got 2 episodes of 2 shapes"):
        stack([task, Episode(*(part[:1] for part in task))])
    assert torch.isfinite(functional_call(Net(), maml_adapt(Net(), *task[:2], 0.1, 0), (task.query_x,))).all()
