"""Direct preference optimisation: Bradley and Terry's loss on the reward that a policy implies."""

import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError
from transferlib.preference.shapes import four_log_probs


def dpo_loss(
    policy_chosen: Tensor, policy_rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, Tensor, Tensor]:
    """−log σ(β (log π/π_ref of the chosen − log π/π_ref of the rejected)): losses (B,) and both implied rewards (B,).

    All inputs are ``sequence_log_probs`` (B,). The implied reward of an answer is β log π/π_ref; at the optimum
    π ∝ π_ref exp(r/β). Raises ``UserError`` for no pair and for β ≤ 0. Rafailov et al. 2023, arXiv:2305.18290, eq. 7.

    >>> import torch
    >>> before, after = torch.tensor([-4.0]), torch.tensor([-3.0])  # the chosen answer has become likelier
    >>> dpo_loss(after, before, before, before, beta=0.5)
    (tensor([0.4741]), tensor([0.5000]), tensor([0.]))
    """
    four_log_probs(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    if not beta > 0:
        raise UserError(f"DPO got beta = {beta}: use beta > 0; a smaller one lets the policy move further.")
    chosen = beta * (policy_chosen - ref_chosen)
    rejected = beta * (policy_rejected - ref_rejected)
    return -F.logsigmoid(chosen - rejected), chosen.detach(), rejected.detach()
