"""The reservoir against the uniform distribution it promises."""

import pytest
import torch
from scipy import stats

from transferlib.continual.rehearsal import Reservoir
from transferlib.errors import UserError


def test_every_example_is_equally_likely_to_be_remembered_whatever_its_place():
    n, capacity, runs = 40, 8, 1500
    counts = torch.zeros(n)
    for seed in range(runs):
        memory = Reservoir(capacity, seed)
        memory.add(torch.arange(n)[:, None], torch.arange(n))
        counts[memory.y] += 1
    assert counts.sum() == capacity * runs
    # Drawn without replacement, a count has variance runs · p (1 − p); the n counts hold n − 1 free ones.
    p = capacity / n
    chi2 = float(((counts - runs * p) ** 2 / (runs * p * (1 - p))).sum()) * (n - 1) / n
    assert 0.001 < stats.chi2.sf(chi2, n - 1)


def test_it_takes_everything_until_full_and_keeps_pairs_together():
    memory = Reservoir(10)
    memory.add(torch.arange(6.0)[:, None], torch.arange(6))
    assert len(memory) == 6
    memory.add(torch.arange(6.0, 100)[:, None], torch.arange(6, 100))
    assert (len(memory), memory.seen) == (10, 100)
    x, y = memory.sample(4)
    assert torch.equal(x[:, 0].long(), y)
    assert len(set(y.tolist())) == 4
    assert len(memory.sample(50)[1]) == 10


def test_batches_and_single_examples_give_the_same_memory():
    one, many = Reservoir(5, seed=3), Reservoir(5, seed=3)
    x, y = torch.randn(30, 2), torch.arange(30)
    many.add(x, y)
    for i in range(30):
        one.add(x[i : i + 1], y[i : i + 1])
    assert torch.equal(one.y, many.y)


def test_a_memory_without_a_limit_keeps_everything_in_order():
    memory = Reservoir(None)
    for part in torch.arange(30).split(7):
        memory.add(part[:, None].float(), part)
    assert torch.equal(memory.y, torch.arange(30))
    assert (len(memory), memory.seen) == (30, 30)


def test_notes_beside_a_label_travel_with_its_example():
    memory, y = Reservoir(6), torch.arange(50)
    memory.add(y[:, None].float(), torch.stack([y, y % 7], dim=1))
    x, notes = memory.sample(6)
    assert torch.equal(x[:, 0].long(), notes[:, 0])
    assert torch.equal(notes[:, 0] % 7, notes[:, 1])


def test_the_memory_is_a_copy():
    x, y = torch.zeros(3, 2), torch.zeros(3, dtype=torch.long)
    memory = Reservoir(3)
    memory.add(x[:1], y[:1])
    x += 1
    y += 1
    assert not memory.x.any()
    assert not memory.y.any()


def test_bad_input_is_said_in_one_sentence():
    with pytest.raises(UserError, match="capacity = 0"):
        Reservoir(0)
    with pytest.raises(UserError, match="memory is empty"):
        Reservoir(3).sample(1)
    with pytest.raises(UserError, match="3 examples with 2 labels"):
        Reservoir(3).add(torch.zeros(3, 1), torch.zeros(2))
