"""Networks trained side by side are the networks trained one by one."""

import pytest
import torch
from torch import nn

from transferlib.continual.importance import MAS, SI
from transferlib.continual.lwf import LwF
from transferlib.continual.sequential import OnlineEWC, SequentialEWC, SequentialL2SP
from transferlib.continual.side_by_side import SideBySide, learn_side_by_side, side_by_side_fisher, side_by_side_mas
from transferlib.continual.streams import learn_tasks
from transferlib.continual.tasks import Method, split_classes
from transferlib.errors import UserError

SEEDS = (3, 4)
GROUPS = ([(0, 1), (2, 3), (4, 5)], [(4, 0), (1, 5), (3, 2)])  # each network has its own order


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 6)).double()


def stream(groups, setting):
    y = torch.repeat_interleave(torch.arange(6), torch.arange(9, 15))  # classes, and so tasks, of unequal size
    x = torch.randn(len(y), 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = x + nn.functional.one_hot(y, 6)[:, :5] * 2
    return split_classes(x, y, x, y, groups, setting)


WAYS = {
    "plain": (lambda m: Method(m), lambda m: Method(m)),
    "l2": (lambda m: SequentialL2SP(m, 0.1), lambda m: SequentialL2SP(m, 0.1)),
    "ewc": (lambda m: SequentialEWC(m, 30.0), lambda m: SequentialEWC(m, 30.0, side_by_side_fisher)),
    "online": (lambda m: OnlineEWC(m, 30.0, 0.8), lambda m: OnlineEWC(m, 30.0, 0.8, side_by_side_fisher)),
    "si": (lambda m: SI(m, 1.0), lambda m: SI(m, 1.0)),
    "mas": (lambda m: MAS(m, 0.1), lambda m: MAS(m, 0.1, side_by_side_mas)),
    "lwf": (lambda m: LwF(m, 1.0), lambda m: LwF(m, 1.0)),
}


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
@pytest.mark.parametrize("way", WAYS)
def test_side_by_side_is_one_by_one(way, setting):
    plain, fast = WAYS[way]
    streams = [stream(groups, setting) for groups in GROUPS]
    both = SideBySide([network(s) for s in SEEDS])
    told = list(learn_side_by_side(both, streams, fast(both), seeds=SEEDS, steps=8, batch=4, examples=19))
    assert told == [1, 2, 3]
    for i, seed in enumerate(SEEDS):
        alone = network(seed)
        for _ in learn_tasks(alone, streams[i], plain(alone), steps=8, batch=4, examples=19, seed=seed):
            pass
        for depth, layer in enumerate([m for m in alone if isinstance(m, nn.Linear)]):
            assert torch.allclose(getattr(both, f"weight{depth}")[i].T, layer.weight, atol=1e-7), (way, setting)
            assert torch.allclose(getattr(both, f"bias{depth}")[i, 0], layer.bias, atol=1e-7)


def test_bad_input_is_said_in_one_sentence():
    with pytest.raises(UserError, match="all of the same sizes"):
        SideBySide([network(0), nn.Sequential(nn.Linear(5, 6))])
    with pytest.raises(UserError, match=r"Linear, ReLU, …, Linear"):
        SideBySide([nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 6))])
    both = SideBySide([network(0), network(1)])
    with pytest.raises(UserError, match="2 networks got 1 streams and 2 seeds"):
        list(learn_side_by_side(both, [stream(GROUPS[0], "task")], Method(both), seeds=SEEDS))
    streams = [stream(groups, "task") for groups in GROUPS]
    with pytest.raises(UserError, match="A task has 19 examples, too few to measure on 50"):
        list(learn_side_by_side(both, streams, Method(both), seeds=SEEDS, examples=50))
