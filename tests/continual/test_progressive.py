"""Progressive columns: the old ones must not move by a single bit."""

import pytest
import torch
import torch.nn.functional as F

from transferlib.continual.progressive import ProgressiveNet
from transferlib.errors import UserError


def test_old_outputs_are_bit_identical_after_learning_new_tasks():
    torch.manual_seed(0)
    net, x = ProgressiveNet(6, [8, 5]), torch.randn(20, 6)
    kept = []
    for task, classes in enumerate([2, 3, 4]):
        assert net.add_column(classes) == task
        optimiser = torch.optim.AdamW(net.parameters(), lr=0.05, weight_decay=0.1)
        start = net(x, task).detach()
        for _ in range(5):
            optimiser.zero_grad()
            F.cross_entropy(net(x, task), torch.randint(classes, (20,))).backward()
            optimiser.step()
        assert not torch.equal(net(x, task), start)
        kept.append(net(x, task).detach())
        assert all(torch.equal(net(x, old), kept[old]) for old in range(task + 1))
    assert [k.shape[1] for k in kept] == [2, 3, 4]


def test_a_column_reads_the_hidden_layers_of_the_columns_before_it():
    torch.manual_seed(0)
    net, x = ProgressiveNet(3, [4]), torch.randn(5, 3)
    net.add_column(2)
    net.add_column(2)
    first, second = net.columns
    old, new = torch.relu(first.own[0](x)), torch.relu(second.own[0](x))
    assert torch.allclose(net(x, 1), second.own[1](new) + second.lateral[0][0](old))


def test_only_the_newest_column_is_trainable():
    net = ProgressiveNet(3, [4])
    net.add_column(2)
    net.add_column(2)
    assert {name.split(".")[1] for name, p in net.named_parameters() if p.requires_grad} == {"1"}


def test_bad_input_is_said_in_one_sentence():
    net = ProgressiveNet(3, [4])
    with pytest.raises(UserError, match="Task 0 has no column"):
        net(torch.zeros(1, 3), 0)
    with pytest.raises(UserError, match="at least one hidden layer"):
        ProgressiveNet(3, [])
