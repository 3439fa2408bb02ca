"""The fast path of ``learn_tasks``: several small networks, each with its own stream, trained as one batched tensor.

The networks share nothing. A sum of their losses and penalties has each network's own gradient in its own slice, so the
methods of the plain path work as they are; only what looks into layers (Fisher, MAS) has a batched form here. The tests
hold every result to that of ``learn_tasks``, network by network.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.continual.tasks import Method, Task
from transferlib.errors import UserError


class SideBySide(nn.Module):
    """S networks of linear layers with ReLU between them, as one: (S, B, in) → (S, B, out).

    Arguments: ``networks``, each an ``nn.Sequential`` of Linear, ReLU, …, Linear of the same sizes; copied.
    Raises ``UserError`` for other networks.

    >>> both = SideBySide([nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)) for _ in range(2)])
    >>> both(torch.zeros(2, 5, 2)).shape
    torch.Size([2, 5, 3])
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        super().__init__()
        layers = [[m for m in network if isinstance(m, nn.Linear)] for network in networks]
        kinds = {tuple((m.in_features, m.out_features) for m in linear) for linear in layers}
        plain = all(
            isinstance(m, nn.ReLU if i % 2 else nn.Linear) for network in networks for i, m in enumerate(network)
        )
        if len(kinds) != 1 or not plain:
            raise UserError("Networks side by side must be Linear, ReLU, …, Linear, all of the same sizes.")
        for depth, same in enumerate(zip(*layers, strict=True)):
            weight = torch.stack([m.weight.detach().T for m in same])  # (S, in, out)
            bias = torch.stack([m.bias.detach()[None] for m in same])  # (S, 1, out)
            self.register_parameter(f"weight{depth}", nn.Parameter(weight.clone()))
            self.register_parameter(f"bias{depth}", nn.Parameter(bias.clone()))
        self.depth, self.count = len(next(iter(kinds))), len(networks)

    def layers(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """x (S, B, in) → the inputs and the outputs of each linear layer, (S, B, width)."""
        inputs, outputs = [], list[Tensor]()
        for depth in range(self.depth):
            inputs.append(outputs[-1].relu() if depth else x)
            bias, weight = getattr(self, f"bias{depth}"), getattr(self, f"weight{depth}")
            outputs.append(torch.baddbmm(bias, inputs[-1], weight))
        return inputs, outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)[1][-1]


class Tasks:
    """The k-th tasks of S streams: x (S, N, D), shorter ones padded by what is never drawn, and which outputs compete.

    ``closed`` and ``placed`` are those of ``Task``, ``rows`` a pair of indices (S, 1), (S, n).

    >>> x, y = torch.zeros(3, 2), torch.tensor([0, 1, 1])
    >>> tasks = Tasks([Task(x, y, x, y, (0, 1)), Task(x[:2], y[:2], x, y, (0, 1))], outputs=3)
    >>> tasks.x.shape, tasks.columns[0].tolist()
    (torch.Size([2, 3, 2]), [[False, False, True]])
    """

    def __init__(self, tasks: Sequence[Task], outputs: int) -> None:
        longest = max(len(task.y) for task in tasks)
        self.x = torch.stack([F.pad(task.x, (0, 0, 0, longest - len(task.y))) for task in tasks])  # (S, N, D)
        self.y = torch.stack([F.pad(task.y, (0, longest - len(task.y))) for task in tasks])  # (S, N)
        self.columns = torch.stack([task.closed(outputs) for task in tasks])[:, None]  # (S, 1, C)

    def closed(self, outputs: int) -> Tensor:
        """Which outputs may not answer, (S, 1, C) of bool."""
        return self.columns

    def placed(self, rows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """x (S, n, D) and labels (S, n)."""
        return self.x[rows], self.y[rows]


def learn_side_by_side(
    model: SideBySide, streams: Sequence[Sequence[Task]], method: Method, *, seeds: Sequence[int], steps: int = 120,
    lr: float = 2e-3, batch: int = 32, examples: int = 150,
) -> Iterator[int]:  # fmt: skip
    """``learn_tasks`` for network s on ``streams[s]`` with ``seeds[s]``, all at once; yields 1, 2, … after each task.

    ``method``: plain training, L2-SP, SI or LwF as they are; EWC and MAS with ``measure=side_by_side_fisher`` or
    ``side_by_side_mas``. Raises ``UserError`` unless there is a stream and a seed for each network, and for a task of
    fewer than ``examples`` examples.

    >>> x, y = torch.randn(8, 2), torch.arange(8) % 2
    >>> both = SideBySide([nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(2)])
    >>> streams = [[Task(x, y, x, y, (0, 1))] * 3] * 2
    >>> list(learn_side_by_side(both, streams, Method(both), seeds=(0, 1), steps=1, examples=8))
    [1, 2, 3]
    """
    if not len(streams) == len(seeds) == model.count:
        raise UserError(f"{model.count} networks got {len(streams)} streams and {len(seeds)} seeds.")
    if (fewest := min(len(task.y) for stream in streams for task in stream)) < examples:
        raise UserError(f"A task has {fewest} examples, too few to measure on {examples}: use a smaller examples=.")
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    outputs, each = getattr(model, f"bias{model.depth - 1}").shape[2], torch.arange(len(seeds))[:, None]
    for k, same in enumerate(zip(*streams, strict=True)):
        tasks = Tasks(same, outputs)
        method.begin(tasks)  # type: ignore[arg-type]
        optimiser = torch.optim.Adam(model.parameters(), lr=lr)
        sizes = list(zip(same, generators, strict=True))
        for _ in range(steps):
            pick = torch.stack([torch.randint(len(t.y), (batch,), generator=g) for t, g in sizes])  # (S, B)
            x, y = tasks.x[each, pick], tasks.y[each, pick]  # (S, B, D), (S, B)
            logits = model(x).masked_fill(tasks.columns, -torch.inf)  # (S, B, C)
            optimiser.zero_grad()
            method.see(x)
            # The sum over networks of their mean losses.
            (method.weight * F.cross_entropy(logits.flatten(0, 1), y.flatten()) * len(seeds)).backward()
            method.penalty(model).backward()
            optimiser.step()
        rows = torch.stack([torch.randperm(len(t.y), generator=g)[:examples] for t, g in sizes])  # (S, n)
        method.end(tasks, (each, rows))  # type: ignore[arg-type]
        yield k + 1


def side_by_side_fisher(model: SideBySide, data: tuple[Tensor, Tensor], columns: Tensor) -> dict[str, Tensor]:
    """``fisher`` with exact labels for each network: x (S, n, D), ``columns`` the closed outputs (S, 1, C).

    >>> both = SideBySide([nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)) for _ in range(2)])
    >>> data, closed = (torch.randn(2, 8, 2), torch.zeros(2, 8)), torch.zeros(2, 1, 3, dtype=torch.bool)
    >>> side_by_side_fisher(both, data, closed)["weight0"].shape
    torch.Size([2, 2, 4])
    """

    def losses(logits: Tensor) -> Iterator[Tensor]:
        logp = logits.masked_fill(columns, -torch.inf).log_softmax(-1).masked_fill(columns, 0.0)  # (S, n, C)
        root = logits.detach().masked_fill(columns, -torch.inf).softmax(-1).sqrt()  # a closed output has weight 0
        for c in range(logits.shape[-1]):
            yield root[..., c] * logp[..., c]

    return _mean(model, data[0], losses, torch.square)


def side_by_side_mas(model: SideBySide, x: Tensor) -> dict[str, Tensor]:
    """``mas_importance`` for each network: x (S, n, D).

    >>> both = SideBySide([nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)) for _ in range(2)])
    >>> side_by_side_mas(both, torch.randn(2, 8, 2))["bias1"].shape
    torch.Size([2, 1, 3])
    """
    return _mean(model, x, lambda logits: iter([logits.square().sum(-1)]), torch.abs)


def _mean(
    model: SideBySide, x: Tensor, losses: Callable[[Tensor], Iterator[Tensor]], transform: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Mean over examples of transform(∂ loss / ∂θ), summed over losses: for a linear layer one matrix product."""
    inputs, outputs = model.layers(x)
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for loss in losses(outputs[-1]):
        slopes = torch.autograd.grad(loss.sum(), outputs, retain_graph=True)
        for depth, (a, g) in enumerate(zip(inputs, slopes, strict=True)):
            h = transform(g) / x.shape[1]  # (S, n, out)
            total[f"weight{depth}"] += transform(a.detach()).mT @ h  # (S, in, n) @ (S, n, out)
            total[f"bias{depth}"] += h.sum(1, keepdim=True)
    return total
