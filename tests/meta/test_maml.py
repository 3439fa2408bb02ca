"""Meta-gradients against finite differences, prototypes by hand, episodes as promised."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from transferlib.errors import UserError
from transferlib.meta.episodes import Episode, episodes
from transferlib.meta.maml import maml_adapt, maml_loss
from transferlib.meta.prototypes import prototypes, prototypical_loss
from transferlib.meta.reptile import reptile_step


def net(norm: str = "none") -> nn.Sequential:
    torch.manual_seed(0)
    middle = {"none": nn.Identity(), "batch": nn.BatchNorm1d(6), "group": nn.GroupNorm(2, 6)}[norm]
    return nn.Sequential(nn.Linear(4, 6), middle, nn.Tanh(), nn.Linear(6, 3)).double()


def tasks(count: int = 2) -> list[Episode]:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(60, 4, generator=g, dtype=torch.double)
    y = torch.arange(60) % 6
    return list(episodes(x + 0.5 * y[:, None], y, ways=3, shots=2, queries=3, seed=0, count=count))


@pytest.mark.parametrize(
    ("lr", "steps", "norm"), [(0.1, 1, "none"), (0.4, 3, "batch"), (0.4, 3, "group"), (0.4, 3, "none")]
)
def test_second_order_gradient_agrees_with_finite_differences(lr, steps, norm):
    model, batch = net(norm).train(), tasks()
    maml_loss(model, batch, lr, steps).backward()
    for p in model.parameters():
        for index in {(0,) * p.dim(), tuple(s - 1 for s in p.shape)}:
            with torch.no_grad():
                p[index] += 1e-6
            up = maml_loss(model, batch, lr, steps).item()
            with torch.no_grad():
                p[index] -= 2e-6
            down = maml_loss(model, batch, lr, steps).item()
            with torch.no_grad():
                p[index] += 1e-6
            assert p.grad[index].item() == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-7)


def test_first_order_gradient_is_the_query_gradient_at_the_adapted_weights():
    model, (task,) = net(), tasks(1)
    maml_loss(model, [task], 0.4, 3, first_order=True).backward()
    adapted = net()
    fast = maml_adapt(model, task.support_x, task.support_y, 0.4, 3, first_order=True)
    adapted.load_state_dict({n: t.detach() for n, t in fast.items()})
    F.cross_entropy(adapted(task.query_x), task.query_y).backward()
    assert all(torch.allclose(p.grad, q.grad) for p, q in zip(model.parameters(), adapted.parameters(), strict=True))


def test_first_and_second_order_differ_where_there_is_curvature():
    one, two = net(), net()
    maml_loss(one, tasks(), 0.4, 3).backward()
    maml_loss(two, tasks(), 0.4, 3, first_order=True).backward()
    assert not torch.allclose(one[0].weight.grad, two[0].weight.grad, rtol=0.05)


def test_the_meta_loss_is_the_mean_over_tasks():
    model, (one, two) = net(), tasks()
    both = maml_loss(model, [one, two], 0.1, 1)
    assert torch.allclose(both, (maml_loss(model, [one], 0.1, 1) + maml_loss(model, [two], 0.1, 1)) / 2)


def test_inner_loop_is_plain_gradient_descent_and_leaves_the_model_alone():
    model, by_hand, (task,) = net("batch").train(), net("batch").train(), tasks(1)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    fast = maml_adapt(model, task.support_x, task.support_y, 0.3, 4)
    optimiser = torch.optim.SGD(by_hand.parameters(), lr=0.3)
    for _ in range(4):
        optimiser.zero_grad()
        F.cross_entropy(by_hand(task.support_x), task.support_y).backward()
        optimiser.step()
    assert all(torch.allclose(fast[n], p) for n, p in by_hand.named_parameters())
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())  # buffers included
    assert torch.allclose(fast["1.running_mean"], by_hand[1].running_mean)


def test_frozen_layers_do_not_adapt():
    model, (task,) = net(), tasks(1)
    model[0].requires_grad_(False)
    fast = maml_adapt(model, task.support_x, task.support_y, 0.3, 2)
    assert fast["0.weight"] is model[0].weight
    assert not torch.equal(fast["3.weight"], model[3].weight)


def test_reptile_with_one_inner_step_walks_along_the_plain_gradient():
    model, (task,) = net(), tasks(1)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    F.cross_entropy(model(task.support_x), task.support_y).backward()
    fast = maml_adapt(model, task.support_x, task.support_y, 0.3, 1, first_order=True)
    reptile_step(model, [fast], step=0.5)
    assert all(torch.allclose(p, before[n] - 0.5 * 0.3 * p.grad) for n, p in model.named_parameters())


def test_reptile_s_last_inner_step_is_first_order_maml():
    model, (task,) = net(), tasks(1)
    maml_loss(model, [task], 0.3, 2, first_order=True).backward()
    two = maml_adapt(model, task.support_x, task.support_y, 0.3, 2, first_order=True)
    walker = net()
    walker.load_state_dict({n: t.detach() for n, t in two.items()})
    three = maml_adapt(walker, task.query_x, task.query_y, 0.3, 1, first_order=True)
    assert all(torch.allclose((two[n] - three[n]) / 0.3, p.grad) for n, p in model.named_parameters())


def test_reptile_moves_to_the_mean_of_its_tasks():
    model = net()
    a = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
    b = {n: 2 * torch.ones_like(p) for n, p in model.named_parameters()}
    reptile_step(model, [a, b], step=1.0)
    assert all(torch.allclose(p, torch.ones_like(p)) for p in model.parameters())


def test_prototypical_loss_by_hand_on_four_points():
    support = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 5.0]])  # prototypes (1, 0) and (0, 4)
    query = torch.tensor([[1.0, 1.0]])  # squared distances 1 and 10
    y = torch.tensor([0, 0, 1, 1])
    assert torch.equal(prototypes(support, y, 2), torch.tensor([[1.0, 0.0], [0.0, 4.0]]))
    assert torch.equal(prototypes(support[:3], y[:3], 2), torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    loss = prototypical_loss(support, y, query, torch.tensor([0]), ways=2)
    assert loss.item() == pytest.approx(torch.log1p(torch.exp(torch.tensor(-9.0))).item(), rel=1e-3)
    other = prototypical_loss(support, y, query, torch.tensor([1]), ways=2)
    assert (other - loss).item() == pytest.approx(9.0)


def test_episodes_are_balanced_disjoint_relabelled_and_repeatable():
    y = torch.arange(200) % 10 * 7
    x = torch.stack([torch.arange(200), y], 1)
    drawn = list(episodes(x, y, ways=4, shots=2, queries=3, seed=5, count=20))
    assert len(drawn) == 20
    for e in drawn:
        assert e.support_y.bincount().tolist() == [2] * 4
        assert e.query_y.bincount().tolist() == [3] * 4
        rows = torch.cat([e.support_x[:, 0], e.query_x[:, 0]])
        assert len(rows.unique()) == 20
        for c in range(4):
            names = torch.cat([e.support_x[e.support_y == c, 1], e.query_x[e.query_y == c, 1]])
            assert len(names.unique()) == 1
    again = list(episodes(x, y, ways=4, shots=2, queries=3, seed=5, count=20))
    assert all(torch.equal(a.query_x, b.query_x) for a, b in zip(drawn, again, strict=True))
    assert len({tuple(e.support_x[:, 1].tolist()) for e in drawn}) > 15


def test_classes_too_small_for_an_episode_are_left_out():
    y = torch.tensor([0] * 9 + [1] * 9 + [2] * 4)
    for e in episodes(y[:, None], y, ways=2, shots=2, queries=3, seed=0, count=10):
        assert 2 not in e.support_x


def test_bad_input_is_said_in_one_sentence():
    y = torch.arange(20) % 4
    with pytest.raises(UserError, match=r"4 classes have the 2 \+ 3 examples that an episode of 5 ways needs"):
        next(episodes(y, y, ways=5, shots=2, queries=3, seed=0, count=1))
    with pytest.raises(UserError, match="1 ways"):
        next(episodes(y, y, ways=1, shots=2, queries=3, seed=0, count=1))
    with pytest.raises(UserError, match="no example of class 1"):
        prototypes(torch.zeros(2, 3), torch.tensor([0, 2]), 3)
    with pytest.raises(UserError, match="class 3 or above"):
        prototypes(torch.zeros(4, 3), torch.arange(4), 3)
    x = torch.zeros(2, 4, dtype=torch.double)
    with pytest.raises(UserError, match="Label 5 in the support set, but the model has 3 outputs"):
        maml_adapt(net(), x, torch.tensor([0, 5]), 0.1, 1)
    with pytest.raises(UserError, match="lr = 0"):
        maml_adapt(net(), x, torch.tensor([0, 1]), 0, 1)
    with pytest.raises(UserError, match="no adapted weights"):
        reptile_step(net(), [], 0.1)


def test_adapted_weights_run_the_model():
    model, (task,) = net("batch").eval(), tasks(1)
    fast = maml_adapt(model, task.support_x, task.support_y, 0.4, 20, first_order=True)
    after = F.cross_entropy(functional_call(model, fast, (task.support_x,)), task.support_y)
    assert after < 0.5 * F.cross_entropy(model(task.support_x), task.support_y)


def test_a_frozen_model_has_no_inner_loop():
    model, (task,) = net().requires_grad_(False), tasks(1)
    with pytest.raises(UserError, match="Every parameter of the model is frozen"):
        maml_adapt(model, task.support_x, task.support_y, 0.1, 1)
    assert maml_adapt(model, task.support_x, task.support_y, 0.1, 0)["0.weight"] is model[0].weight


def test_a_spare_parameter_stays_as_it_is_and_the_others_adapt_as_without_it():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.unused = net(), nn.Linear(2, 2)

        def forward(self, x):
            return self.net(x)

    model, (task,) = Spare(), tasks(1)
    fast = maml_adapt(model, task.support_x, task.support_y, 0.3, 2)
    plain = maml_adapt(net(), task.support_x, task.support_y, 0.3, 2)
    assert fast["unused.weight"] is model.unused.weight
    assert all(torch.equal(fast[f"net.{n}"], t) for n, t in plain.items())
    maml_loss(model, [task], 0.3, 2).backward()
    assert model.unused.weight.grad is None and model.net[0].weight.grad.any()
    reptile_step(model, [fast], 0.5)


def test_one_example_under_batchnorm_is_one_sentence_and_runs_in_eval_mode():
    model, (task,) = net("batch"), tasks(1)
    one = Episode(task.support_x[:1], task.support_y[:1], task.query_x, task.query_y)
    with pytest.raises(UserError, match=r"support set holds 1 example.*model\.eval\(\)"):
        maml_loss(model.train(), [one], 0.1, 1)
    with pytest.raises(UserError, match="query set holds 1 example"):
        maml_loss(model, [Episode(task.support_x, task.support_y, task.query_x[:1], task.query_y[:1])], 0.1, 1)
    assert torch.isfinite(maml_loss(model.eval(), [one], 0.1, 1))


def test_an_error_of_the_model_s_own_is_not_renamed():
    class Broken(nn.Linear):
        def forward(self, x):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        maml_adapt(Broken(2, 2), torch.zeros(2, 2), torch.tensor([0, 1]), 0.1, 1)


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.int16])
def test_labels_of_another_whole_type_are_taken(kind):
    (task,) = tasks(1)
    other = Episode(task.support_x, task.support_y.to(kind), task.query_x, task.query_y.to(kind))
    assert torch.equal(maml_loss(net(), [task], 0.1, 1), maml_loss(net(), [other], 0.1, 1))
    found = [prototypical_loss(t.support_x, t.support_y, t.query_x, t.query_y, 3) for t in (task, other)]
    assert torch.equal(*found)


def test_more_bad_input_is_said_in_one_sentence():
    (task,) = tasks(1)
    with pytest.raises(UserError, match="query labels run from 1 to 3, but classes count from 0 to 2"):
        maml_loss(net(), [task._replace(query_y=task.query_y + 1)], 0.1, 1)
    with pytest.raises(UserError, match="query labels run from 1 to 3"):
        prototypical_loss(task.support_x, task.support_y, task.query_x, task.query_y + 1, 3)
    with pytest.raises(UserError, match="support labels are torch"):
        maml_adapt(net(), task.support_x, task.support_y.double(), 0.1, 1)
    with pytest.raises(UserError, match="support labels run from -1"):
        prototypes(task.support_x, task.support_y - 1, 3)
    with pytest.raises(UserError, match="no task"):
        maml_loss(net(), [], 0.1, 1)
    with pytest.raises(UserError, match=r"x \(60, 4\) and y \(59,\)"):
        next(episodes(torch.zeros(60, 4), torch.arange(59) % 3, ways=2, shots=1, queries=1, seed=0, count=1))
    with pytest.raises(UserError, match="The adapted weights have no"):
        reptile_step(net(), [{}], 0.1)
