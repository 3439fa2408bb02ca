"""Best of n: counted over all choices, drawn, and against its bound."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from bandits import REF, REWARD

from transferlib.errors import UserError
from transferlib.preference.best_of_n import best_of_n, best_of_n_shares, furthest


def test_best_of_n_is_the_mean_over_all_choices_of_n():
    g = torch.Generator().manual_seed(0)
    chooser, value = torch.randn(7, generator=g), torch.randn(7, generator=g)
    for n in range(1, 8):
        winners = [max(chosen, key=lambda i: chooser[i]) for chosen in itertools.combinations(range(7), n)]
        assert best_of_n(chooser, value, n).item() == pytest.approx(value[winners].mean().item(), abs=1e-6)
    assert best_of_n(chooser, value, 1).item() == pytest.approx(value.mean().item(), abs=1e-6)
    assert best_of_n(chooser, chooser, 7).item() == pytest.approx(chooser.max().item())


def test_the_best_of_n_is_no_further_away_than_its_bound():
    count = 1000
    for n in (2, 4, 16):
        wins = torch.stack([best_of_n(torch.arange(count), F.one_hot(torch.tensor(j), count), n) for j in range(count)])
        distance = (wins * (wins * count).clamp_min(1e-300).log()).sum()  # from the uniform choice of one
        bound = math.log(n) - (n - 1) / n
        assert bound - 0.01 < distance < bound + 0.01


def test_shares_are_those_of_all_possible_draws():
    p, reward = REF.exp(), torch.tensor([1.0, 0.0, 1.0])  # two answers have one reward
    wanted = torch.zeros(3, dtype=torch.double)
    for drawn in itertools.product(range(3), repeat=4):
        best = [i for i in drawn if reward[i] == max(reward[list(drawn)])]
        for i in best:  # one of the best draws, any of them
            wanted[i] += p[list(drawn)].prod() / len(best)
    assert torch.allclose(best_of_n_shares(p, reward, 4), wanted)
    assert torch.allclose(best_of_n_shares(p, reward, 1), p)
    assert best_of_n_shares(p, REWARD, 10_000)[2].item() == pytest.approx(1)


@pytest.mark.parametrize("n", [1, 2, 8, 100])
def test_the_distance_of_listed_answers_never_passes_the_bound(n):
    p = torch.rand(50, generator=torch.Generator().manual_seed(n), dtype=torch.double)
    p = p / p.sum()
    shares = best_of_n_shares(p, torch.arange(50.0), n)
    distance = torch.special.xlogy(shares, shares / p).sum()
    assert shares.sum().item() == pytest.approx(1) and -1e-12 <= distance <= furthest(n) + 1e-12
    assert n == 1 or distance > 0.5 * furthest(n)


def test_bad_input_is_said_in_one_sentence():
    two = torch.zeros(2)
    for n in (0, 3):
        with pytest.raises(UserError, match=f"n = {n} with 2 answers"):
            best_of_n(two, two, n)
    with pytest.raises(UserError, match=r"value has shape \(4, 1\)"):
        best_of_n(torch.zeros(4), torch.zeros(4, 1), 2)
    with pytest.raises(UserError, match="n = 0"):
        best_of_n_shares(two, two, 0)
    with pytest.raises(UserError, match="n = 0"):
        furthest(0)
    with pytest.raises(UserError, match=r"reward has shape \(3,\)"):
        best_of_n_shares(two, torch.zeros(3), 2)
