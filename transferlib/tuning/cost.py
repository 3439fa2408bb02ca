"""What training costs besides time: the numbers that move, the memory of a step, the bytes kept per task."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.freezing import moving
from transferlib.backbones.modules import count_parameters
from transferlib.tensors import class_numbers


def trainable(model: nn.Module) -> int:
    """How many parameters may move.

    >>> trainable(nn.Linear(3, 2))
    8
    """
    return count_parameters(model)[0]


def task_bytes(model: nn.Module) -> int:
    """Bytes to store for a task beside the shared backbone: what may move, in the precision it has.

    Running statistics of BatchNorm that are live move too and are counted.

    >>> task_bytes(nn.Linear(3, 2)), task_bytes(nn.Linear(3, 2).requires_grad_(False))  # 8 numbers of 4 bytes
    (32, 0)
    """
    return sum(t.numel() * t.element_size() for t in moving(model).values())


def step_bytes(model: nn.Module, x: Tensor, y: Tensor) -> int:
    """Bytes that one AdamW step on (x, y) holds: weights, activations kept for going back, gradients, averages.

    Activations are counted as autograd saves them, each storage once. Gradients are as large as the weights
    that move, and Adam keeps two running averages of that size. What a library sets aside while it computes
    is not counted. Raises ``UserError`` for labels that are no class numbers.

    >>> model = nn.Linear(3, 2)
    >>> step_bytes(model, torch.zeros(4, 3), torch.tensor([0, 1, 0, 1])) > 4 * task_bytes(model)  # and activations
    True
    """
    y = class_numbers(y, len(x))
    weights = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    saved: dict[int, Tensor] = {}  # the tensors are kept, so that no storage is handed out twice

    def keep(tensor: Tensor) -> Tensor:
        if (at := tensor.untyped_storage().data_ptr()) not in weights:
            saved[at] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        F.cross_entropy(model(x), y)
    activations = sum(t.untyped_storage().nbytes() for t in saved.values())
    moving = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return sum(p.numel() * p.element_size() for p in model.parameters()) + activations + 3 * moving
