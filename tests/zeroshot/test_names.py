"""The map from names to classifiers against ridge by hand, and against names that mean nothing."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from transferlib.errors import UserError
from transferlib.zeroshot.names import fit_name_map, imagenet_names, name_vectors


class Letters(nn.Module):
    """A sentence encoder for tests: how often each letter occurs, as a unit vector."""

    def encode(self, texts: list[str]) -> Tensor:
        return torch.tensor([[float(text.count(chr(97 + i))) for i in range(26)] for text in texts])

    def forward(self, counts: Tensor) -> Tensor:
        return nn.functional.normalize(counts, dim=-1)


def world(classes: int = 120, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """Names whose weight vectors are a noisy linear function of them."""
    g = torch.Generator().manual_seed(0)
    names = torch.randn(classes, 12, generator=g)
    weights = names @ torch.randn(12, 20, generator=g) + 3 + noise * torch.randn(classes, 20, generator=g)
    return names, weights


def images(weights: Tensor, each: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    y = torch.arange(len(weights)).repeat(each)
    return weights[y] + torch.randn(len(y), weights.shape[1], generator=g), y


def test_the_map_is_ridge_and_its_lambda_is_chosen_by_leaving_each_class_out() -> None:
    names, weights = world(15, noise=3.0)
    lams = (0.01, 1.0, 30.0, 100.0, 1000.0)
    errors = []
    for lam in lams:
        left = [
            Ridge(alpha=lam).fit(np.delete(names.numpy(), i, 0), np.delete(weights.numpy(), i, 0)) for i in range(15)
        ]
        errors.append(sum(((m.predict(names[i : i + 1]) - weights[i].numpy()) ** 2).sum() for i, m in enumerate(left)))
    fitted = fit_name_map(names, weights, lams)
    assert fitted.lam == lams[int(np.argmin(errors))] not in (lams[0], lams[-1])
    oracle = Ridge(alpha=fitted.lam).fit(names.double().numpy(), weights.double().numpy())
    predicted = fitted.weights(names) + fitted.weight_mean
    np.testing.assert_allclose(predicted, oracle.predict(names.double().numpy()), atol=1e-4)


def test_unseen_classes_are_named_and_shuffled_names_fall_to_chance() -> None:
    names, weights = world()
    fitted = fit_name_map(names[:100], weights[:100])
    x, y = images(weights[100:], each=10)
    right = (fitted.scores(x, names[100:]).argmax(1) == y).float().mean()
    assert right > 0.9
    luck = []
    for seed in range(20):
        order = torch.randperm(100, generator=torch.Generator().manual_seed(seed))
        broken = fit_name_map(names[:100][order], weights[:100])
        luck.append(float((broken.scores(x, names[100:]).argmax(1) == y).float().mean()))
    assert np.mean(luck) == pytest.approx(1 / 20, abs=0.04)


def test_a_given_mean_replaces_the_mean_of_the_pictures() -> None:
    names, weights = world()
    fitted = fit_name_map(names, weights)
    x, _ = images(weights)
    torch.testing.assert_close(fitted.scores(x[:7], names, x.mean(0)), fitted.scores(x, names)[:7])


def test_templates_are_averaged_to_unit_vectors() -> None:
    one, two = (name_vectors(Letters(), ["cab", "bee"], [t]) for t in ("{}", "zz {}"))
    both = name_vectors(Letters(), ["cab", "bee"], ["{}", "zz {}"])
    torch.testing.assert_close(both, nn.functional.normalize(one + two, dim=-1))
    torch.testing.assert_close(both.norm(dim=-1), torch.ones(2))
    assert name_vectors(Letters(), ["{a}"]).shape == (1, 26), "a name may hold braces"


def test_imagenet_has_a_thousand_names_in_order() -> None:
    names = imagenet_names()
    assert len(names) == 1000
    assert (names[0], names[281], names[999]) == ("tench, Tinca tinca", "tabby, tabby cat", names[-1])
    assert "toilet" in names[999]


def test_bad_input_is_one_sentence() -> None:
    names, weights = world()
    with pytest.raises(UserError, match="got 120 and 119"):
        fit_name_map(names, weights[1:])
    with pytest.raises(UserError, match="3 or more"):
        fit_name_map(names[:2], weights[:2])
    with pytest.raises(UserError, match="λ must be above 0"):
        fit_name_map(names, weights, [0.0])
    with pytest.raises(UserError, match=r"'a photo' must hold \{\} once"):
        name_vectors(Letters(), ["cat"], ["a photo"])
    with pytest.raises(UserError, match="0 names and 1 templates"):
        name_vectors(Letters(), [])


def test_names_keep_the_encoder_s_mode_and_a_single_name_is_a_sentence() -> None:
    text = Letters().train()
    name_vectors(text, ["cat"])
    assert text.training
    with pytest.raises(UserError, match="names are the single string 'cat'"):
        name_vectors(Letters(), "cat")
    with pytest.raises(UserError, match="templates are the single string"):
        name_vectors(Letters(), ["cat"], "a photo of a {}")


def test_names_and_weights_of_unlike_precision_meet_and_nan_is_named() -> None:
    names, weights = world()
    plain, mixed = fit_name_map(names, weights), fit_name_map(names, weights.double())
    torch.testing.assert_close(mixed.weights(names), plain.weights(names).double(), atol=1e-4, rtol=1e-4)
    with pytest.raises(UserError, match=r"weight vectors \(120, 20\) must be a matrix without NaN"):
        fit_name_map(names, weights * float("nan"))
