"""Soups against the line between two networks, at their end points, and of networks that do not belong together."""

import pytest
import torch
from torch import Tensor, nn

from transferlib.errors import UserError
from transferlib.tuning.soups import greedy_soup, soup
from transferlib.tuning.wise_ft import interpolate


def networks(count: int) -> list[dict[str, Tensor]]:
    torch.manual_seed(0)
    out = []
    for _ in range(count):
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        net(torch.randn(8, 3))  # moves the statistics and the counter
        out.append(net.state_dict())
    return out


def test_a_soup_of_two_is_the_middle_of_the_line() -> None:
    a, b = networks(2)
    mixed, middle = soup([a, b]), interpolate(a, b, 0.5)
    for name in mixed:
        torch.testing.assert_close(mixed[name], middle[name])


def test_a_soup_of_one_and_of_equals_is_the_network_bit_by_bit_and_no_alias() -> None:
    (a,) = networks(1)
    for mixed in (soup([a]), soup([a, a, a])):
        assert all(torch.equal(mixed[name], a[name]) for name in a)
        assert mixed["0.weight"].data_ptr() != a["0.weight"].data_ptr()


def test_a_linear_network_of_mean_weights_gives_the_mean_answer() -> None:
    states = [nn.Linear(3, 2).state_dict() for _ in range(5)]
    x, model = torch.randn(7, 3), nn.Linear(3, 2)
    answers = []
    for state in [*states, soup(states)]:
        model.load_state_dict(state)
        answers.append(model(x).detach())
    torch.testing.assert_close(answers[-1], torch.stack(answers[:-1]).mean(0))


def test_whole_numbers_are_the_first_networks_and_types_stay() -> None:
    a, b = networks(2)
    b["1.num_batches_tracked"] += 6
    assert soup([a, b])["1.num_batches_tracked"] == 1
    half = [{"w": torch.tensor([1.0], dtype=torch.float16)}, {"w": torch.tensor([2.0], dtype=torch.float16)}]
    assert soup(half)["w"].dtype == torch.float16


def test_the_greedy_soup_keeps_what_does_not_hurt_best_first() -> None:
    states = [{"w": torch.tensor([w])} for w in (5.0, 1.0, -1.2, 0.9)]

    def score(state: dict[str, Tensor]) -> float:
        return -abs(float(state["w"]))

    kept = greedy_soup(states, score)
    assert kept[0] == 3, "the best alone stands first"
    assert score(soup([states[i] for i in kept])) >= max(map(score, states))
    assert kept == [3, 2], "with 1.0 the mean of 0.9 and -1.2 would be worse, and 5 spoils any soup"


def test_equal_networks_all_stay() -> None:
    (a,) = networks(1)
    assert greedy_soup([a, a, a], lambda state: 1.0) == [0, 1, 2]


def test_networks_that_do_not_belong_together_are_named() -> None:
    with pytest.raises(UserError, match="Only one of networks 1 and 2 has 'v'"):
        soup([{"w": torch.zeros(1)}, {"v": torch.zeros(1)}])
    with pytest.raises(UserError, match=r"'w' is \(1,\) in network 1 and \(2,\) in network 3"):
        soup([{"w": torch.zeros(1)}, {"w": torch.zeros(1)}, {"w": torch.zeros(2)}])
    for empty in (soup, lambda states: greedy_soup(states, lambda state: 0.0)):
        with pytest.raises(UserError, match="no networks"):
            empty([])
