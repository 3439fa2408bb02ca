"""Dark experience replay (DER++): remember what the network answered, beside the right label."""

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.continual.rehearsal import Rehearsal
from transferlib.continual.tasks import Task
from transferlib.errors import UserError


def dark_loss(logits: Tensor, kept: Tensor, open_then: Tensor) -> Tensor:
    """The mean squared distance of logits (B, C) from the ``kept`` ones, over the outputs ``open_then`` (B, C) of bool.

    >>> dark_loss(torch.tensor([[1.0, 9.0]]), torch.tensor([[3.0, 0.0]]), torch.tensor([[True, False]]))
    tensor(4.)
    """
    return (logits - kept)[open_then].square().mean()


class DarkReplay(Rehearsal):
    """DER++: L_new + α · mean (z − z_kept)² + β · L_memory, on ``batch`` remembered examples.

    z_kept are the logits that the network gave when the example's task ended; the outputs that were open then are held.
    The paper keeps logits from along the way and draws two batches from memory; here one batch serves both terms.
    ``capacity``, ``batch``, ``seed``: those of ``Rehearsal``. Raises ``UserError`` for α or β below 0.

    Buzzega et al. 2020, arXiv:2004.07211, equation 6.

    >>> DarkReplay(nn.Linear(2, 3), alpha=0.5).beta
    1.0
    """

    def __init__(
        self, model: nn.Module, alpha: float, beta: float = 1.0, capacity: int | None = 100, batch: int = 32,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(model, capacity, batch, seed)
        if not alpha >= 0 or not beta >= 0:
            raise UserError(f"DarkReplay got alpha = {alpha} and beta = {beta}: use numbers ≥ 0.")
        self.alpha, self.beta, self.then = alpha, beta, list[tuple[int, ...]]()

    def begin(self, task: Task) -> None:
        """Open the task's outputs; its own loss counts in full."""
        super().begin(task)
        self.then.append(task.columns)
        self.weight = 1.0

    def penalty(self, model: nn.Module) -> Tensor:
        """α times the distance from the kept answers, and β times the mean loss; 0 during the first task."""
        if len(self.open) < 2:
            return super(Rehearsal, self).penalty(model)
        x, notes = self.memory.sample(self.batch)
        y, k = notes[:, :2].long().unbind(1)  # (B, 2 + C) → label, task
        logits = model(x)
        open_then = torch.zeros(len(self.then), logits.shape[1], dtype=torch.bool, device=logits.device)
        for task, columns in enumerate(self.then):
            open_then[task, list(columns)] = True
        held = dark_loss(logits, notes[:, 2:], open_then[k])
        return self.alpha * held + self.beta * self.loss(logits, y, k)

    @torch.no_grad()
    def end(self, task: Task, some: Tensor) -> None:
        """Offer the task's examples to the memory: label, task number and the answers of the network as it is now."""
        with modes_kept(self.model):
            self.model.eval()
            logits = self.model(task.x)  # (N, C)
        number = torch.full_like(task.y, len(self.open) - 1)
        self.memory.add(task.x, torch.cat([torch.stack([task.y, number], dim=1).to(logits), logits], dim=1))
