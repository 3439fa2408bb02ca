"""A whole label-budget curve beside scikit-learn's two ways: the same draws, λ chosen inside the budget by each."""

import time
import warnings

import numpy as np
import pytest
import torch
from pairs import seconds
from sklearn.linear_model import LogisticRegressionCV, RidgeClassifierCV

from transferlib.course.intervals import paired_difference
from transferlib.datasets.budgets import nested_subset
from transferlib.datasets.named import load
from transferlib.tuning.probes import LAMBDAS, cached_features, probe_curve

TASKS = {
    "fashion": ({"name": "fashion-mnist"}, 96, [2, 3, 5, 10, 20, 40, 70, 100]),
    "emoji": ({"name": "emoji", "style": "all", "label": "group"}, 96, [2, 3, 5, 8, 12, 20, 30, 50]),
    "tweets": ({"name": "sentiment", "domain": "tweets"}, 32, [2, 3, 5, 10, 20, 40, 70, 100]),
}
SEEDS, FEW = range(20), range(2)  # scikit-learn's logistic regression is asked for two of the twenty seeds: it is slow


def ridge(x, y):
    length = float((x - x.mean(0)).square().sum(1).mean())
    return RidgeClassifierCV(alphas=[lam * length for lam in LAMBDAS]).fit(x.numpy(), y.numpy())


def logistic(x, y):
    folds = min(5, int(y.bincount().min()))
    return LogisticRegressionCV(Cs=12, cv=folds, max_iter=100, scoring="accuracy").fit(x.numpy(), y.numpy())


def theirs(make, train, test, budgets, seeds):
    """Accuracy (seeds, budgets) and processor seconds for each seed."""
    accuracy, spent = np.zeros((len(seeds), len(budgets))), []
    for i, seed in enumerate(seeds):
        start = time.process_time()
        for j, n in enumerate(budgets):
            rows = nested_subset(train[1], n, seed)
            model = make(train[0][rows], train[1][rows])
            accuracy[i, j] = (model.predict(test[0].numpy()) == test[1].numpy()).mean()
        spent.append(time.process_time() - start)
    return accuracy, spent


@pytest.mark.parametrize("key", TASKS)
def test_a_label_budget_curve(benchmark, tell, key):
    data, size, budgets = TASKS[key]
    parts = [load(split=split, **data) for split in ("train", "test")]
    x = [cached_features(None, part.x, size=size, max_length=size) for part in parts]
    # One factor for all features, so that scikit-learn's own grid of C fits them.
    scale = float((x[0] - x[0].mean(0)).square().mean().sqrt())
    train, test = ((f / scale, part.y) for f, part in zip(x, parts, strict=True))

    ours, spent = None, []
    for _ in range(3):
        start = time.process_time()
        ours = probe_curve(*train, *test, budgets, SEEDS)
        spent.append((time.process_time() - start) / len(SEEDS))
    benchmark.pedantic(lambda: probe_curve(*train, *test, budgets, FEW), rounds=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, ridge_spent = theirs(ridge, train, test, budgets, range(5))
        accuracy, logistic_spent = theirs(logistic, train, test, budgets, FEW)
    a_seed, name = np.median(spent), f"probe curve, {key}, 8 budgets × 12 λ"
    said = f"{seconds(spent)} a seed"
    tell(
        name,
        f"LogisticRegressionCV, {seconds(logistic_spent)}",
        np.median(logistic_spent) / a_seed,
        "× faster",
        said,
        30,
    )
    ratio = np.median(ridge_spent) / a_seed
    why = "both decompose one matrix a budget, which is most of the work"
    tell(name, f"RidgeClassifierCV, {seconds(ridge_spent)}", ratio, "× faster", said, at_least=5, because=why)
    gap = paired_difference(ours[: len(FEW)].ravel(), accuracy.ravel()).scaled(100)
    said = f"95 % interval {gap.low:.1f} to {gap.high:.1f}, {gap.seeds} pairs"
    tell(f"{name}: accuracy minus theirs", "LogisticRegressionCV", gap.mean, "points", said, at_least=-0.5)
    assert torch.isfinite(torch.tensor(ours)).all()
