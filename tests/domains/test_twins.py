import numpy as np
import pytest
import torch

from transferlib.domains.twins import twins
from transferlib.errors import UserError


def planted(noise: float, seed: int = 0) -> tuple[torch.Tensor, list[int]]:
    """300 strangers, 20 sets of 2 to 6 twins among them, shuffled; and the set that each row was planted in."""
    g = torch.Generator().manual_seed(seed)
    originals, truth = torch.randn(320, 64, generator=g), list(range(320))
    copies = [i for i in range(20) for _ in range(1 + i % 5)]
    x = torch.cat([originals, originals[copies] + noise * torch.randn(len(copies), 64, generator=g)])
    order = torch.randperm(len(x), generator=g)
    return x[order], torch.tensor(truth + copies)[order].tolist()


@pytest.mark.parametrize("noise", [0.01, 0.2])
@pytest.mark.parametrize("batch_size", [7, 256])
def test_all_planted_twins_are_found_as_whole_sets_and_nothing_else(noise: float, batch_size: int) -> None:
    x, truth = planted(noise)
    sets, pairs, similarity = twins(x, threshold=0.8, batch_size=batch_size)
    names = {(a, b) for a, b in zip(sets.tolist(), truth, strict=True)}
    assert len(names) == len(set(truth)) == sets.max() + 1  # one number a planted set, one planted set a number
    wanted = {(i, j) for i in range(len(x)) for j in range(i) if truth[i] == truth[j]}
    assert {tuple(sorted(pair, reverse=True)) for pair in pairs.tolist()} == wanted
    assert (similarity.diff() <= 0).all() and float(similarity.min()) >= 0.8


def test_a_chain_is_one_set_though_its_ends_are_not_alike() -> None:
    angle = torch.arange(0, 180, 20) * torch.pi / 180
    walk = torch.stack([angle.cos(), angle.sin()], 1)
    x = torch.cat([walk, -walk])  # centred
    sets, pairs, _ = twins(x, threshold=0.9)  # cos 20° = 0.94, cos 40° = 0.77
    assert sets.max() == 0 and len(pairs) == len(x)  # a ring: each row is alike to its two neighbours only


def test_sets_are_those_of_every_pair_also_where_few_pairs_are_handed_back() -> None:
    x, _ = planted(0.05)
    whole, some = twins(x, 0.8), twins(x, 0.8, most=3, batch_size=16)
    assert np.array_equal(whole[0], some[0]) and len(some[1]) == 3
    assert some[1].tolist() == whole[1][:3].tolist()


def test_a_negative_threshold_does_not_pair_a_row_with_itself() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    assert sorted(map(sorted, twins(x, -1.0)[1].tolist())) == [[0, 1], [0, 2], [1, 2]]


@pytest.mark.parametrize("threshold", [1.1, -2.0])
def test_a_threshold_that_is_no_cosine_is_refused(threshold: float) -> None:
    with pytest.raises(UserError, match="not a cosine similarity"):
        twins(torch.randn(4, 2), threshold)
