"""GradNorm: weights that let every task pull at the trunk about equally hard, and slow tasks harder.

Chen et al. 2018, arXiv:1711.02257, algorithm 1.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from transferlib.errors import UserError
from transferlib.multitask.gradients import task_gradients
from transferlib.multitask.losses import checked
from transferlib.tensors import several


class GradNorm:
    """Weights w_i that give every task a gradient of similar size at the last shared layer W.

    G_i = ‖∇_W w_i L_i‖ is drawn to mean(G) · (r_i / mean(r))^α, where r_i = L_i / L_i(0) is what is left of the task's
    first loss: slow tasks get more. The weights stay positive and sum to the number of tasks. One step::

        total = norm.update(losses, trunk[-1].weight); total.backward(); optimiser.step()

    Arguments: ``tasks`` names; ``alpha`` ≥ 0 (0 equalises the norms); ``lr`` of the weights' own Adam; ``shape`` of a
    loss: () for one network, (S,) for S networks side by side, whose W has S first.

    >>> norm, w = GradNorm(["a", "b"], alpha=0.0, lr=0.1), torch.ones(2, requires_grad=True)
    >>> norm.update({"a": w.sum(), "b": 9 * w.sum()}, w).item()  # both weights are 1 in the first step
    20.0
    >>> bool(norm.weights["a"] > 1 > norm.weights["b"])  # the task with the small gradient gets more
    True

    Raises:
        UserError: α < 0, an unknown task, a first loss that is not positive, a loss that is negative, not finite, of
            another shape, or does not reach W.
    """

    def __init__(self, tasks: Sequence[str], alpha: float = 1.5, lr: float = 0.025, shape: Sequence[int] = ()) -> None:
        if not alpha >= 0:
            raise UserError(f"GradNorm got alpha = {alpha}: use alpha ≥ 0; 0 makes all gradient norms equal.")
        self.alpha, self.shape, self.first = alpha, tuple(shape), dict[str, Tensor]()
        self.weights = {
            task: torch.ones(self.shape, dtype=torch.float32, device="cpu", requires_grad=True)
            for task in several("tasks", tasks)
        }
        self._optimiser = torch.optim.Adam(self.weights.values(), lr=lr)

    def update(self, losses: Mapping[str, Tensor], shared: Tensor) -> Tensor:
        """Move the weights by one step and return Σ w_i L_i with the weights of before it, of ``shape``.

        ``losses`` {task: loss of ``shape``}, those of this batch; L_i(0) is that of the first batch that holds task i.
        ``shared`` the weight of the last layer all tasks use.
        """
        checked(losses, self.weights, self.shape)
        now = {task: loss.detach() for task, loss in losses.items()}
        for task, loss in now.items():
            if (odd := loss[~(loss >= 0) | loss.isinf()]).numel():
                raise UserError(f"The loss of task {task!r} is {odd[0].item()}: GradNorm needs finite losses ≥ 0.")
            if not (first := self.first.get(task, loss)).all():
                raise UserError(f"The first loss of task {task!r} is {first.min()}: GradNorm needs a positive one.")
        # ‖∇ w L‖ = w ‖∇ L‖ for w > 0, so the weight's gradient needs no second derivative of the network.
        pulls = dict(zip(losses, task_gradients(losses, [shared]).norm(dim=-1).unbind(-1), strict=True))
        total = torch.stack(
            [self.weights[t].detach().clone().to(loss.device) * loss for t, loss in losses.items()]
        ).sum(0)
        left = {t: loss / self.first.setdefault(t, loss.clone()) for t, loss in now.items()}
        norms = {task: self.weights[task] * pull.to("cpu") for task, pull in pulls.items()}
        average = torch.stack(list(norms.values())).mean(0).detach()
        pace = torch.stack(list(left.values())).mean(0)
        pace = torch.where(pace > 0, pace, 1)  # every loss may be 0
        gaps = [(norm - average * (left[t] / pace).to("cpu") ** self.alpha).abs() for t, norm in norms.items()]
        self._optimiser.zero_grad()
        torch.stack(gaps).sum().backward()
        self._optimiser.step()
        with torch.no_grad():
            for weight in self.weights.values():
                weight.clamp_(min=1e-4)
            scale = len(self.weights) / torch.stack(list(self.weights.values())).sum(0)
            for weight in self.weights.values():
                weight.mul_(scale)
        return total
