"""Streams: what the three settings ask, and what the loop does with them."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from transferlib.continual.fisher import fast_fisher, fisher, wrong_batched_fisher
from transferlib.continual.importance import MAS, SI
from transferlib.continual.rehearsal import Joint, Rehearsal
from transferlib.continual.sequential import OnlineEWC, SequentialEWC, SequentialL2SP
from transferlib.continual.streams import answers, average_accuracy, forgetting, learn_stream, opened
from transferlib.continual.tasks import Method, Task, restricted, split_classes
from transferlib.errors import UserError


def blobs(classes=4, n=40, seed=0):
    g = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(classes, 6, generator=torch.Generator().manual_seed(9))
    y = torch.arange(classes).repeat_interleave(n)
    return centres[y] + torch.randn(len(y), 6, generator=g), y


def stream(setting):
    return split_classes(*blobs(seed=0), *blobs(seed=1), [(0, 1), (2, 3)], setting)


def net(outputs=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, outputs))


def test_the_three_settings_differ_in_labels_and_in_what_competes():
    assert [t.columns for t in stream("task")] == [(0, 1), (2, 3)]
    assert [t.columns for t in stream("class")] == [(0, 1), (0, 1, 2, 3)]
    assert [t.columns for t in stream("domain")] == [(0, 1), (0, 1)]
    assert [sorted(set(t.y.tolist())) for t in stream("task")] == [[0, 1], [2, 3]]
    assert [sorted(set(t.y.tolist())) for t in stream("domain")] == [[0, 1], [0, 1]]
    assert all(torch.equal(a.x, b.x) for a, b in zip(stream("task"), stream("domain"), strict=True))


def test_restricted_logits_leave_no_probability_outside():
    p = restricted(torch.randn(3, 5), (1, 4)).softmax(1)
    assert torch.allclose(p[:, [1, 4]].sum(1), torch.ones(3))


PENALTIES = [SequentialL2SP, SequentialEWC, OnlineEWC, SI, MAS]


def learn(setting, method, *given, model=None, tasks=None, steps=30):
    model = model or net()
    return learn_stream(model, (tasks or stream(setting)), method(model, *given), steps=steps)


def test_a_stream_forgets_and_joint_training_does_not():
    plain = learn("class", Method, steps=60)
    assert plain.shape == (3, 2)
    assert forgetting(plain) > 0.5
    assert average_accuracy(learn("class", Joint, steps=60)) > 0.9
    assert average_accuracy(learn("class", Rehearsal, 10, steps=60)) > 0.85


@pytest.mark.parametrize("method", PENALTIES)
def test_penalties_of_strength_zero_change_nothing_and_strong_ones_hold(method):
    assert np.array_equal(learn("domain", method, 0.0), learn("domain", Method))
    ends = []
    for strength in (0.0, 1e3):
        model = net()
        learn("domain", method, strength, model=model, tasks=stream("domain")[:1])
        start = model[0].weight.detach().clone()
        model = net()
        learn("domain", method, strength, model=model)
        ends.append((model[0].weight - start).norm().item())
    assert ends[1] < 0.7 * ends[0]


@pytest.mark.parametrize("method", [Method, Rehearsal, Joint, *PENALTIES])
def test_the_first_task_does_not_depend_on_the_method(method):
    given = (1.0,) if method in PENALTIES else ()
    assert np.array_equal(learn("task", method, *given, steps=20)[1], learn("task", Method, steps=20)[1])


@pytest.mark.parametrize("setting", ["task", "class"])
def test_an_old_example_is_asked_among_its_own_outputs_and_those_that_joined_them(setting):
    model = net()
    method = Rehearsal(model, 100)
    for task in stream(setting):
        method.begin(task)
        method.end(task, torch.arange(3))
    out = torch.randn(2, 4)
    found = method.loss(out, torch.tensor([1, 2]), torch.tensor([0, 1]))  # label 1 of task 0, label 2 of task 1
    apart = -(out[0, :2].log_softmax(0)[1] + out[1, 2:].log_softmax(0)[0]) / 2
    together = nn.functional.cross_entropy(out, torch.tensor([1, 2]))
    assert torch.allclose(found, apart if setting == "task" else together)


def test_rehearsal_averages_over_all_tasks_and_its_notes_are_labels_and_task_numbers():
    model, tasks = net(), [*stream("task"), stream("task")[0]]
    method = Rehearsal(model, 5)
    for number, task in enumerate(tasks):
        method.begin(task)
        assert method.weight == 1 / (number + 1)
        if number == 2:
            x, notes = method.memory.x, method.memory.y
            wanted = 2 / 3 * method.loss(model(x), *notes.unbind(1))  # the batch of 32 holds all five examples
            assert torch.allclose(method.penalty(model), wanted)
        method.end(task, torch.arange(3))
    label, number = method.memory.y.unbind(1)
    assert len(label) == 5
    assert all(int(y) in tasks[int(k)].columns for y, k in zip(label, number, strict=True))


def test_sequential_ewc_holds_a_spring_for_each_task_and_online_ewc_one_with_a_fading_fisher():
    tasks, model = stream("task"), net()
    every, fading, sudden = SequentialEWC(model, 2.0), OnlineEWC(model, 2.0, 0.25), OnlineEWC(model, 2.0, 0.0)
    found = []
    for task in tasks:
        for method in (every, fading, sudden):
            method.begin(task)
            method.end(task, torch.arange(12))
        found.append(fisher(model, task.x[:12], columns=task.columns))
        with torch.no_grad():
            model[0].weight += 0.5
    by_hand = sum(2 / 2 * (f["0.weight"] * away**2).sum() for f, away in zip(found, (1.0, 0.5), strict=True))
    assert torch.allclose(every.penalty(model), by_hand)
    once = (0.25 * found[0]["0.weight"] + found[1]["0.weight"]).sum() * 0.5**2
    assert torch.allclose(fading.penalty(model), once)
    assert torch.allclose(sudden.penalty(model), found[1]["0.weight"].sum() * 0.5**2)
    assert (len(every.held), len(fading.held)) == (2, 1)


def test_tasks_of_unequal_size_are_tested_in_their_own_outputs():
    tasks = split_classes(*blobs(seed=0), *blobs(seed=1), [(0,), (1, 2, 3)], "task")
    table = learn("task", Method, tasks=tasks, steps=2)
    assert (table[:, 0] == 1).all()  # one output alone is always right
    assert table.shape == (3, 2)


def test_a_class_that_has_not_come_competes_with_nobody_in_a_test():
    tasks = stream("class")
    assert opened(tasks, 1) == [(0, 1), (0, 1, 2, 3)]
    assert opened(tasks, 2) == [(0, 1, 2, 3), (0, 1, 2, 3)]
    assert opened(stream("task"), 2) == [(0, 1), (2, 3)]
    model = net()
    with torch.no_grad():
        model[2].bias[3] = 100.0  # the last class shouts before it was learned
    assert answers(model, tasks[0], opened(tasks, 1)[0]).any()
    assert not answers(model, tasks[0], opened(tasks, 2)[0]).any()


def test_a_test_is_in_eval_mode_and_leaves_the_mode_and_the_running_means():
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5), net())
    before = model[0].running_mean.clone()
    task = stream("task")[0]
    assert torch.equal(answers(model, task, (0, 1)), answers(model, task, (0, 1)))
    assert model.training and torch.equal(model[0].running_mean, before)


def test_the_tasks_own_loss_counts_the_methods_weight():
    class Deaf(Method):
        weight = 0.0

    model, before = net(), net()
    learn("task", Deaf, model=model, steps=3)
    assert torch.equal(model[0].weight, before[0].weight)


def test_ewc_takes_every_kind_of_fisher():
    for measure in (fisher, fast_fisher, partial(fisher, labels="sample"), partial(fast_fisher, labels="empirical"),
                    partial(wrong_batched_fisher, batch_size=8)):  # fmt: skip
        learn("class", SequentialEWC, 1.0, measure, steps=5)


def test_every_fisher_of_a_stream_reads_the_outputs_of_its_own_task():
    task, some, model = stream("task")[1], torch.arange(20), net()
    x, y = task.placed(some)
    assert torch.equal(y + 2, task.y[:20])
    assert torch.equal(x, task.x[:20])
    assert task.placed(torch.tensor([0, len(task.y) - 1]))[1].tolist() == [0, 1]
    for measure in (fisher, partial(fisher, labels="empirical"), partial(wrong_batched_fisher, batch_size=8)):
        method = SequentialEWC(model, 1.0, measure)
        method.end(task, some)
        found = method.held[0].fisher["2.weight"]
        assert (found[:2] == 0).all(), measure
        assert (found[2:] > 0).any(), measure


def test_bad_input_is_said_in_one_sentence():
    with pytest.raises(UserError, match="Unknown setting 'taks': did you mean 'task'"):
        stream("taks")
    with pytest.raises(UserError, match=r"Class 7 of the task \(0, 7\) has no example"):
        split_classes(*blobs(), *blobs(), [(0, 7)], "task")
    for method in (SequentialL2SP, SequentialEWC, OnlineEWC, MAS):
        with pytest.raises(UserError, match=f"{method.__name__} got lam = -1"):
            method(net(), -1)
    with pytest.raises(UserError, match=r"gamma = 1\.5"):
        OnlineEWC(net(), 1, 1.5)
    with pytest.raises(UserError, match="This SI was made for another model"):
        learn_stream(net(), stream("task"), SI(net(), 1.0))
    x, y = blobs()
    with pytest.raises(UserError, match="A task has labels that none of its outputs"):
        answers(net(), Task(x, y, x, y, (0, 1)), (0, 1))
    with pytest.raises(UserError, match="widen the model"):
        learn("task", Method, model=net(3))
