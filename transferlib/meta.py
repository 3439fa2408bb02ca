"""Learning to learn: MAML, Reptile and prototypes over few-shot episodes.

An episode is a tiny classification problem: N classes (ways), k labelled examples of each (shots: the support set)
and some examples to be judged on (the query set).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from transferlib.errors import UserError
from transferlib.tensors import class_numbers


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


def prototypes(support: Tensor, y: Tensor, ways: int) -> Tensor:
    """The mean of each class's support vectors: (S, D), (S,) → (ways, D). Raises ``UserError`` for an empty class.

    >>> prototypes(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 0, 1]), ways=2)
    tensor([[1., 0.],
            [0., 3.]])
    """
    y = class_numbers(y, len(support), what="support labels")
    counts = torch.bincount(y, minlength=ways)
    if len(counts) > ways or (counts == 0).any():
        wrong = f"class {ways} or above" if len(counts) > ways else f"no example of class {int(counts.argmin())}"
        raise UserError(f"The support set of a {ways}-way episode has {wrong}: give every class 0 … {ways - 1} a shot.")
    return support.new_zeros(ways, support.shape[1]).index_add(0, y, support) / counts[:, None].to(support)


def prototypical_loss(support: Tensor, support_y: Tensor, query: Tensor, query_y: Tensor, ways: int) -> Tensor:
    """Cross-entropy over −‖query − prototype‖²: mean_q −log softmax_c(−d²(q, c))[y_q], a scalar.

    ``support`` (S, D), ``query`` (Q, D) embeddings. Raises ``UserError`` when a class has no support, and for labels
    that are no class numbers below ``ways``. Snell et al. 2017, arXiv:1703.05175, equation 2.

    >>> support, query = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5]])  # as far from one class as from the other
    >>> prototypical_loss(support, torch.tensor([0, 1]), query, torch.tensor([0]), ways=2)
    tensor(0.6931)
    """
    distance = (query[:, None] - prototypes(support, support_y, ways)).square().sum(2)  # (Q, 1, D) − (C, D) → (Q, C)
    return F.cross_entropy(-distance, class_numbers(query_y, len(query), ways, "query labels"))


def _forward(model: nn.Module, weights: Mapping[str, Tensor], x: Tensor, what: str) -> Tensor:
    try:
        return functional_call(model, dict(weights), (x,))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"The {what} set holds {len(x)} example, of which BatchNorm in train mode has no variance: give at least "
            "2, call model.eval(), or use GroupNorm."
        ) from error


def maml_adapt(
    model: nn.Module, x: Tensor, y: Tensor, lr: float, steps: int, *, first_order: bool = False
) -> dict[str, Tensor]:
    """φ ← φ − lr · ∇ L_support(φ), ``steps`` times from φ = θ, the model's own weights; θ itself does not change.

    Returns φ, every parameter and buffer by name, for ``functional_call(model, φ, x)``. Unless ``first_order``, φ stays
    differentiable in θ through the steps. Buffers are copies: no episode leaves its BatchNorm statistics behind.
    A parameter that the loss does not reach stays as it is. Raises ``UserError`` for steps < 0, for lr ≤ 0, for a label
    outside the model's outputs, for a model of which nothing may move, and for one example under BatchNorm.

    Finn et al. 2017, arXiv:1703.03400, algorithm 1.

    >>> model, x, y = nn.Linear(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> fast = maml_adapt(model, x, y, lr=1.0, steps=50)
    >>> functional_call(model, fast, (x,)).argmax(1)
    tensor([0, 1])
    """
    if steps < 0 or not lr > 0:
        raise UserError(f"The inner loop got steps = {steps} and lr = {lr}: use steps ≥ 0 and lr > 0.")
    fixed = {n: b.clone() for n, b in model.named_buffers()}
    fixed |= {n: p for n, p in model.named_parameters() if not p.requires_grad}
    fast: dict[str, Tensor] = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if steps and not fast:
        raise UserError("Every parameter of the model is frozen: unfreeze what the inner loop shall adapt.")
    y = class_numbers(y, len(x), what="support labels")
    for _ in range(steps):
        logits = _forward(model, {**fast, **fixed}, x, "support")
        if int(y.max()) >= logits.shape[1]:
            raise UserError(f"Label {int(y.max())} in the support set, but the model has {logits.shape[1]} outputs.")
        loss = F.cross_entropy(logits, y)
        # A spare parameter, such as a head that is not called, has no gradient.
        grads = torch.autograd.grad(loss, list(fast.values()), create_graph=not first_order, allow_unused=True)
        fast = {n: p if g is None else p - lr * g for (n, p), g in zip(fast.items(), grads, strict=True)}
    return {**fast, **fixed}


def maml_loss(
    model: nn.Module, tasks: Sequence[Episode], lr: float, steps: int, *, first_order: bool = False
) -> Tensor:
    """Mean over tasks of the query loss at the adapted weights φ(θ), a scalar whose gradient is MAML's.

    A plain loop over tasks: mapping it with vmap gives wrong second-order gradients with affine BatchNorm and saves
    no time on a CPU. In train mode BatchNorm uses the query batch's own statistics (transductive).
    Raises ``UserError`` for no task, and as :func:`maml_adapt`.

    >>> x, y = torch.randn(2, 3), torch.tensor([0, 1])
    >>> model = nn.Linear(3, 2)
    >>> maml_loss(model, [Episode(x, y, x, y)], lr=0.1, steps=2).backward()
    >>> model.weight.grad.shape
    torch.Size([2, 3])
    """
    if not tasks:
        raise UserError("MAML was given no task: pass at least one episode.")
    losses = []
    for task in tasks:
        fast = maml_adapt(model, task.support_x, task.support_y, lr, steps, first_order=first_order)
        logits = _forward(model, fast, task.query_x, "query")
        losses.append(
            F.cross_entropy(logits, class_numbers(task.query_y, len(logits), logits.shape[1], "query labels"))
        )
    return torch.stack(losses).mean()


@torch.no_grad()
def reptile_step(model: nn.Module, adapted: Sequence[Mapping[str, Tensor]], step: float) -> None:
    """θ ← θ + step · (mean_k φ_k − θ), in place: walk towards the weights that the inner loops found.

    ``adapted`` are results of ``maml_adapt(..., first_order=True)``. Raises ``UserError`` for none, and for those of
    another model. Nichol et al. 2018, arXiv:1803.02999, the batched version.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> reptile_step(model, [{"weight": torch.tensor([[2.0]])}, {"weight": torch.tensor([[4.0]])}], step=1.0)
    >>> model.weight.item()
    3.0
    """
    if not adapted:
        raise UserError("Reptile was given no adapted weights: pass at least one result of maml_adapt.")
    own = {name: p for name, p in model.named_parameters()}
    if odd := [n for n, p in own.items() for fast in adapted if n not in fast or fast[n].shape != p.shape]:
        raise UserError(f"The adapted weights have no {odd[0]!r} of the model's shape: adapt this very model.")
    for name, p in own.items():
        p.add_(torch.stack([fast[name] for fast in adapted]).mean(0) - p, alpha=step)
