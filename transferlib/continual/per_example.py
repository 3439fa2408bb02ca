"""The fast path of ``fast_fisher`` and ``fast_mas_importance``: sums over examples, a function of each gradient."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.errors import UserError

Losses = Callable[[Tensor, int], Iterator[Tensor]]  # (outputs (B, …), first row) → per-example losses (B,)
Transform = Callable[[Tensor], Tensor]


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that an optimiser would change, by name. Raises ``UserError`` when there are none."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise UserError("The model has no trainable parameters: set requires_grad_(True) on what you want to measure.")
    return found


def wide(p: Tensor) -> torch.dtype:
    """The type that sums over examples are kept in: float32 for half precision, where they would stall."""
    return torch.promote_types(p.dtype, torch.float32)


def tensor_of(out: object) -> Tensor:
    """A model's output, or the ``logits`` of an output object. Raises ``UserError`` where there is no tensor."""
    found = out if isinstance(out, Tensor) else getattr(out, "logits", None)
    if not isinstance(found, Tensor):
        raise UserError(
            f"The model answers with a {type(out).__name__}, not a tensor: wrap it in a module that returns its logits."
        )
    return found


def mean(total: dict[str, Tensor], n: int, what: str) -> dict[str, Tensor]:
    """Sums over n examples → means. Raises ``UserError`` when one is not finite."""
    for name, value in total.items():
        if not value.isfinite().all():
            raise UserError(f"The {what} of {name!r} is not finite: look for NaN in x and in the weights.")
    return {name: value / n for name, value in total.items()}


def per_sample_sum(
    model: nn.Module, x: Tensor, losses: Losses, transform: Transform, batch_size: int = 128
) -> dict[str, Tensor]:
    """Σ_n Σ_k transform(∂ loss_k(x_n) / ∂θ), in eval mode, for a multiplicative ``transform`` (square, abs).

    A linear layer's gradient for one example is the outer product g aᵀ of the gradient g at its output and its
    input a. So Σ_n (g aᵀ)² = (g²)ᵀ (a²): one matrix product for the whole batch. Networks whose trainable
    parameters all sit in linear layers take that path; all others are differentiated one example at a time.

    Arguments: ``x`` (N, …); ``losses(outputs, start)`` yields per-example losses (B,) for rows start … start + B.
    Returns {name: tensor shaped as the parameter}, float32 for half precision. Raises ``UserError`` for no example, no
    trainable parameter, and a model that answers with neither a tensor nor an object with ``logits``.

    >>> model, x = nn.Linear(1, 1), torch.tensor([[2.0], [3.0]])
    >>> per_sample_sum(model, x, lambda out, start: iter([out.squeeze(1)]), torch.square)  # 2² + 3², 1 + 1
    {'weight': tensor([[13.]]), 'bias': tensor([2.])}
    """
    if len(x) == 0:
        raise UserError("There is no example to measure on: pass at least one row of x.")
    params = trainable(model)
    with modes_kept(model), torch.enable_grad():
        model.eval()
        total = _linear(model, params, x, losses, transform, batch_size)
        return total if total is not None else _loop(model, params, x, losses, transform)


def _loop(
    model: nn.Module, params: dict[str, nn.Parameter], x: Tensor, losses: Losses, transform: Transform
) -> dict[str, Tensor]:
    total = {name: torch.zeros_like(p, dtype=wide(p)) for name, p in params.items()}
    for n in range(len(x)):
        for loss in losses(tensor_of(model(x[n : n + 1])), n):
            grads = torch.autograd.grad(loss.sum(), list(params.values()), retain_graph=True, allow_unused=True)
            for name, g in zip(params, grads, strict=True):
                if g is not None:
                    total[name] += transform(g.to(wide(g)))
    return total


def _linear(
    model: nn.Module, params: dict[str, nn.Parameter], x: Tensor, losses: Losses, transform: Transform, batch_size: int
) -> dict[str, Tensor] | None:
    """The fast path, or None where it does not hold: other layers, tied weights, a layer used twice, sequences."""
    layers = {n: m for n, m in model.named_modules() if type(m) is nn.Linear}
    owned = [f"{n}.{leaf}" if n else leaf for n, m in layers.items() for leaf, _ in m.named_parameters(recurse=False)]
    live = {n: m for n, m in layers.items() if any(p.requires_grad for p in m.parameters())}
    if not set(params) <= set(owned) or not _explains(model, live, x[:4]):
        return None
    total = {name: torch.zeros_like(p, dtype=wide(p)) for name, p in params.items()}
    for start in range(0, len(x), batch_size):
        out, calls = _recorded(model, live, x[start : start + batch_size])
        if calls is None:
            return None
        outputs = [o for _, o in calls.values()]
        squared = [transform(a.to(wide(a))) for a, _ in calls.values()]  # (B, in)
        for loss in losses(out, start):
            at_outputs = torch.autograd.grad(loss.sum(), outputs, retain_graph=True, allow_unused=True)
            for name, a, g in zip(calls, squared, at_outputs, strict=True):
                if g is None:
                    continue
                weight, bias = f"{name}.weight".lstrip("."), f"{name}.bias".lstrip(".")
                h = transform(g.to(wide(g)))  # (B, out)
                if weight in total:
                    total[weight].addmm_(h.T, a)  # (out, B) @ (B, in)
                if bias in total:
                    total[bias] += h.sum(0)
    return total


def _recorded(
    model: nn.Module, live: dict[str, nn.Linear], x: Tensor
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]] | None]:
    """The model's outputs, and each layer's input and output; None unless each ran once, on rows, untouched since."""
    calls: dict[str, list[tuple[Tensor, Tensor, int]]] = {name: [] for name in live}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        return lambda module, args, out: calls[name].append((args[0].detach(), out, out._version))

    hooks = [m.register_forward_hook(keep(n)) for n, m in live.items()]
    try:
        out = tensor_of(model(x))
    finally:
        for hook in hooks:
            hook.remove()
    # A version that has moved on: the output was overwritten in place, and its gradient belongs to the new values.
    plain = all(len(c) == 1 and c[0][0].dim() == 2 and c[0][1]._version == c[0][2] for c in calls.values())
    return out, {name: c[0][:2] for name, c in calls.items()} if plain else None


def _explains(model: nn.Module, live: dict[str, nn.Linear], x: Tensor) -> bool:
    """Is Σ_n g aᵀ autograd's gradient, on a few rows? No: a weight is also used elsewhere, or outside of its layer.

    And is a row's output the same alone? No: the model mixes the rows of a batch.
    """
    together, alone = (torch.cat([tensor_of(model(rows)) for rows in x.split(size)]) for size in (len(x), 1))
    if (together - alone).norm() > 1e-3 * alone.norm():
        return False
    out, calls = _recorded(model, live, x)
    if calls is None:
        return False
    value = (out * torch.linspace(1, 2, out.numel(), device=out.device).view_as(out)).sum()
    outputs = [o for _, o in calls.values()]
    at_outputs = torch.autograd.grad(value, outputs, retain_graph=True, materialize_grads=True)
    for (name, (a, _)), g in zip(calls.items(), at_outputs, strict=True):
        ours = {live[name].weight: g.T @ a, live[name].bias: g.sum(0)}  # (out, B) @ (B, in), (out,)
        for parameter, mine in ours.items():
            if parameter is None or not parameter.requires_grad:
                continue
            (truth,) = torch.autograd.grad(value, parameter, retain_graph=True, materialize_grads=True)
            if (mine - truth).norm() > 1e-3 * truth.norm() + 1e-12:
                return False
    return True
