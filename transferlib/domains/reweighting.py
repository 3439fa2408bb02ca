"""Importance weighting: train on the source as if its examples had been drawn from the target.

Float64 stays float64; half precision is computed, and returned, in float32.
"""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

from transferlib.domains.checks import check_domains, check_features
from transferlib.errors import UserError
from transferlib.tensors import at_least_single, class_numbers


def density_ratio(source: Tensor, target: Tensor, penalty: float = 1.0, folds: int = 0, seed: int = 0) -> Tensor:
    """Weights w(x) = p_target(x) / p_source(x) of the source examples, by telling the domains apart.

    A logistic regression estimates the odds that x came from the target; w(x) = odds(x) · Ns / Nt. It is exact in
    the limit when the log ratio is linear in x, as for two Gaussians with one covariance.

    Args:
        source: features (Ns, D).
        target: features (Nt, D).
        penalty: strength of the L2 penalty on the coefficients (sklearn's 1/C), > 0; features are standardised first.
        folds: 2 or more scores each example by a model that has not seen it, which many features need; 0 uses one
            model for all.
        seed: of the folds.

    Returns:
        Weights (Ns,), positive, on the source's device. Their mean is near 1 when the estimate is good.

    Raises:
        UserError: NaN, constant features, different widths, a penalty ≤ 0, fewer examples than folds.

    Paper: Bickel, Brückner & Scheffer 2007; Sugiyama et al. 2012, Density Ratio Estimation, chapter 4.

    >>> x = torch.linspace(-2, 2, 201)[:, None]
    >>> w = density_ratio(x[::2], x[::2] + 1)  # the target lies to the right
    >>> bool(w[0] < 1 < w[-1]), round(float(w.mean()), 1)
    (True, 1.0)
    """
    check_domains(source, target)
    if not penalty > 0:
        raise UserError(f"penalty = {penalty} is not possible: it must be > 0.")
    if folds < 0 or folds == 1 or folds > min(len(source), len(target)):
        raise UserError(f"folds = {folds} is not possible with {len(source)} source and {len(target)} target examples.")
    x = torch.cat([source, target]).double().cpu().numpy()  # (Ns + Nt, D)
    x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    is_target = np.repeat([0, 1], [len(source), len(target)])
    model = LogisticRegression(C=1 / penalty, max_iter=2000)
    if folds:
        split = StratifiedKFold(folds, shuffle=True, random_state=seed)
        logit = cross_val_predict(model, x, is_target, cv=split, method="decision_function")[: len(source)]
    else:
        logit = model.fit(x, is_target).decision_function(x[: len(source)])
    return torch.from_numpy(np.exp(logit) * len(source) / len(target)).to(at_least_single(source))  # (Ns,)


def effective_sample_size(weights: Tensor) -> float:
    """(Σ w)² / Σ w²: how many equally weighted examples carry as much information; from 1 to N.

    Args:
        weights: (N,), ≥ 0, not all zero.

    Raises:
        UserError: NaN, infinite or negative weights, or all of them zero.

    Source: Kish 1965, Survey Sampling.

    >>> effective_sample_size(torch.tensor([1.0, 1.0, 1.0, 1.0])), effective_sample_size(torch.tensor([0.0, 0.0, 7.0]))
    (4.0, 1.0)
    """
    if not torch.isfinite(weights).all() or bool((weights < 0).any()) or not bool((weights > 0).any()):
        raise UserError(
            f"The {weights.numel()} weights must be finite and ≥ 0, and not all 0: got {float(weights.min()):g} to "
            f"{float(weights.max()):g}."
        )
    w = weights.double() / weights.max()  # scaled first, so that squares of huge weights stay finite
    return float(w.sum() ** 2 / w.square().sum())


def check_weights(weights: Tensor, n: int, least: float = 2.0) -> Tensor:
    """Return the weights scaled to mean 1, when there are ``n`` and they have not collapsed.

    Raises:
        UserError: wrong number, bad values (see :func:`effective_sample_size`), or an effective sample size below
            ``least``.
    """
    if weights.shape != (n,):
        raise UserError(f"There are {n} examples and weights of shape {tuple(weights.shape)}: give one weight each.")
    size = effective_sample_size(weights)
    if size < least:
        raise UserError(
            f"The weights collapse: {n} examples count as {size:.1f}; raise the penalty of the density ratio, use "
            "fewer features, or clip the weights."
        )
    real = at_least_single(weights) if weights.is_floating_point() else weights.float()  # counts are weights, too
    return real / real.mean()


def _labelled(x: Tensor, y: Tensor, weights: Tensor, penalty: float) -> tuple[Tensor, Tensor, Tensor]:
    """Features, labels and weights, checked, for a classifier of two classes or more."""
    check_features("source", x)
    y = class_numbers(y, len(x))
    if len(y.unique()) < 2:
        raise UserError(f"All {len(y)} labels are class {int(y[0])}: at least two classes are needed for a classifier.")
    if not penalty >= 0:
        raise UserError(f"penalty = {penalty} is not possible: it must be ≥ 0.")
    x = at_least_single(x)
    return x, y, check_weights(weights, len(x)).to(x)


def weighted_ridge(x: Tensor, y: Tensor, weights: Tensor, penalty: float = 1.0) -> tuple[Tensor, Tensor]:
    """Ridge regression on one-hot labels with a weight for each example, in closed form.

    min over W, b of Σ_i w_i ‖W x_i + b − onehot(y_i)‖² + penalty · ‖W‖². The offset b is not penalised.

    Args:
        x: features (N, D).
        y: integer labels (N,).
        weights: (N,); they are scaled to mean 1, so that ``penalty`` keeps its meaning.
        penalty: ≥ 0.

    Returns:
        W (K, D) and b (K,): predict with ``(x @ W.T + b).argmax(1)``.

    Raises:
        UserError: bad features or weights, see :func:`check_weights`; labels that are no class numbers or all one
            class; features that depend on each other, without a penalty.

    >>> x, y = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> W, b = weighted_ridge(x, y, torch.ones(4), penalty=0.0)
    >>> (x @ W.T + b).argmax(1)
    tensor([0, 0, 1, 1])
    """
    x, y, w = _labelled(x, y, weights, penalty)
    w = w[:, None]  # (N, 1)
    targets = F.one_hot(y).to(x.dtype)  # (N, K)
    mean_x, mean_y = (w * x).mean(0), (w * targets).mean(0)
    centred = x - mean_x
    gram = (w * centred).T @ centred + penalty * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)  # (D, D)
    try:
        coefficients = torch.linalg.solve(gram, (w * centred).T @ (targets - mean_y)).T  # (D, K) → (K, D)
    except torch.linalg.LinAlgError:
        raise UserError(f"The {x.shape[1]} features depend on each other: use penalty > 0, not {penalty}.") from None
    return coefficients, mean_y - coefficients @ mean_x


def weighted_logistic(x: Tensor, y: Tensor, weights: Tensor, penalty: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logistic regression with a weight for each example: Σ_i w_i · cross-entropy_i + penalty/2 · ‖W‖².

    Arguments, returns and errors as :func:`weighted_ridge`; two classes return K = 2 rows as well.

    Raises:
        UserError: also for a class number below the largest that has no example, and a penalty of 0.

    >>> x, y = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> W, b = weighted_logistic(x, y, torch.ones(4))
    >>> [round(p, 2) for p in (x @ W.T + b).softmax(1)[:, 1].tolist()]
    [0.08, 0.19, 0.81, 0.92]
    """
    x, y, w = _labelled(x, y, weights, penalty)
    absent = sorted(set(range(int(y.max()) + 1)) - set(y.tolist()))
    if absent:
        raise UserError(f"Class {absent[0]} has no labelled example: draw more labels, or number the classes anew.")
    if penalty == 0:
        raise UserError("penalty = 0 has no solution when a line divides the classes: it must be > 0.")
    model = LogisticRegression(C=1 / penalty, max_iter=2000)
    model.fit(x.double().cpu().numpy(), y.cpu().numpy(), sample_weight=w.double().cpu().numpy())
    coef, offset = torch.from_numpy(model.coef_).to(x), torch.from_numpy(model.intercept_).to(x)
    if len(coef) == 1:  # one row of log-odds → one row for each class
        coef, offset = torch.cat([-coef, coef]) / 2, torch.cat([-offset, offset]) / 2
    return coef, offset
