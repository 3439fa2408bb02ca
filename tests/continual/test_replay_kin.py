"""A-GEM, dark replay and learning without forgetting against what their papers promise."""

import pytest
import torch
import torch.nn.functional as F
from scipy import optimize
from torch import nn

from transferlib.continual.agem import AGEM, projected
from transferlib.continual.dark import DarkReplay, dark_loss
from transferlib.continual.lwf import LwF, old_answers_loss
from transferlib.continual.streams import learn_tasks
from transferlib.continual.tasks import split_classes
from transferlib.errors import UserError


def stream(setting):
    y = torch.arange(4).repeat_interleave(20)
    x = 2 * F.one_hot(y, 4).float() + torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    return split_classes(x, y, x, y, [(0, 1), (2, 3)], setting)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))


def test_the_projected_gradient_is_the_nearest_one_that_does_no_harm():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        g, old = torch.randn(2, 5, generator=generator, dtype=torch.float64)
        ours = projected(g, old)
        assert ours @ old >= -1e-12
        solved = optimize.minimize(  # the paper's problem: least distance from g, subject to v·old ≥ 0
            lambda v, g=g: ((v - g.numpy()) ** 2).sum(), g.numpy(), constraints={
                "type": "ineq", "fun": lambda v, old=old: v @ old.numpy()}, tol=1e-10)  # fmt: skip
        assert torch.allclose(ours, torch.from_numpy(solved.x), atol=1e-4)
        assert torch.equal(ours, g) == bool(g @ old >= 0)


def test_a_step_of_agem_leaves_a_gradient_that_is_not_against_the_memory():
    model, tasks = net(), stream("domain")
    method = AGEM(model, capacity=40, batch=40)
    for _ in learn_tasks(model, tasks[:1], method, steps=40):
        pass
    method.begin(tasks[1])
    assert method.weight == 1
    old, new = (F.cross_entropy(model(t.x), t.y) for t in tasks)
    (new - 5 * old).backward()  # a step that would unlearn the old task
    before = torch.cat([p.grad.flatten() for p in model.parameters()])
    method.penalty(model).backward()
    x, notes = method.memory.sample(40)
    old = torch.autograd.grad(method.loss(model(x), *notes.unbind(1)), list(model.parameters()))
    after = torch.cat([p.grad.flatten() for p in model.parameters()])
    flat = torch.cat([g.flatten() for g in old])
    assert before @ flat < 0
    assert abs(after @ flat) < 1e-5 * before.norm() * flat.norm()


def test_dark_replay_is_the_papers_sum_on_what_the_network_answered():
    model, tasks = net(), stream("class")
    method = DarkReplay(model, alpha=0.7, beta=0.3, capacity=40, batch=40)
    for _ in learn_tasks(model, tasks[:1], method, steps=20):
        pass
    kept = model(tasks[0].x).detach()
    method.begin(tasks[1])
    with torch.no_grad():
        model[2].weight += 0.3 * torch.randn_like(model[2].weight)
    now = model(tasks[0].x)
    by_hand = 0.7 * ((now - kept)[:, :2] ** 2).mean() + 0.3 * F.cross_entropy(now, tasks[0].y)  # four outputs are open
    assert torch.allclose(method.penalty(model), by_hand, atol=1e-5)
    assert dark_loss(now, kept, torch.ones_like(now, dtype=torch.bool)) == F.mse_loss(now, kept)


@pytest.mark.parametrize("setting", ["task", "class"])
def test_lwf_asks_the_old_network_on_the_new_examples(setting):
    model, tasks = net(), stream(setting)
    method = LwF(model, lam=0.5)
    for _ in learn_tasks(model, tasks[:1], method, steps=10):
        pass
    with torch.no_grad():
        was = model(tasks[1].x)[:, :2]
        model[2].weight += 0.3 * torch.randn_like(model[2].weight)
    method.begin(tasks[1])
    method.see(tasks[1].x)
    now = model(tasks[1].x)[:, :2]
    by_hand = 0.5 * 4 * F.cross_entropy(now / 2, (was / 2).softmax(1))
    assert torch.allclose(method.penalty(model), by_hand, atol=1e-5)
    method.end(tasks[1], torch.arange(3))
    assert [int((~g).sum()) for g in method.groups] == ([2, 2] if setting == "task" else [4])


def test_the_old_answers_are_the_minimum_and_outputs_that_are_closed_do_not_count():
    was, closed = torch.randn(6, 4), torch.tensor([False, False, True, False])
    new = was.clone().requires_grad_()
    (slope,) = torch.autograd.grad(old_answers_loss(new, was, closed), new)
    assert slope.abs().max() < 1e-6
    moved = was + 5 * closed
    assert torch.allclose(old_answers_loss(moved, was, closed), old_answers_loss(was, was, closed))


def test_bad_input_is_said_in_one_sentence():
    with pytest.raises(UserError, match="alpha = -1"):
        DarkReplay(net(), -1)
    with pytest.raises(UserError, match="LwF got lam = -1"):
        LwF(net(), -1)
    with pytest.raises(UserError, match="LwF saw no step"):
        LwF(net(), 1.0).end(stream("task")[0], torch.arange(3))
    with pytest.raises(UserError, match=r"shapes \(2,\) and \(3,\)"):
        projected(torch.ones(2), torch.ones(3))


def test_the_old_answers_pull_as_distillation_does():
    distillation = pytest.importorskip("transferlib.continual.distillation").distillation  # comes with chapter 08
    was, closed = torch.randn(6, 4), torch.tensor([False, False, True, False])
    new = torch.randn(6, 4, requires_grad=True)
    ours, theirs = (torch.autograd.grad(loss, new)[0] for loss in (
        old_answers_loss(new, was, closed), distillation(new[:, ~closed], was[:, ~closed])))  # fmt: skip
    assert torch.allclose(ours, theirs, atol=1e-6)
