"""Identity preference optimisation: a finite step for each pair, also where every pair is ranked one way."""

from torch import Tensor

from transferlib.errors import UserError
from transferlib.preference.shapes import four_log_probs


def ipo_loss(
    policy_chosen: Tensor, policy_rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, tau: float
) -> Tensor:
    """(h − 1 / (2τ))², h = log π/π_ref of the chosen − log π/π_ref of the rejected: losses (B,).

    All inputs are ``sequence_log_probs`` (B,). Over pairs drawn from μ, the optimum is π ∝ π_ref exp(p(y ≻ μ) / τ),
    with p(y ≻ μ) how often y wins against an answer of μ. So no ratio π/π_ref can exceed another by more than e^(1/τ),
    whereas DPO asks for an infinite one when a pair always goes one way. Raises ``UserError`` for no pair and for
    τ ≤ 0. Azar et al. 2023, arXiv:2310.12036, eq. 17.

    >>> import torch
    >>> before, after = torch.tensor([-4.0]), torch.tensor([-3.0])
    >>> ipo_loss(after, before, before, before, tau=0.5)  # h = 1 is what τ = 0.5 asks for
    tensor([0.])
    """
    four_log_probs(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    if not tau > 0:
        raise UserError(f"IPO got tau = {tau}: use tau > 0; a smaller one lets the policy move further.")
    return ((policy_chosen - ref_chosen) - (policy_rejected - ref_rejected) - 1 / (2 * tau)).square()
