"""Domain-adversarial training (DANN): features that a second head cannot tell the domain from."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.errors import UserError


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, strength: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return -ctx.strength * grad, None


def gradient_reversal(x: Tensor, strength: float) -> Tensor:
    """The identity forwards; backwards the gradient is multiplied by −strength.

    Args:
        x: any tensor; the result has its shape and values.
        strength: the paper's λ, ≥ 0.

    Paper: Ganin & Lempitsky 2015, Unsupervised Domain Adaptation by Backpropagation, equations 7 and 8.
    """
    return _Reverse.apply(x, strength)


def dann_schedule(progress: float, gamma: float = 10.0) -> float:
    """λ(p) = 2 / (1 + exp(−γ p)) − 1: 0 at the start, 0.987 half-way and 0.9999 at the end for γ = 10.

    Args:
        progress: the share of training that is done, from 0 to 1.
        gamma: how fast λ rises; the paper uses 10.

    Raises:
        UserError: ``progress`` outside 0..1.

    Paper: Ganin et al. 2016, Domain-Adversarial Training of Neural Networks, section 5.2.2.
    """
    if not 0 <= progress <= 1:
        raise UserError(f"The training progress is {progress}: it must be the share done, between 0 and 1.")
    return 2 / (1 + math.exp(-gamma * progress)) - 1


def domain_head(in_features: int, width: int = 64) -> nn.Sequential:
    """Features (N, in_features) → one logit each (N, 1): positive means target."""
    return nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, 1))


def dann_losses(
    encoder: nn.Module, label_head: nn.Module, domain: nn.Module, xs: Tensor, ys: Tensor, xt: Tensor, strength: float
) -> tuple[Tensor, Tensor]:
    """The two losses of one step: (cross-entropy of the source labels, cross-entropy of the domains).

    Their sum is minimised by one optimiser. Through the reversal, the encoder descends
    L_label − strength · L_domain while the domain head descends L_domain.

    Args:
        encoder: inputs (N, …) → features (N, D). label_head: features → logits (N, K).
        domain: features → one logit (N, 1).
        xs: source inputs (Ns, …). ys: their labels (Ns,). xt: target inputs (Nt, …), no labels.
        strength: λ of this step.

    Paper: Ganin et al. 2016, equation 9.
    """
    # One pass for both domains: with BatchNorm, two passes would give the domain away by their statistics.
    features = encoder(torch.cat([xs, xt]))  # (Ns + Nt, D)
    label_loss = F.cross_entropy(label_head(features[: len(xs)]), ys)
    is_target = torch.cat([torch.zeros(len(xs)), torch.ones(len(xt))]).to(features)  # (Ns + Nt,)
    guess = domain(gradient_reversal(features, strength)).squeeze(1)  # (Ns + Nt, 1) → (Ns + Nt,)
    return label_loss, F.binary_cross_entropy_with_logits(guess, is_target)


def domain_batches(
    sizes: tuple[int, int], batch_size: int, steps: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """``steps`` pairs of index batches, one from each domain, reshuffled whenever a domain runs out."""
    pools = [torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long)]
    take = [min(batch_size, size) for size in sizes]
    for _ in range(steps):
        pair = []
        for i, size in enumerate(sizes):
            if len(pools[i]) < take[i]:
                pools[i] = torch.randperm(size, generator=generator)
            pair.append(pools[i][: take[i]])
            pools[i] = pools[i][take[i] :]
        yield pair[0], pair[1]


def fit_dann(
    encoder: nn.Module,
    label_head: nn.Module,
    domain: nn.Module,
    source: Tensor,
    y: Tensor,
    target: Tensor,
    steps: int = 300,
    lr: float = 1e-3,
    batch_size: int = 64,
    max_strength: float = 1.0,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Train the three modules in place on labelled source and unlabelled target.

    λ follows :func:`dann_schedule` times ``max_strength``; ``max_strength=0`` is plain source training with the
    same steps, the control that a DANN number needs beside it.

    Args:
        source: inputs (Ns, …). y: labels (Ns,). target: inputs (Nt, …).

    Returns:
        One record per step: ``label_loss``, ``domain_loss`` (ln 2 ≈ 0.693 means the domains cannot be told apart)
        and ``strength``.

    Raises:
        UserError: a domain has no example, labels and inputs differ in number, or a loss stops being finite.
    """
    if len(source) == 0 or len(target) == 0 or len(source) != len(y):
        raise UserError(f"DANN needs both domains: got {len(source)} source, {len(y)} labels, {len(target)} target.")
    modules = nn.ModuleList([encoder, label_head, domain]).train()
    optimiser = torch.optim.AdamW(modules.parameters(), lr=lr, weight_decay=1e-4)
    generator, history = torch.Generator().manual_seed(seed), []
    for step, (s, t) in enumerate(domain_batches((len(source), len(target)), batch_size, steps, generator)):
        strength = max_strength * dann_schedule(step / max(1, steps - 1))
        label_loss, domain_loss = dann_losses(encoder, label_head, domain, source[s], y[s], target[t], strength)
        if not torch.isfinite(label_loss + domain_loss):
            raise UserError(f"The DANN loss is not finite at step {step}: check the inputs for NaN or lower lr = {lr}.")
        optimiser.zero_grad()
        (label_loss + domain_loss).backward()
        optimiser.step()
        history.append({"label_loss": label_loss.item(), "domain_loss": domain_loss.item(), "strength": strength})
    modules.eval()
    return history
