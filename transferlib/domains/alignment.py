"""Aligning two clouds of features: CORAL, MMD, and CORAL's closed form for frozen features.

Float64 stays float64; half precision is computed, and returned, in float32.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from transferlib.domains.checks import check_domains
from transferlib.errors import UserError
from transferlib.tensors import at_least_single


def covariance(x: Tensor) -> Tensor:
    """C = (X − x̄)ᵀ(X − x̄) / (N − 1): features (N, D) → (D, D).

    The mean leaves before the product; XᵀX − N·x̄x̄ᵀ loses every digit once the mean is large.
    """
    x = at_least_single(x)
    x = x - x.mean(0, keepdim=True)
    return x.T @ x / (len(x) - 1)


def coral(source: Tensor, target: Tensor) -> Tensor:
    """The CORAL loss: how far apart two covariances are.

    ‖C_s − C_t‖²_F / (4 d²), with C the covariance (divided by N − 1) and d the number of features. A shift of
    the mean alone does not move it.

    Args:
        source: features (Ns, d).
        target: features (Nt, d).

    Returns:
        A scalar, differentiable in both.

    Raises:
        UserError: NaN, constant features, different widths, fewer than two examples.

    Paper: Sun & Saenko 2016, Deep CORAL, equation 1.

    >>> x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> coral(x, x + 7)  # the mean alone
    tensor(0.)
    >>> coral(x, x * torch.tensor([3.0, 1.0]))  # variances 4/3 and 12: (12 − 4/3)² / 16
    tensor(7.1111)
    """
    check_domains(source, target)
    return (covariance(source) - covariance(target)).square().sum() / (4 * source.shape[1] ** 2)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i − b_j‖² for rows of ``a`` (N, D) and ``b`` (M, D) → (N, M), never below zero."""
    return (a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T).clamp(min=0)  # (N, M)


def median_bandwidth(source: Tensor, target: Tensor) -> float:
    """The median heuristic: σ² = the median squared distance between two different examples of either domain.

    Raises:
        UserError: the median distance is zero, because most examples are identical.

    >>> median_bandwidth(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]]))  # of 1, 4 and 9
    4.0
    """
    x = at_least_single(torch.cat([source, target]).detach())  # (Ns + Nt, D)
    x = x - x.mean(0)
    pairs = torch.triu_indices(len(x), len(x), offset=1, device=x.device)
    median = float(squared_distances(x, x)[pairs[0], pairs[1]].median())
    if median <= 0:
        raise UserError("The median distance between examples is 0: most are identical; remove duplicates first.")
    return median


def mmd(
    source: Tensor,
    target: Tensor,
    bandwidth: float | None = None,
    scales: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    biased: bool = False,
) -> Tensor:
    """Squared maximum mean discrepancy with a mixture of RBF kernels, by default the unbiased estimator.

    mean_{i≠j} k(s_i, s_j) + mean_{i≠j} k(t_i, t_j) − 2 · mean_{i,j} k(s_i, t_j), where k(a, b) is the mean over
    ``scales`` of exp(−‖a − b‖² / (2 · scale · σ²)). Its expectation is 0 when both domains have one distribution,
    so a single estimate may be negative.

    Args:
        source: features (Ns, D).
        target: features (Nt, D).
        bandwidth: σ², in squared feature units; by default the median heuristic, through which no gradient flows.
        scales: multiples of σ².
        biased: keep the pairs i = j. The value is then ‖mean φ(s) − mean φ(t)‖², a squared length and never below 0;
            for one distribution it is about (1 − mean k) · (1/Ns + 1/Nt) too large.

    Returns:
        A scalar, differentiable in both.

    Raises:
        UserError: NaN, constant features, different widths, fewer than two examples, a bandwidth ≤ 0.

    Paper: Gretton et al. 2012, A Kernel Two-Sample Test, equations 3 and 5; Long et al. 2015 for the mixture.

    >>> x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> bool(mmd(x[:50], x[50:]).abs() < 0.05), bool(mmd(x[:50], x[50:] + 1) > 0.2)
    (True, True)
    """
    check_domains(source, target)
    source, target = at_least_single(source), at_least_single(target)
    sigma2 = median_bandwidth(source, target) if bandwidth is None else bandwidth
    if not sigma2 > 0:
        raise UserError(f"The bandwidth is {sigma2}: it must be a positive number in squared feature units.")
    centre = torch.cat([source, target]).detach().mean(0)  # distances ignore it, rounding does not
    s, t = source - centre, target - centre

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        d = squared_distances(a, b)  # (N, M)
        return torch.stack([torch.exp(-d / (2 * scale * sigma2)) for scale in scales]).mean(0)  # (N, M)

    def within(a: Tensor) -> Tensor:
        if biased:
            return kernel(a, a).fill_diagonal_(1).mean()
        # Without the diagonal: k(a, a) = 1 would add a bias of 1/N.
        return kernel(a, a).fill_diagonal_(0).sum() / (len(a) * (len(a) - 1))

    value = within(s) + within(t) - 2 * kernel(s, t).mean()
    return value.clamp(min=0) if biased else value


def starting_scale(loss: Tensor, distance: Tensor) -> float:
    """loss / distance at the first step: minimise loss + strength · scale · distance, and strength 1 starts even.

    Never below 0, or the pull would push the domains apart: an unbiased estimate of MMD may be negative, so measure
    the scale with ``mmd(..., biased=True)``. No gradient flows through it.

    Raises:
        UserError: a distance that is not positive, or a loss that is negative or not finite.

    >>> starting_scale(torch.tensor(2.0), torch.tensor(0.5))
    4.0
    """
    top, bottom = float(loss.detach()), float(distance.detach())
    if not (bottom > 0 and 0 <= top < float("inf")):
        raise UserError(
            f"A scale of loss {top:g} over distance {bottom:g} would not pull the domains together: measure the first "
            "distance with mmd(..., biased=True), on two different batches."
        )
    return top / bottom


def coral_recolour(source: Tensor, target: Tensor, ridge: float = 0.1) -> Tensor:
    """Give the source features the target's mean and covariance, in closed form.

    (X − μ_s) C_s^{−1/2} C_t^{1/2} + μ_t: whiten with the source, colour with the target. Both covariances are first
    shrunk, C ← (1 − ridge) · C + ridge · tr(C)/d · I, which keeps C_s invertible when d > Ns.

    Args:
        source: features (Ns, d).
        target: features (Nt, d).
        ridge: 0 (none) to 1 (only the total variance is matched).

    Returns:
        Re-coloured source features (Ns, d): train the probe on these and test it on the target as it is.

    Raises:
        UserError: NaN, constant features, different widths, ``ridge`` outside 0..1, a singular covariance.

    Paper: Sun, Feng & Saenko 2016, Return of Frustratingly Easy Domain Adaptation, algorithm 1 (which adds I to
    both covariances and does not move the mean).

    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
    >>> new = coral_recolour(x, 5 - 2 * x, ridge=0.0)
    >>> torch.allclose(new.mean(0), (5 - 2 * x).mean(0), atol=1e-5), bool(coral(new, 5 - 2 * x) < 1e-6)
    (True, True)
    """
    check_domains(source, target)
    source, target = at_least_single(source), at_least_single(target)
    if not 0 <= ridge <= 1:
        raise UserError(f"ridge = {ridge} is not possible: it must lie between 0 and 1.")

    def power(x: Tensor, exponent: float) -> Tensor:
        c = covariance(x.double())  # (d, d)
        eye = torch.eye(len(c), dtype=c.dtype, device=c.device)
        values, vectors = torch.linalg.eigh((1 - ridge) * c + ridge * c.trace() / len(c) * eye)
        if exponent < 0 and float(values[0]) < 1e-10 * float(values[-1]):
            raise UserError("The source covariance is singular (more features than examples): use ridge > 0.")
        return vectors @ torch.diag(values.clamp(min=0) ** exponent) @ vectors.T  # (d, d)

    colour = (power(source, -0.5) @ power(target, 0.5)).to(source.dtype)
    return (source - source.mean(0)) @ colour + target.mean(0)
