"""Domain-adversarial training (DANN): features that a second head cannot tell the domain from."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.errors import UserError
from transferlib.tensors import class_numbers, trainable_in


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

    >>> x = torch.ones(2, requires_grad=True)
    >>> gradient_reversal(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
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

    >>> [round(dann_schedule(p), 3) for p in (0.0, 0.1, 0.5, 1.0)]
    [0.0, 0.462, 0.987, 1.0]
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

    The second is the paper's sum of two means, mean_source −log(1 − p) + mean_target −log p with p = P(target), so
    that each domain counts the same however many examples it brings; 2 ln 2 ≈ 1.386 when nothing tells them apart.
    The sum of both losses is minimised by one optimiser. Through the reversal, the encoder descends
    L_label − strength · L_domain while the domain head descends L_domain.

    Args:
        encoder: inputs (N, …) → features (N, D). label_head: features → logits (N, K).
        domain: features → one logit (N, 1).
        xs: source inputs (Ns, …). ys: their labels (Ns,). xt: target inputs (Nt, …), no labels.
        strength: λ of this step.

    Raises:
        UserError: labels that are no class numbers below K.

    Paper: Ganin et al. 2016, equation 10.

    >>> undecided = domain_head(2).requires_grad_(False)
    >>> _ = [p.zero_() for p in undecided.parameters()]
    >>> x, head = torch.randn(6, 2), nn.Linear(2, 2)
    >>> dann_losses(nn.Identity(), head, undecided, x, torch.arange(6) % 2, x[:1], strength=1.0)[1]
    tensor(1.3863)
    """
    # One pass for both domains: with BatchNorm, two passes would give the domain away by their statistics.
    features = encoder(torch.cat([xs, xt]))  # (Ns + Nt, D)
    logits = label_head(features[: len(xs)])  # (Ns, K)
    label_loss = F.cross_entropy(logits, class_numbers(ys, len(xs), logits.shape[1]))
    guess = domain(gradient_reversal(features, strength)).squeeze(1)  # (Ns + Nt, 1) → (Ns + Nt,)
    source, target = guess[: len(xs)], guess[len(xs) :]  # logits of P(target)
    return label_loss, -F.logsigmoid(-source).mean() - F.logsigmoid(target).mean()


def domain_batches(
    sizes: tuple[int, int], batch_size: int, steps: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """``steps`` pairs of index batches, one from each domain, reshuffled whenever a domain runs out.

    >>> [(s.tolist(), t.tolist()) for s, t in domain_batches((2, 1), 2, 1, torch.Generator().manual_seed(0))]
    [([0, 1], [0])]
    """
    device = generator.device
    pools = [torch.empty(0, dtype=torch.long, device=device) for _ in sizes]
    take = [min(batch_size, size) for size in sizes]
    for _ in range(steps):
        pair = []
        for i, size in enumerate(sizes):
            if len(pools[i]) < take[i]:
                pools[i] = torch.randperm(size, generator=generator, device=device)
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
        One record per step: ``label_loss``, ``domain_loss`` (2 ln 2 ≈ 1.386 means the domains cannot be told apart)
        and ``strength``.

    Raises:
        UserError: a domain has no example, labels and inputs differ in number, labels that are no class numbers,
            weights in float16, or a loss that stops being finite.

    >>> x, body, head = torch.randn(20, 3), nn.Linear(3, 4), nn.Linear(4, 2)
    >>> history = fit_dann(body, head, domain_head(4), x, torch.arange(20) % 2, x + 1, steps=5)
    >>> [round(record["strength"], 3) for record in history]
    [0.0, 0.848, 0.987, 0.999, 1.0]
    """
    if len(source) == 0 or len(target) == 0 or len(source) != len(y):
        raise UserError(f"DANN needs both domains: got {len(source)} source, {len(y)} labels, {len(target)} target.")
    y = class_numbers(y, len(source))
    modules = nn.ModuleList([encoder, label_head, domain]).train()
    optimiser = torch.optim.AdamW(trainable_in(modules.parameters()), lr=lr, weight_decay=1e-4)
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
