"""Several losses, one trunk: how to weigh them, and whether they pull in the same direction."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from transferlib.errors import UserError, nearest
from transferlib.tensors import several


def gradient_cosine(loss_a: Tensor, loss_b: Tensor, shared: Sequence[Tensor]) -> Tensor:
    """cos(∇L_a, ∇L_b) over the ``shared`` parameters, a scalar in −1..1; below 0 the tasks pull apart.

    Keeps the graph, so that the losses can still be minimised. Raises ``UserError`` when a loss does not reach them.

    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> gradient_cosine((w * torch.tensor([1.0, 0.0])).sum(), (w * torch.tensor([-3.0, 4.0])).sum(), [w])
    tensor(-0.6000)
    """
    flat = []
    for name, loss in (("first", loss_a), ("second", loss_b)):
        filled = [torch.zeros_like(p) if g is None else g for g, p in zip(_grads(loss, shared), shared, strict=True)]
        flat.append(torch.cat([g.flatten() for g in filled]))
        if not flat[-1].any():
            raise UserError(f"The {name} loss has no gradient at the shared parameters: pass the trunk both tasks use.")
    return torch.dot(flat[0], flat[1]) / (flat[0].norm() * flat[1].norm())


def _grads(loss: Tensor, shared: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """∇L of each shared parameter; None where the loss does not reach it, or has no graph at all."""
    if not loss.requires_grad:
        return [None for _ in shared]
    return torch.autograd.grad(loss, list(shared), retain_graph=True, allow_unused=True)


class UncertaintyWeights(nn.Module):
    """L = Σ_i L_i / (2σ_i²) + log σ_i for a regression, L_i / σ_i² + log σ_i for a classification, σ_i learned.

    ``log_var`` s_i = log σ_i² is what is trained, so σ stays positive. At the optimum σ_i² equals the regression's
    loss, and twice the classification's. Give ``log_var`` to the optimiser beside the model's parameters.

    Arguments: ``kinds`` {task: "classification" | "regression"}; a regression's loss is the squared error.
    Raises ``UserError`` for an unknown kind or task. Kendall et al. 2018, arXiv:1705.07115, equations 7 and 10.

    >>> weights = UncertaintyWeights({"group": "classification", "size": "regression"})
    >>> weights({"group": torch.tensor(2.0), "size": torch.tensor(4.0)}).item()  # σ = 1 at the start: 2 + 4 / 2
    4.0
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        super().__init__()
        for kind in kinds.values():
            if kind not in ("classification", "regression"):
                raise UserError(f"Unknown kind {kind!r}: {nearest(kind, ['classification', 'regression'])}")
        self.kinds = dict(kinds)
        self.log_var = nn.ParameterDict({task: nn.Parameter(torch.zeros((), dtype=torch.float32)) for task in kinds})

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """{task: scalar loss} → the weighted sum, a scalar. Tasks may be missing from a batch."""
        _known(losses, self.kinds)
        factor = {task: 0.5 if kind == "regression" else 1.0 for task, kind in self.kinds.items()}
        parts = [factor[t] * torch.exp(-self.log_var[t]) * loss + self.log_var[t] / 2 for t, loss in losses.items()]
        return torch.stack(parts).sum()


class GradNorm:
    """Weights w_i that give every task a gradient of similar size at the last shared layer W.

    G_i = ‖∇_W w_i L_i‖ is drawn to mean(G) · (r_i / mean(r))^α, where r_i = L_i / L_i(0) is what is left of the task's
    first loss: slow tasks get more. The weights stay positive and sum to the number of tasks. One step::

        total = norm.update(losses, trunk[-1].weight); total.backward(); optimiser.step()

    Arguments: ``tasks`` names; ``alpha`` ≥ 0 (0 equalises the norms); ``lr`` of the weights' own Adam.
    Raises ``UserError`` for α < 0, an unknown task, a first loss that is not positive, a loss that is negative, not
    finite or does not reach W. Chen et al. 2018, arXiv:1711.02257, algorithm 1.

    >>> norm, w = GradNorm(["a", "b"], alpha=0.0, lr=0.1), torch.ones(2, requires_grad=True)
    >>> norm.update({"a": w.sum(), "b": 9 * w.sum()}, w).item()  # both weights are 1 in the first step
    20.0
    >>> bool(norm.weights["a"] > 1 > norm.weights["b"])  # the task with the small gradient gets more
    True
    """

    def __init__(self, tasks: Sequence[str], alpha: float = 1.5, lr: float = 0.025) -> None:
        if not alpha >= 0:
            raise UserError(f"GradNorm got alpha = {alpha}: use alpha ≥ 0; 0 makes all gradient norms equal.")
        self.alpha, self.first = alpha, dict[str, float]()
        self.weights = {
            task: torch.ones((), dtype=torch.float32, device="cpu", requires_grad=True)
            for task in several("tasks", tasks)
        }
        self._optimiser = torch.optim.Adam(self.weights.values(), lr=lr)

    def update(self, losses: Mapping[str, Tensor], shared: Tensor) -> Tensor:
        """Move the weights by one step and return Σ w_i L_i with the weights of before it, a scalar.

        ``losses`` {task: scalar}, those of this batch; L_i(0) is the loss of the first batch that holds task i.
        ``shared`` the weight of the last layer all tasks use.
        """
        _known(losses, self.weights)
        for task, loss in losses.items():
            if not 0 <= loss.item() < float("inf"):
                raise UserError(f"The loss of task {task!r} is {loss.item()}: GradNorm needs finite losses ≥ 0.")
        total = torch.stack([self.weights[task].item() * loss for task, loss in losses.items()]).sum()
        norms, left = {}, {}
        for task, loss in losses.items():
            if not self.first.get(task, loss.item()) > 0:
                raise UserError(f"The first loss of task {task!r} is {loss.item()}: GradNorm needs a positive one.")
            # ‖∇ w L‖ = w ‖∇ L‖ for w > 0, so the weight's gradient needs no second derivative of the network.
            (g,) = _grads(loss, [shared])
            if g is None:
                raise UserError(f"The loss of task {task!r} does not reach the shared weight: pass one that it uses.")
            first = self.first.setdefault(task, loss.item())
            norms[task], left[task] = self.weights[task] * g.norm(), loss.item() / first
        average = torch.stack(list(norms.values())).mean().detach()
        pace = sum(left.values()) / len(left) or 1.0  # every loss may be 0
        gaps = [(norm - average * (left[task] / pace) ** self.alpha).abs() for task, norm in norms.items()]
        self._optimiser.zero_grad()
        torch.stack(gaps).sum().backward()
        self._optimiser.step()
        with torch.no_grad():
            for weight in self.weights.values():
                weight.clamp_(min=1e-4)
            scale = len(self.weights) / sum(float(w) for w in self.weights.values())
            for weight in self.weights.values():
                weight.mul_(scale)
        return total


def _known(losses: Mapping[str, Tensor], tasks: Mapping[str, object]) -> None:
    if not losses:
        raise UserError(f"No loss was given: pass at least one of {', '.join(tasks)}.")
    for task in losses:
        if task not in tasks:
            raise UserError(f"Unknown task {task!r}: {nearest(task, tasks)}")
        if losses[task].numel() != 1:
            raise UserError(
                f"The loss of task {task!r} has shape {tuple(losses[task].shape)}: pass its mean, a scalar."
            )
