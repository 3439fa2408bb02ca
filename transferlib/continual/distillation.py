"""Learning without forgetting: on the *new* inputs, the network keeps the answers that it used to give.

No old example is needed. Before training, the old network's scores on the new inputs are written down; while training,
``distillation`` pulls the moving network's old head towards them.
"""

import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError


def distillation(scores: Tensor, remembered: Tensor, temperature: float = 2.0) -> Tensor:
    """T² · mean_n KL(softmax(remembered_n / T) ‖ softmax(scores_n / T)), a scalar to add to the new job's loss.

    It is 0, and so is its gradient, where the two give the same probabilities. Li & Hoiem minimise the cross-entropy
    instead: it differs by the entropy of what was remembered, which no weight changes. A temperature T above 1 lets
    small probabilities count; T² keeps the size of the gradient about the same (Hinton et al. 2015).

    Arguments: ``scores`` (N, C), the moving network's logits; ``remembered`` (N, C), the old network's, through which
    no gradient flows; ``temperature`` T > 0, 2 in the paper.

    Raises:
        UserError: other shapes than two equal (N, C) with N ≥ 1 and C ≥ 2, or a temperature that is not above 0.

    Li & Hoiem 2016, arXiv:1606.09282, equations 2 and 3; Hinton, Vinyals & Dean 2015, arXiv:1503.02531.

    >>> import torch
    >>> old = torch.tensor([[2.0, 0.0]])
    >>> distillation(old, old).item()
    0.0
    >>> round(distillation(torch.zeros(1, 2), old, temperature=1.0).item(), 3)  # ln 2 − 0.365, the entropy of q
    0.328
    """
    if scores.dim() != 2 or scores.shape != remembered.shape or len(scores) == 0 or scores.shape[1] < 2:
        raise UserError(
            f"The scores are {tuple(scores.shape)} and the remembered ones {tuple(remembered.shape)}: give two tables "
            "(N, C) of one shape, with the same examples and the same C ≥ 2 old classes."
        )
    if not temperature > 0:
        raise UserError(f"temperature = {temperature} is not possible: use a number above 0, such as 2.")
    logp = F.log_softmax(scores / temperature, dim=1)  # (N, C)
    logq = F.log_softmax(remembered.detach() / temperature, dim=1)  # (N, C)
    return temperature**2 * (logq.exp() * (logq - logp)).sum(1).mean()  # (N, C) → (N,) → scalar
