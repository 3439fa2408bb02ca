"""Proximal policy optimisation: several passes over the same answers, and a step that may not go far."""

import torch
from torch import Tensor

from transferlib.errors import UserError
from transferlib.preference.shapes import for_each, shaped


def ppo_loss(new: Tensor, old: Tensor, advantage: Tensor, mask: Tensor, clip: float = 0.2) -> Tensor:
    """Mean over answer tokens of −min(ρ A, clamp(ρ, 1 − clip, 1 + clip) A), ρ = π_new / π_old: a scalar.

    ``new``, ``old`` ``token_log_probs`` (B, L); ``advantage`` (B,) of the whole answer or (B, L) of each token.
    Raises ``UserError`` for clip ≤ 0 and for a mask without tokens. Schulman et al. 2017, arXiv:1707.06347, eq. 7.

    >>> old, mask = torch.tensor([[0.0, -1.0]]), torch.tensor([[0, 1]])
    >>> ppo_loss(old + torch.tensor([[0.0, 0.5]]), old, torch.tensor([1.0]), mask)  # ρ = 1.65 is cut to 1.2
    tensor(-1.2000)
    """
    if not clip > 0:
        raise UserError(f"PPO got clip = {clip}: use clip > 0; 0.2 is the paper's.")
    if not mask.any():
        raise UserError("PPO got no answer token: the mask is 0 everywhere; generate at least one token.")
    shaped(old=(old, tuple(new.shape)))
    mask = for_each(mask, tuple(new.shape))
    a = advantage[:, None] if advantage.dim() == 1 else advantage  # (B,) → (B, 1)
    if tuple(a.shape) not in ((len(new), 1), tuple(new.shape)):
        raise UserError(f"The advantage has shape {tuple(advantage.shape)}: ({len(new)},) or {tuple(new.shape)} fits.")
    ratio = (new - old.detach()).masked_fill(mask == 0, 0).exp()  # (B, L); what is masked may be banned: −inf − −inf
    objective = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    return -(objective * mask).sum() / mask.sum()
