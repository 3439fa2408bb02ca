"""Why few labels can be enough: how far two classes lie apart, how they spread, and what follows for n labels of each.

Nearest class mean averages n labelled examples of each of two classes and cuts halfway. For clouds with means Δ apart
and a common covariance Σ, a new example's score has mean ‖Δ‖²/2 and variance

    ΔᵀΣΔ (1 + 1/n) + tr Σ² (2/n + 1/n²)

over the draw of the labels and of the example. The share of right answers is about Φ(mean / √variance); with a single
label it can be off by a few points, because the score is then no Gaussian. With the same spread s in d directions,
ΔᵀΣΔ = s²‖Δ‖² and tr Σ² = d s⁴: the labels must outvote the noise of every direction. In general tr Σ² = (tr Σ)² / d
with d the effective dimension. The same quantities, in another form, are in Sorscher, Ganguli & Sompolinsky 2022,
"Neural representational geometry underlies few-shot concept learning".
"""

from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor

from transferlib.errors import UserError

__all__ = ["TwoClouds", "effective_dimension", "margin", "two_clouds"]


def effective_dimension(x: Tensor) -> float:
    """How many directions carry the spread of x (N, D): (Σ λᵢ)² / Σ λᵢ², with λ the variances along the main axes.

    It is 1 when all points lie on a line and D when all directions spread alike. Centred here; no correction for few
    points (:func:`two_clouds` has one).

    >>> effective_dimension(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    2.0

    Raises:
        UserError: fewer than two points, NaN, or points that are all the same.
    """
    z = _checked(x, 2)
    gram = z @ z.T if len(z) < z.shape[1] else z.T @ z  # both have the same eigenvalues, but for zeros
    if not gram.any():
        raise UserError(f"All {len(z)} points are the same: they spread in no direction.")
    return float(gram.trace().square() / gram.square().sum())


class TwoClouds(NamedTuple):
    """Two classes as a learner sees them: ``gap`` ‖Δ‖², ``along`` ΔᵀΣΔ, ``total`` tr Σ, ``squares`` tr Σ².

    >>> clouds = TwoClouds(gap=16.0, along=16.0, total=200.0, squares=200.0)  # Δ = 4, s = 1 in 200 directions
    >>> clouds.dimension, clouds.strength, clouds.labels
    (200.0, 2.0, 25.0)
    >>> round(clouds.right(10_000), 3), clouds.right(5) < 0.8
    (0.977, True)
    """

    gap: float
    along: float
    total: float
    squares: float

    @property
    def dimension(self) -> float:
        """The effective dimension (tr Σ)² / tr Σ² of the spread within the classes."""
        return self.total**2 / self.squares

    @property
    def strength(self) -> float:
        """Half of the gap, in units of the spread along the line that joins the two means."""
        return self.gap / 2 / self.along**0.5

    @property
    def labels(self) -> float:
        """n*, about as many labels of each class as make noise equal to the spread along the gap: 2 tr Σ² / ΔᵀΣΔ."""
        return 2 * self.squares / self.along

    def right(self, n: float) -> float:
        """The share of right answers, 0 to 1, that nearest class mean should have with ``n`` labels of each class."""
        variance = self.along * (1 + 1 / n) + self.squares * (2 / n + 1 / n**2)
        return NormalDist().cdf(self.gap / 2 / variance**0.5)


def two_clouds(a: Tensor, b: Tensor) -> TwoClouds:
    """Estimate :class:`TwoClouds` from points a (N, D) and b (M, D) of two classes.

    Few points make means look further apart than they are, and the spread look as if it had fewer directions. So each
    quantity is corrected: the gap for the noise of the two means, tr Σ² by the estimator of Srivastava 2005, which is
    unbiased for Gaussian clouds, and ΔᵀΣΔ for both. Σ is the mean of the two covariances. The gap and ΔᵀΣΔ are held at
    a hundredth of what was seen, where the correction would leave less.

    >>> a = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    >>> clouds = two_clouds(a, a + torch.tensor([4.0, 0, 0]))
    >>> round(clouds.gap), round(clouds.dimension), clouds.right(5) > 0.9
    (16, 3, True)

    Raises:
        UserError: fewer than four points of a class, NaN, different widths.
    """
    x, y = _checked(a, 4), _checked(b, 4)
    if x.shape[1] != y.shape[1]:
        raise UserError(f"The two classes have {x.shape[1]} and {y.shape[1]} features: use one space for both.")
    delta = a.double().mean(0) - b.double().mean(0)
    n, m = len(x), len(y)
    total_x, total_y = float(x.square().sum() / (n - 1)), float(y.square().sum() / (m - 1))
    cross = float((x @ y.T).square().sum() / ((n - 1) * (m - 1)))  # tr S_a S_b
    squares = (_squares(x, total_x) + 2 * cross + _squares(y, total_y)) / 4
    seen = float(((x @ delta).square().sum() / (n - 1) + (y @ delta).square().sum() / (m - 1)) / 2)
    gap = float(delta @ delta)
    return TwoClouds(
        gap=max(gap - total_x / n - total_y / m, gap / 100),
        along=max(seen - squares * (1 / n + 1 / m), seen / 100),
        total=(total_x + total_y) / 2,
        squares=squares,
    )


def _squares(z: Tensor, total: float) -> float:
    """Unbiased tr Σ² of centred rows z (N, D) with tr S = ``total`` (Srivastava 2005)."""
    f = len(z) - 1
    gram = z @ z.T
    return f**2 / ((f - 1) * (f + 2)) * (float(gram.square().sum()) / f**2 - total**2 / f)


def margin(a: Tensor, b: Tensor) -> float:
    """The widest margin between two classes: half the distance of their convex hulls; 0 where no flat cut parts them.

    >>> coats, shoes = torch.tensor([[3.0, 1.0], [4.0, 1.0]]), torch.tensor([[1.0, 3.0], [1.0, 4.0]])
    >>> round(margin(coats, shoes), 3)  # half of 2 √2
    1.414

    Raises:
        UserError: no points, NaN, different widths.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import SVC

    if len(a) == 0 or len(b) == 0 or a.shape[1] != b.shape[1]:
        raise UserError(f"A margin needs points of one width in both classes: got {tuple(a.shape)}, {tuple(b.shape)}.")
    z = _checked(torch.cat([a, b]), 2)
    scale = float(z.square().sum(1).mean().sqrt()) or 1.0
    kernel = (z @ z.T / scale**2).numpy()
    side = [1] * len(a) + [-1] * len(b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it does not end where there is no margin
        machine = SVC(C=1e8, kernel="precomputed", tol=1e-6, max_iter=200_000).fit(kernel, side)
    scores = machine.decision_function(kernel) * torch.tensor(side).numpy()
    if scores.min() < 0.5:
        return 0.0
    return float(scale * scores.min() / max(float(abs(machine.dual_coef_).sum()), 1e-300) ** 0.5)  # ‖w‖² = Σ αᵢ


def _checked(x: Tensor, rows: int) -> Tensor:
    """Rows of x (N, D), centred, in float64."""
    if x.ndim != 2 or len(x) < rows:
        raise UserError(f"Points of shape {tuple(x.shape)}: {rows} or more rows (N, D) are needed.")
    if not torch.isfinite(x).all():
        raise UserError("The points hold NaN or infinite values.")
    z = x.detach().cpu().double()
    return z - z.mean(0)
