"""Names with labels against their limits: names alone, the nearest example, class means, labels alone."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn.functional import normalize

from transferlib.errors import UserError
from transferlib.zeroshot.tip_adapter import cache_scores, tip_adapter


def world(shots: int = 6, classes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Labelled examples of overlapping classes, balanced, and unlabelled ones."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(classes).repeat(shots)
    centres = torch.randn(classes, 8, generator=g, dtype=torch.float64)
    keys = centres[y] + torch.randn(len(y), 8, generator=g, dtype=torch.float64)
    return torch.randn(200, 8, generator=g, dtype=torch.float64), keys, y


def test_by_hand() -> None:
    keys, y = torch.eye(2, dtype=torch.float64), torch.tensor([0, 1])
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)  # cosines 0.6 and 0.8
    expected = torch.exp(torch.tensor([[-2 * 0.4, -2 * 0.2]], dtype=torch.float64))
    assert torch.allclose(cache_scores(x, keys, y, 2, beta=2.0), expected, atol=1e-12)


def test_without_a_labelled_example_the_names_decide_exactly() -> None:
    x, keys, y = world()
    names = torch.randn(200, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cache = cache_scores(x, keys[:0], y[:0], 4, beta=5.0)
    assert torch.equal(tip_adapter(names, cache, alpha=3.0), names)
    assert torch.equal(tip_adapter(names, cache_scores(x, keys, y, 4, beta=5.0), alpha=0.0), names)


def test_a_large_beta_is_the_nearest_example() -> None:
    x, keys, y = world()
    nearest = KNeighborsClassifier(1, metric="cosine").fit(keys, y).predict(x)
    assert cache_scores(x, keys, y, 4, beta=300.0).argmax(1).tolist() == nearest.tolist()
    assert cache_scores(x, keys, y, 4, beta=1.0).argmax(1).tolist() != nearest.tolist()


def test_a_small_beta_is_the_nearest_class_mean_of_unit_vectors() -> None:
    x, keys, y = world()
    means = torch.stack([normalize(keys[y == c], dim=1).mean(0) for c in range(4)])
    assert torch.equal(cache_scores(x, keys, y, 4, beta=1e-6).argmax(1), (normalize(x, dim=1) @ means.T).argmax(1))


def test_a_large_alpha_leaves_the_names_out_and_more_examples_speak_louder() -> None:
    x, keys, y = world()
    names = torch.randn(200, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cache = cache_scores(x, keys, y, 4, beta=5.0)
    assert torch.equal(tip_adapter(names, cache, alpha=1e9).argmax(1), cache.argmax(1))
    assert torch.allclose(cache_scores(x, keys.repeat(3, 1), y.repeat(3), 4, beta=5.0), 3 * cache)


def test_the_length_of_a_vector_does_not_count() -> None:
    x, keys, y = world()
    assert torch.allclose(cache_scores(7 * x, 0.1 * keys, y, 4, beta=5.0), cache_scores(x, keys, y, 4, beta=5.0))


def test_bad_input_is_named() -> None:
    x, keys, y = world()
    for wrong, said in (
        (lambda: cache_scores(x[:, :3], keys, y, 4, 1.0), r"need keys \(K, D\): got \(200, 3\) and \(24, 8\)"),
        (lambda: cache_scores(x, keys, y, 4, 0.0), "Got beta = 0.0: use beta > 0"),
        (lambda: cache_scores(x, keys, y[:5], 4, 1.0), "got 24 examples and 5 labels"),
        (lambda: cache_scores(x, keys, y, 2, 1.0), "labels run from 0 to 3|2 outputs"),
        (lambda: tip_adapter(x, keys, 1.0), r"got \(200, 8\), \(24, 8\)"),
        (lambda: tip_adapter(x, x, -1.0), "Got alpha = -1.0: use alpha ≥ 0"),
    ):
        with pytest.raises(UserError, match=said):
            wrong()
