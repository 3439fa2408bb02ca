"""A model soup: the mean of the weights of several fine-tuned networks that share a start.

    θ_soup = 1/m · (θ_1 + … + θ_m)

It costs no more at serving than one network. Wortsman et al., "Model soups: averaging weights of multiple fine-tuned
models improves accuracy without increasing inference time", 2022, arXiv:2203.05482.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from transferlib.errors import UserError

State = Mapping[str, Tensor]


def soup(states: Sequence[State]) -> dict[str, Tensor]:
    """The uniform soup: every weight is the mean of its values in the ``states``.

    Running statistics of BatchNorm are averaged like weights; whole numbers, such as its batch counter, are the first
    network's. The mean is taken in float64 and given in the first network's type.

    Raises:
        UserError: no networks, or networks of other names or shapes.

    >>> soup([{"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([1.0, 4.0])}])
    {'w': tensor([0.5000, 3.0000])}
    """
    if not states:
        raise UserError("A soup of no networks is no network: give at least one state dict.")
    first, mixed = states[0], {}
    for number, state in enumerate(states[1:], start=2):
        if odd := sorted(set(first) ^ set(state)):
            raise UserError(f"Only one of networks 1 and {number} has {odd[0]!r}: use one architecture and head.")
        for name, tensor in state.items():
            if tensor.shape != first[name].shape:
                raise UserError(
                    f"{name!r} is {tuple(first[name].shape)} in network 1 and {tuple(tensor.shape)} in network "
                    f"{number}: use one architecture and head."
                )
    for name, tensor in first.items():
        if not tensor.is_floating_point():
            mixed[name] = tensor.clone()
            continue
        mixed[name] = torch.stack([state[name].to(tensor.device).double() for state in states]).mean(0).to(tensor)
    return mixed


def greedy_soup(states: Sequence[State], score: Callable[[dict[str, Tensor]], float]) -> list[int]:
    """The greedy soup: best network first, each next one stays in if the soup does not score worse with it.

    ``score`` takes a state dict and says how good it is, on held-out *training* labels. Returns the places of the
    networks that stayed, best first; ``soup`` of those is the greedy soup, and scores at least as well as each network.

    Raises:
        UserError: as :func:`soup`.

    >>> states = [{"w": torch.tensor(w)} for w in (1.0, -1.0, 8.0)]
    >>> greedy_soup(states, lambda state: -abs(float(state["w"])))  # 8 would spoil the soup
    [0, 1]
    """
    alone = [score(soup([state])) for state in states]
    order = sorted(range(len(states)), key=lambda i: -alone[i])
    if not order:
        raise UserError("A soup of no networks is no network: give at least one state dict.")
    chosen, best = order[:1], alone[order[0]]
    for i in order[1:]:
        tried = score(soup([states[j] for j in (*chosen, i)]))
        if tried >= best:
            chosen, best = [*chosen, i], tried
    return chosen
