"""Episodes: tiny classification problems to practise on.

An episode has N classes (ways), k labelled examples of each (shots: the support set) and some examples to be judged on
(the query set).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from transferlib.errors import UserError


class Episode(NamedTuple):
    """Support x (ways · shots, …) and y, query x (ways · queries, …) and y; labels count from 0 within the episode."""

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor


def episodes(x: Tensor, y: Tensor, *, ways: int, shots: int, queries: int, seed: int, count: int) -> Iterator[Episode]:
    """Draw ``count`` episodes; within one, no class and no example appears twice.

    ``x`` (N, …), ``y`` (N,) any integers; classes with fewer than shots + queries examples are left out.
    Raises ``UserError`` when fewer than ``ways`` classes are left, and for x and y of unlike length.

    >>> x, y = torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 7, 7, 7])
    >>> episode = next(episodes(x, y, ways=2, shots=2, queries=1, seed=0, count=1))
    >>> episode.support_x.shape, episode.support_y, episode.query_y
    (torch.Size([4, 1]), tensor([0, 0, 1, 1]), tensor([0, 1]))
    """
    if min(ways, shots, queries) < 1 or ways < 2:
        raise UserError(
            f"An episode of {ways} ways, {shots} shots, {queries} queries: use ways ≥ 2 and ≥ 1 of the rest."
        )
    if y.ndim != 1 or len(x) != len(y):
        raise UserError(f"Episodes need one label an example: got x {tuple(x.shape)} and y {tuple(y.shape)}.")
    members = [torch.nonzero(y == c).flatten().to(x.device) for c in y.unique()]
    members = [m for m in members if len(m) >= shots + queries]
    if len(members) < ways:
        raise UserError(
            f"{len(members)} classes have the {shots} + {queries} examples that an episode of {ways} ways needs: "
            "use fewer ways, shots or queries."
        )
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        chosen = torch.randperm(len(members), generator=generator, device="cpu")[:ways].tolist()
        picks = [members[c][torch.randperm(len(members[c]), generator=generator, device="cpu")] for c in chosen]
        support = torch.cat([p[:shots] for p in picks])  # (ways · shots,)
        query = torch.cat([p[shots : shots + queries] for p in picks])  # (ways · queries,)
        labels = torch.arange(ways, device=y.device)
        yield Episode(x[support], labels.repeat_interleave(shots), x[query], labels.repeat_interleave(queries))


def stack(drawn: Sequence[Episode]) -> Episode:
    """Episodes of one shape as one, with the tasks as the first axis: support x (T, S, …) and y (T, S), queries alike.

    >>> one = Episode(torch.zeros(2, 3), torch.arange(2), torch.zeros(4, 3), torch.arange(2).repeat(2))
    >>> stack([one, one, one]).query_x.shape
    torch.Size([3, 4, 3])

    Raises:
        UserError: no episode, or episodes of unlike shapes.
    """
    shapes = {tuple(tuple(part.shape) for part in episode) for episode in drawn}
    if len(shapes) != 1:
        raise UserError(f"Stacking needs episodes of one shape: got {len(drawn)} episodes of {len(shapes)} shapes.")
    return Episode(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))
