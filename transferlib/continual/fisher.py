"""The diagonal Fisher information: how much each weight matters to what a classifier says.

F_i = 1/N Σ_n E_y [(∂ log p(y | x_n) / ∂θ_i)²]. The square is taken *per example*, before any mean: the square of a
mini-batch's mean gradient is another quantity, which shrinks as the batch grows (``wrong_batched_fisher``).
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.continual.per_example import mean, per_sample_sum, tensor_of, trainable, wide
from transferlib.errors import UserError, nearest

Data = Tensor | tuple[Tensor, Tensor]


def fisher(
    model: nn.Module,
    data: Data,
    labels: str = "exact",
    *,
    samples: int = 1,
    seed: int = 0,
    columns: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """The diagonal Fisher of a classifier in eval mode, a mean over the N examples of per-example squares.

    F_i = 1/N Σ_n Σ_y q(y | x_n) · (∂ log p(y | x_n) / ∂θ_i)², where q depends on ``labels``:
    ``"exact"`` takes q = p, the model's own probabilities, over all C classes (C backward passes);
    ``"sample"`` draws ``samples`` labels from p with ``seed``; ``"empirical"`` takes the true label only.

    Arguments: ``data`` x (N, …) or (x, y) with y (N,); only "empirical" reads y. ``columns``: the logits that
    belong to the task, where the model has several heads; y then counts positions in ``columns``.
    A model that answers with an object that has ``logits`` will do. Returns {name: tensor shaped as the parameter},
    float32 where the model is in half precision. ``fast_fisher`` is the same for many examples.

    >>> model = nn.Linear(2, 3)
    >>> importance = fisher(model, torch.randn(8, 2))
    >>> {name: tuple(f.shape) for name, f in importance.items()}
    {'weight': (3, 2), 'bias': (3,)}

    Raises:
        UserError: unknown ``labels``; no data; no trainable parameter; no y; a y outside the model's classes; outputs
            that are not (N, C) with C ≥ 2; a Fisher that is not finite.

    Kirkpatrick et al. 2017, PNAS 114; Kunstner et al. 2019, arXiv:1905.12558 on the empirical one.
    """
    x, y = _checked(data, labels, samples)
    params, generator = trainable(model), torch.Generator().manual_seed(seed)
    total = {name: torch.zeros_like(p, dtype=wide(p)) for name, p in params.items()}
    with modes_kept(model), torch.enable_grad():
        model.eval()
        for n in range(len(x)):
            logp = _log_p(model(x[n : n + 1]), columns)  # (1, C)
            q = _weights(logp.detach().exp(), labels, y, n, samples, generator)[0]  # (C,)
            for c in q.nonzero().flatten():
                grads = torch.autograd.grad(
                    logp[0, c], list(params.values()), retain_graph=True, materialize_grads=True, allow_unused=True
                )
                for name, g in zip(params, grads, strict=True):
                    total[name] += q[c] * g.to(total[name]).square()
    return mean(total, len(x), "Fisher")


def fast_fisher(
    model: nn.Module,
    data: Data,
    labels: str = "exact",
    *,
    samples: int = 1,
    seed: int = 0,
    columns: Sequence[int] | None = None,
    batch_size: int = 128,
) -> dict[str, Tensor]:
    """``fisher``, a batch at a time where every trainable weight sits in a linear layer; elsewhere no faster.

    Arguments, result and errors are those of ``fisher``; ``batch_size`` changes the memory used, not the result.

    >>> model, x = nn.Linear(2, 3), torch.randn(8, 2)
    >>> bool(torch.allclose(fast_fisher(model, x)["weight"], fisher(model, x)["weight"], rtol=1e-4))
    True
    """
    x, y = _checked(data, labels, samples)
    generator = torch.Generator().manual_seed(seed)

    def losses(logits: Tensor, start: int) -> Iterator[Tensor]:
        logp = _log_p(logits, columns)  # (B, C)
        p = logp.detach().exp()
        if labels == "exact":
            for c in range(logp.shape[1]):
                yield p[:, c].sqrt() * logp[:, c]  # squaring the gradient turns √p into the weight p
        elif labels == "sample":
            drawn = _drawn(p, samples, generator)
            for s in range(samples):
                yield logp.gather(1, drawn[:, s : s + 1]).squeeze(1) / samples**0.5  # (B, 1) → (B,)
        else:
            yield -F.nll_loss(logp, _known(y, logp)[start : start + len(logp)], reduction="none")

    total = per_sample_sum(model, x, losses, torch.square, batch_size)
    return mean(total, len(x), "Fisher")


def wrong_batched_fisher(
    model: nn.Module, data: tuple[Tensor, Tensor], batch_size: int, columns: Sequence[int] | None = None
) -> dict[str, Tensor]:
    """For teaching only: the square of each mini-batch's *mean* gradient, as several libraries compute it.

    With N examples near an optimum it is smaller than the empirical Fisher by about ``batch_size``, so
    that a λ tuned with it depends on the batch size. ``columns`` and errors as in ``fisher``.

    >>> model, data = nn.Linear(2, 3), (torch.randn(64, 2), torch.randint(3, (64,)))
    >>> bool(wrong_batched_fisher(model, data, 64)["bias"].sum() < fisher(model, data, "empirical")["bias"].sum())
    True
    """
    x, y = _checked(data, "empirical", 1)
    assert y is not None
    params = trainable(model)
    total = {name: torch.zeros_like(p, dtype=wide(p)) for name, p in params.items()}
    parts = list(zip(x.split(batch_size), y.split(batch_size), strict=True))
    with modes_kept(model), torch.enable_grad():
        model.eval()
        for xb, yb in parts:
            loss = F.nll_loss(_log_p(model(xb), columns), yb)
            grads = torch.autograd.grad(loss, list(params.values()), materialize_grads=True, allow_unused=True)
            for name, g in zip(params, grads, strict=True):
                total[name] += g.to(total[name]).square() / len(parts)
    return mean(total, 1, "Fisher")


def _checked(data: Data, labels: str, samples: int) -> tuple[Tensor, Tensor | None]:
    x, y = data if isinstance(data, tuple) else (data, None)
    if labels not in ("exact", "sample", "empirical"):
        raise UserError(f"Unknown labels={labels!r}: {nearest(labels, ['exact', 'sample', 'empirical'])}")
    if labels == "empirical" and y is None:
        raise UserError("labels='empirical' needs the true labels: pass data=(x, y) or use labels='exact'.")
    if samples < 1:
        raise UserError(f"samples = {samples} draws no label: use samples ≥ 1.")
    if not isinstance(x, Tensor):
        raise UserError(f"The examples are a {type(x).__name__}: pass a tensor x (N, …), or a pair (x, y).")
    if len(x) == 0:
        raise UserError("There is no example to measure on: pass at least one row of x.")
    if labels != "empirical" or y is None:
        return x, None
    if y.shape != (len(x),) or y.is_floating_point():
        raise UserError(f"y is {y.dtype} of shape {tuple(y.shape)}: give each of the {len(x)} examples a class number.")
    return x, y.long()


def _log_p(out: object, columns: Sequence[int] | None) -> Tensor:
    logits = tensor_of(out)
    if logits.dim() == 2 and columns is not None:
        logits = logits[:, list(columns)]
    if logits.dim() != 2 or logits.shape[1] < 2:
        raise UserError(f"The outputs are {tuple(logits.shape)}: a Fisher needs logits (N, C) of C ≥ 2 classes.")
    return F.log_softmax(logits, dim=1)  # (B, C)


def _weights(p: Tensor, labels: str, y: Tensor | None, n: int, samples: int, generator: torch.Generator) -> Tensor:
    """q(y | x): how much the square of each label counts, from the probabilities p (1, C) of example n."""
    if labels == "exact":
        return p
    asked = _drawn(p, samples, generator) if labels == "sample" else _known(y, p)[n : n + 1, None]  # (1, S)
    return F.one_hot(asked, p.shape[1]).to(p).mean(1)  # (1, S, C) → (1, C)


def _drawn(p: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    return torch.multinomial(p.cpu(), samples, replacement=True, generator=generator).to(p.device)  # (B, S)


def _known(y: Tensor | None, logp: Tensor) -> Tensor:
    assert y is not None
    if int(y.min()) < 0 or int(y.max()) >= logp.shape[1]:
        raise UserError(
            f"The labels run from {int(y.min())} to {int(y.max())}, but the model knows {logp.shape[1]} "
            "classes: give it an output for every class before measuring the Fisher."
        )
    return y
