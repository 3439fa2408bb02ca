"""Streams: what the three settings ask, and what the loop does with them."""

import numpy as np
import pytest
import torch
from torch import nn

from transferlib.continual.rehearsal import Reservoir
from transferlib.continual.streams import (
    METHODS,
    Task,
    _fisher,
    _replayed,
    accuracies,
    average_accuracy,
    forgetting,
    learn_stream,
    restricted,
    split_classes,
)
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


def test_a_stream_forgets_and_joint_training_does_not():
    plain = learn_stream(net(), stream("class"), "plain", steps=60)
    joint = learn_stream(net(), stream("class"), "joint", steps=60)
    assert plain.shape == (3, 2)
    assert forgetting(plain) > 0.5
    assert average_accuracy(joint) > 0.9
    assert average_accuracy(learn_stream(net(), stream("class"), "rehearsal", steps=60, memory=10)) > 0.85


@pytest.mark.parametrize("method", ["l2", "ewc", "si", "mas"])
def test_penalties_of_strength_zero_change_nothing_and_strong_ones_hold(method):
    plain = learn_stream(net(), stream("domain"), "plain", steps=30)
    assert np.array_equal(learn_stream(net(), stream("domain"), method, 0.0, steps=30), plain)
    ends = []
    for strength in (0.0, 1e3):
        model = net()
        learn_stream(model, stream("domain")[:1], method, strength, steps=30)
        start = model[0].weight.detach().clone()
        model = net()
        learn_stream(model, stream("domain"), method, strength, steps=30)
        ends.append((model[0].weight - start).norm().item())
    assert ends[1] < 0.7 * ends[0]


def test_the_task_setting_replays_each_old_example_in_its_own_outputs():
    model, memory, columns = net(), Reservoir(2), [(0, 1), (2, 3)]
    x = torch.randn(2, 6)
    memory.add(x, torch.tensor([1, 10_002]))  # label 1 of task 0, label 2 of task 1
    with torch.no_grad():
        found, out = _replayed(model, memory, columns, None, 2), model(x)
        by_hand = -(out[0, :2].log_softmax(0)[1] + out[1, 2:].log_softmax(0)[0]) / 2
        together = _replayed(model, memory, columns, (0, 1, 2, 3), 2)
    assert torch.allclose(found, by_hand)
    assert torch.allclose(together, nn.functional.cross_entropy(out, torch.tensor([1, 2])))


def test_the_first_task_does_not_depend_on_the_method():
    firsts = [learn_stream(net(), stream("task"), m, 1.0, steps=20)[1] for m in METHODS]
    assert all(np.array_equal(f, firsts[0]) for f in firsts)


def test_ewc_takes_every_kind_of_fisher():
    for labels in ("exact", "sample", "empirical", "wrong:8"):
        learn_stream(net(), stream("class"), "ewc", 1.0, steps=5, labels=labels)


def test_bad_input_is_said_in_one_sentence():
    with pytest.raises(UserError, match="Unknown setting 'taks': did you mean 'task'"):
        stream("taks")
    with pytest.raises(UserError, match=r"Class 7 of the task \(0, 7\) has no example"):
        split_classes(*blobs(), *blobs(), [(0, 7)], "task")
    with pytest.raises(UserError, match="did you mean 'ewc'"):
        learn_stream(net(), stream("task"), "ewcc")
    with pytest.raises(UserError, match="lam = -1"):
        learn_stream(net(), stream("task"), "ewc", -1, steps=2)
    x, y = blobs()
    with pytest.raises(UserError, match="Task 0 has labels that none of its outputs"):
        accuracies(net(), [Task(x, y, x, y, (0, 1))], [(0, 1)])
    with pytest.raises(UserError, match="widen the model"):
        learn_stream(net(3), stream("task"), "plain")


def test_every_fisher_of_a_stream_reads_the_outputs_of_its_own_task():
    task, some = stream("task")[1], torch.arange(20)
    for labels in ("exact", "empirical", "wrong:8"):
        found = _fisher(net(), task, some, labels)["2.weight"]
        assert (found[:2] == 0).all(), labels
        assert (found[2:] > 0).any(), labels
    # Batches of one: nothing can cancel, so the wrong one is the empirical one.
    right, wrong = (_fisher(net(), task, some, labels) for labels in ("empirical", "wrong:1"))
    assert all(torch.allclose(wrong[n], right[n], rtol=1e-4, atol=1e-9) for n in right)
