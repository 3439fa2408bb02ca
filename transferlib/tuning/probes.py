"""Linear probes: a frozen backbone's features, and a ridge classifier on top, solved in closed form.

The backbone runs once over the data; after that a probe costs milliseconds, and a whole label-budget
curve (budgets × seeds × λ) costs seconds. The idea of one decomposition for every λ follows
big_vision's few-shot evaluator, which serves the ViT paper (Dosovitskiy et al., 2021).

Ridge: minimise Σᵢ ‖yᵢ − b − Wᵀxᵢ‖² + λ ‖W‖², b unpenalised, so centre x and y first. Then

    X = Z Vᵀ with Zᵀ Z = diag(s), V orthonormal:      W = V diag(1 / (s + λ)) Zᵀ Y   for any λ
    N ≥ D (primal):  XᵀX = V diag(s) Vᵀ, Z = X V      N < D (dual):  X Xᵀ = U diag(s) Uᵀ, Z = U √s

so one symmetric eigendecomposition of size min(N, D) serves all λ. Leaving example i out moves its own
residual by a known factor (PRESS; Allen, 1974): eᵢ / (1 − hᵢ) with hᵢ = 1/N + Σⱼ Zᵢⱼ² / (sⱼ + λ).

Everything is solved on the CPU and handed back on the device of the features. Float64 stays float64; half precision
is solved, and handed back, in float32.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from transferlib.backbones.features import cached_features, features
from transferlib.datasets.budgets import nested_subset
from transferlib.errors import UserError
from transferlib.tensors import at_least_single, class_numbers

__all__ = ["LAMBDAS", "Probe", "cached_features", "features", "fit_probe", "probe_answers", "probe_curve", "ridge_path"]

Array = NDArray[Any]
LAMBDAS = tuple(10.0 ** (-3 + 5 * i / 11) for i in range(12))  # 1e-3 … 1e2 in twelve steps of equal ratio


class Probe(NamedTuple):
    """A linear classifier: scores = x · weight + bias. ``weight`` (D, C), ``bias`` (C,), ``lam`` the λ chosen."""

    weight: Tensor
    bias: Tensor
    lam: float

    def predict(self, x: Tensor) -> Tensor:
        """Features (N, D) → classes (N,)."""
        return (x.to(self.weight.dtype) @ self.weight + self.bias).argmax(1)


def _eigh(a: Array) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors; torch's, because SciPy's keeps other threads waiting."""
    s, v = torch.linalg.eigh(torch.from_numpy(a))
    return s.numpy(), v.numpy()


def _spectrum(x: Array, gram: Array | None = None) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Centred x (N, D) → s (r,), Z (N, r) and the map from coefficients (r, k) to weights V·coefficients (D, k)."""
    n, d = x.shape
    if n >= d:
        s, v = _eigh(x.T @ x)
        return np.maximum(s, 0), x @ v, lambda c: v @ c
    s, u = _eigh(x @ x.T if gram is None else gram)
    keep = s > s[-1] * n * np.finfo(x.dtype).eps  # centring leaves one empty direction: 1/√s would blow it up
    s, u = s[keep], u[:, keep]
    root = np.sqrt(s)
    return s, u * root, lambda c: x.T @ (u @ (c / root[:, None]))


def _leave_one_out(z: Array, s: Array, y: Array, alphas: Array, share: Array | float) -> Array:
    """Mean squared leave-one-out error for each λ in ``alphas`` (L,), from Z (N, r) and centred y (N, C).

    ``share`` (N,) of the weight is what each example pulls the intercept by: 1 / N when all count the same.
    """
    n, c = y.shape
    shrink = 1 / (s[:, None] + alphas)  # (r, L)
    coefficients = shrink[:, :, None] * (z.T @ y)[:, None, :]  # (r, L, C)
    fitted = (z @ coefficients.reshape(len(s), -1)).reshape(n, len(alphas), c)  # (N, L·C) → (N, L, C)
    leverage = z**2 @ shrink + np.broadcast_to(share, n)[:, None]  # (N, L)
    return np.mean(((y[:, None] - fitted) / (1 - leverage)[:, :, None]) ** 2, axis=(0, 2))


def ridge_path(x: Tensor, y: Tensor, lambdas: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Ridge regression for every λ at once, in the convention Σ‖y − b − Wᵀx‖² + λ‖W‖².

    Arguments: ``x`` features (N, D); ``y`` targets (N, C). The precision is that of ``x``.
    Returns weights (L, D, C), biases (L, C) and mean squared leave-one-out errors (L,).

    Raises:
        UserError: NaN, constant or whole-numbered features, targets of another length, a λ that is not positive.

    >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    >>> weight, bias, error = ridge_path(x, 2 * x + 1, [1e-6, 1e6])  # hardly any penalty, and hardly anything else
    >>> [round(w, 2) for w in weight.flatten().tolist()], [round(b, 2) for b in bias.flatten().tolist()]
    ([2.0, 0.0], [1.0, 4.0])
    """
    x, y = (t if isinstance(t, Tensor) else torch.from_numpy(t) for t in (x, y))
    rows = _checked(_array(x))
    targets = y.detach().cpu().to(torch.float64).numpy().astype(rows.dtype)
    if targets.ndim != 2 or len(targets) != len(rows):
        raise UserError(f"{len(rows)} examples need targets of shape ({len(rows)}, C): got {targets.shape}.")
    alphas = _positive(lambdas).astype(rows.dtype)
    centre, mean = rows.mean(0), targets.mean(0)
    s, z, lift = _spectrum(rows - centre)
    q = z.T @ (targets - mean)  # (r, C)
    weight = np.stack([lift(q / (s + a)[:, None]) for a in alphas])  # (L, D, C)
    bias = mean - centre @ weight
    error = _leave_one_out(z, s, targets - mean, alphas, 1 / len(rows))
    return tuple(torch.from_numpy(a).to(x.device) for a in (weight, bias, error))  # type: ignore[return-value]


def _solve(
    x: Array, y: Array, lambdas: Array, gram: Array | None = None, share: Array | None = None
) -> tuple[Array, Array, float]:
    """Features (N, D) and one-hot targets (N, C) → weight, bias, λ with the smallest leave-one-out error.

    ``share`` (N,) of the loss that each example carries, summing to 1; the same for all when it is None.
    """
    if share is None:
        centre, mean = x.mean(0), y.mean(0)
        rows, targets = x - centre, y - mean
    else:
        centre, mean, pull = share @ x, share @ y, np.sqrt(share * len(x))[:, None]
        rows, targets = pull * (x - centre), pull * (y - mean)
    s, z, lift = _spectrum(rows, gram)
    if not s.any():  # a draw of examples that are all alike: the bias alone is left
        return np.zeros((x.shape[1], y.shape[1]), dtype=x.dtype), mean, float(lambdas[-1])
    alphas = (lambdas * s.sum() / len(x)).astype(x.dtype)  # Σs / N is the mean squared length of a centred example
    best = int(np.argmin(_leave_one_out(z, s, targets, alphas, 1 / len(x) if share is None else share)))
    weight = lift(z.T @ targets / (s + alphas[best])[:, None])
    return weight, mean - centre @ weight, float(lambdas[best])


def fit_probe(
    x: Tensor, y: Tensor, n_classes: int | None = None, lambdas: Sequence[float] = LAMBDAS, balanced: bool = False
) -> Probe:
    """A ridge classifier on one-hot targets whose λ is chosen with the very labels it is fitted on.

    λ minimises the exact leave-one-out squared error, so no label outside the budget is looked at. It counts
    in units of the mean squared length of a centred example, so multiplying the features changes nothing.
    Features are not standardised one by one: from a handful of labels their scales are noise.

    Arguments: ``x`` features (N, D); ``y`` classes (N,) in 0 … n_classes − 1; ``balanced`` weighs each example so that
    all classes count the same, however many examples they have.

    Raises:
        UserError: NaN, constant or whole-numbered features, labels that are no class numbers, one class only, a label
            out of range, a λ that is not positive.

    >>> x, y = torch.tensor([[0.0, 1.0], [1.0, 1.0], [4.0, 0.0], [5.0, 0.0]]), torch.tensor([0, 0, 1, 1])
    >>> fit_probe(x, y).predict(torch.tensor([[0.5, 1.0], [4.5, 0.0]]))
    tensor([0, 1])
    """
    x = x if isinstance(x, Tensor) else torch.from_numpy(x)
    xs = _checked(_array(x))
    y = class_numbers(y, len(xs))
    classes = int(y.max()) + 1 if n_classes is None else n_classes
    ys = _one_hot(y.cpu().numpy(), classes, xs.dtype)
    share = (ys / ys.sum(0).clip(1)).sum(1) / int(np.count_nonzero(ys.sum(0))) if balanced else None
    weight, bias, lam = _solve(xs, ys, _positive(lambdas), share=share)
    return Probe(torch.from_numpy(weight).to(x.device), torch.from_numpy(bias).to(x.device), lam)


def probe_curve(
    x_train: Tensor,
    y_train: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    budgets: Sequence[int],
    seeds: Sequence[int],
    lambdas: Sequence[float] = LAMBDAS,
) -> NDArray[np.float64]:
    """Test accuracy (seeds, budgets), 0..1, of :func:`fit_probe` on nested subsets of n labels per class.

    The mean over test examples of :func:`probe_answers`, whose arguments and errors it shares.

    >>> g = torch.Generator().manual_seed(0)
    >>> y = torch.arange(200) % 2
    >>> x = torch.randn(200, 5, generator=g) + 2 * y[:, None]
    >>> few, many = probe_curve(x[:100], y[:100], x[100:], y[100:], budgets=[1, 40], seeds=range(5)).mean(0)
    >>> bool(few < many > 0.9)
    True
    """
    return probe_answers(x_train, y_train, x_test, y_test, budgets, seeds, lambdas).mean(2)


def probe_answers(
    x_train: Tensor,
    y_train: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    budgets: Sequence[int],
    seeds: Sequence[int],
    lambdas: Sequence[float] = LAMBDAS,
) -> NDArray[np.bool_]:
    """Which test examples a probe answers right (seeds, budgets, examples), for nested subsets of n labels per class.

    Seeds run on as many threads as torch is allowed; the numbers do not depend on it. Raises ``UserError``
    like :func:`fit_probe` and :func:`nested_subset`.

    >>> x, y = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> probe_answers(x, y, torch.tensor([[0.5], [4.5]]), torch.tensor([0, 0]), budgets=[2], seeds=[0])
    array([[[ True, False]]])
    """
    x, lams, test = _checked(_array(x_train)), _positive(lambdas), _array(x_test)
    y_train, y_test = class_numbers(y_train, len(x)), class_numbers(y_test, len(test), what="test labels")
    y, truth = y_train.cpu().numpy(), y_test.cpu().numpy()
    present, labels = np.unique(y, return_inverse=True)
    classes = len(present)
    targets = np.eye(classes, dtype=x.dtype)[labels]

    def one(seed: int) -> NDArray[np.bool_]:
        order = np.asarray(nested_subset(y_train, max(budgets), seed))
        base = x[order].mean(0)  # a first centring, for float32's sake
        rows, goal = x[order] - base, targets[order]
        largest = max((n * classes for n in budgets if n * classes < x.shape[1]), default=0)
        gram = rows[:largest] @ rows[:largest].T  # its leading blocks serve every smaller budget: subsets are nested
        probes = []
        for k in (n * classes for n in budgets):
            block = None
            if k <= largest:
                mean = gram[:k, :k].mean(0)
                block = gram[:k, :k] - mean - mean[:, None] + mean.mean()  # centred in feature space
            weight, bias, _ = _solve(rows[:k], goal[:k], lams, block)
            probes.append((weight, bias - base @ weight))
        scores = test @ np.concatenate([w for w, _ in probes], axis=1) + np.concatenate([b for _, b in probes])
        guess = present[scores.reshape(len(test), len(budgets), classes).argmax(2)]  # (T, B·C) → (T, B, C) → (T, B)
        return np.equal(guess, truth[:, None]).T  # (B, T)

    def single() -> None:
        torch.set_num_threads(1)  # for the worker it is called in, not for the process

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(torch.get_num_threads(), initializer=single) as pool:
        return np.array(list(pool.map(one, seeds)))


def _array(x: Tensor) -> Array:
    return at_least_single(x if isinstance(x, Tensor) else torch.from_numpy(x)).detach().cpu().numpy()


def _checked(x: Array) -> Array:
    if x.ndim != 2 or len(x) < 2:
        raise UserError(f"A probe needs features of shape (N, D) with N ≥ 2: got {tuple(x.shape)}.")
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(1).sum())
        raise UserError(f"The features contain NaN or infinity in {bad} of {len(x)} examples.")
    if (x == x[0]).all():
        raise UserError(f"All {len(x)} examples have the same features: a probe has nothing to tell them apart by.")
    return x


def _positive(lambdas: Sequence[float]) -> Array:
    values = np.asarray(lambdas, dtype=np.float64)
    if values.size == 0 or not (values > 0).all():
        raise UserError(f"Every λ must be positive: got {[float(v) for v in values]}.")
    return values


def _one_hot(y: Array, classes: int, dtype: Any) -> Array:
    if y.min() < 0 or y.max() >= classes:
        raise UserError(f"Labels must lie in 0 … {classes - 1}: got {y.min()} … {y.max()}; check n_classes.")
    if len(np.unique(y)) < 2:
        raise UserError(f"All {len(y)} labels are class {y[0]}: at least two classes are needed to learn a classifier.")
    return np.eye(classes, dtype=dtype)[y]
