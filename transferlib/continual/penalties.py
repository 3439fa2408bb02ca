"""Penalties that keep a model near what it knew: L2-SP and EWC, one spring per weight.

``quadratic(model, anchor, stiffness, lam)`` = λ/2 · Σ_i s_i (θ_i − θ*_i)². The methods differ in the stiffness s_i.
Add the penalty to the new task's *mean* loss. Several old tasks: add one penalty for each, as ``SequentialEWC`` does.
"""

import torch
from torch import Tensor, nn

from transferlib.continual.per_example import trainable, wide
from transferlib.continual.springs import Weights, fast_quadratic, grown, leading, springs
from transferlib.errors import UserError


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the trainable parameters, {name: tensor}: the θ* of every penalty here, never an alias.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> star = snapshot(model)
    >>> _ = model.weight.data.add_(1.0)
    >>> bool(star["weight"] == model.weight)
    False
    """
    return {name: p.detach().clone() for name, p in trainable(model).items()}


def _copied(weights: Weights, model: nn.Module) -> dict[str, Tensor]:
    params = dict(model.named_parameters())
    return {name: t.detach().to(params[name].device, copy=True) for name, t in weights.items()}


def quadratic(model: nn.Module, anchor: Weights, stiffness: Weights, lam: float) -> Tensor:
    """λ/2 · Σ_i s_i (θ_i − θ*_i)² over the names in ``stiffness``, a scalar. Other parameters are free.

    Frozen weights are left out. Of a weight that has gained rows since (a head) the old ones are held.
    Raises ``UserError`` when all are frozen, and when a weight is gone or has changed in another way.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> anchor, stiffness = {"weight": model.weight.detach() - 2}, {"weight": torch.tensor([[3.0]])}
    >>> round(quadratic(model, anchor, stiffness, lam=10.0).item(), 3)  # 10/2 · 3 · 2²
    60.0
    """
    terms = [(s * (theta - old).square()).sum() for theta, old, s in springs(model, anchor, stiffness)]
    return lam / 2 * torch.stack(terms).sum()


class EWC:
    """Elastic weight consolidation: λ/2 · Σ_i F_i (θ_i − θ*_i)², with the paper's ½ (some libraries leave it out).

    Arguments: ``fisher`` from ``fisher(...)``, a mean over examples; ``theta_star`` from ``snapshot(model)`` after
    the old task. Both are copied: ``model.state_dict()`` will do. With a mean loss over N_new examples,
    λ = N_old / N_new is the Bayesian posterior's Laplace approximation. A head may grow: new outputs, after the old
    ones, are free. Raises ``UserError`` for λ < 0, for names or shapes that do not fit the model, and for a Fisher
    or a θ* that is not finite, or a Fisher below 0.

    >>> model = nn.Linear(2, 1)
    >>> ewc = EWC(model, {"bias": torch.tensor([3.0])}, snapshot(model), lam=10.0)
    >>> _ = model.bias.data.add_(2.0)
    >>> round(ewc.penalty(model).item(), 3)  # 10/2 · 3 · 2²
    60.0

    Kirkpatrick et al. 2017, PNAS 114, equation 3.
    """

    def __init__(self, model: nn.Module, fisher: Weights, theta_star: Weights, lam: float) -> None:
        checked(model, theta_star, fisher, lam, "EWC")
        self.fisher, self.lam = _copied(fisher, model), lam
        self.theta_star = _copied({n: theta_star[n] for n in fisher}, model)

    def penalty(self, model: nn.Module) -> Tensor:
        """λ/2 · Σ F (θ − θ*)², a scalar to add to the new task's loss: ``quadratic``, by its fast path."""
        return fast_quadratic(model, self.theta_star, self.fisher, self.lam)


class L2SP:
    """L2-SP: λ/2 · Σ_shared (θ − θ*)² + λ_new/2 · Σ_new θ²; parameters not in ``theta_star`` (a new head), and
    rows that one of them has gained since, are new.

    ``theta_star`` is copied: ``model.state_dict()`` will do, its buffers and frozen weights are passed over.
    Raises ``UserError`` as ``EWC`` does. Li et al. 2018, arXiv:1802.01483.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> l2sp = L2SP(model, model.state_dict(), lam=4.0)
    >>> _ = model.weight.data.add_(3.0)
    >>> round(l2sp.penalty(model).item(), 3)  # 4/2 · 3²
    18.0
    """

    def __init__(self, model: nn.Module, theta_star: Weights, lam: float, lam_new: float = 0.0) -> None:
        params = trainable(model)
        learned = {n: t for n, t in theta_star.items() if n in params or n not in model.state_dict()}
        held = {n: torch.ones_like(t) for n, t in learned.items()}
        checked(model, learned, held, lam, "L2SP")
        if not lam_new >= 0:
            raise UserError(f"L2SP got lam_new = {lam_new}: use lam_new ≥ 0.")
        nothing = {n: torch.zeros_like(p, dtype=wide(p)).detach() for n, p in params.items()}
        self.anchor = {n: grown(learned.get(n), t) for n, t in nothing.items()}
        self.scale = {
            n: grown(torch.full_like(learned[n], lam, dtype=wide(t)) if n in learned else None, t + lam_new)
            for n, t in nothing.items()
        }

    def penalty(self, model: nn.Module) -> Tensor:
        """The spring to the old weights and the weight decay of the new ones, a scalar."""
        return fast_quadratic(model, self.anchor, self.scale, 1.0)


def checked(model: nn.Module, anchor: Weights, stiffness: Weights, lam: float, what: str) -> None:
    """Raises ``UserError`` where ``quadratic(model, anchor, stiffness, lam)`` would be no spring on this model."""
    if not lam >= 0:
        raise UserError(f"{what} got lam = {lam}: a penalty pushes the weights away when lam < 0; use lam ≥ 0.")
    params = trainable(model)
    for name, s in stiffness.items():
        if name not in params or name not in anchor:
            where = "theta_star" if name in params else "the model's trainable parameters"
            raise UserError(f"{what} measured {name!r}, which is not among {where}: measure it on this same model.")
        leading(params, name, s)
        if anchor[name].shape != s.shape:
            shapes = f"{tuple(s.shape)} and, in theta_star, {tuple(anchor[name].shape)}"
            raise UserError(f"{what}: the shapes of {name!r} differ: {shapes}; measure both on the same model.")
        if not (s.isfinite().all() and anchor[name].isfinite().all() and (s >= 0).all()):
            raise UserError(f"{what}: {name!r} holds NaN, an infinity or a stiffness below 0: measure it again.")
    if not stiffness:
        raise UserError(f"{what} was given no weights to hold: measure the model before building the penalty.")
