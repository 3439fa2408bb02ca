import numpy as np
import pytest
import torch

from transferlib.datasets.base import Dataset
from transferlib.domains import pairs
from transferlib.errors import UserError


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Ten-dimensional 'pictures' stand in for the data, and are their own features."""

    def load(task, split, **options):
        (name,) = options.values()
        g = torch.Generator().manual_seed(len(name) + len(split))
        x = torch.randn(40, 10, generator=g) + 3 * (name == "b")
        classes = ["no", "yes"] if name != "odd" else ["no", "maybe"]
        return Dataset(task, split, x, torch.arange(40) % 2, classes, None)

    monkeypatch.setattr(pairs, "load", load)
    monkeypatch.setattr(pairs, "cached_features", lambda backbone, x, size: x)
    pairs.domain.cache_clear()
    pairs.domain_pair.cache_clear()
    yield
    pairs.domain.cache_clear()  # other tests shall not meet the stand-ins
    pairs.domain_pair.cache_clear()


def test_all_directions_keep_every_distance_up_to_one_scale():
    pair = pairs.domain_pair("emoji", "a", "b", dims=10)
    raw = torch.cat([pairs.domain("emoji", "a", "train")[0], pairs.domain("emoji", "b", "test")[0]])
    ratio = torch.cdist(raw, raw)[0, 1:] / torch.cdist(*[torch.cat([pair.source, pair.test])] * 2)[0, 1:]
    assert torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-3)
    assert float(pair.source.std()) == pytest.approx(1, rel=1e-4)


def test_the_first_direction_is_the_gap_between_the_domains():
    pair = pairs.domain_pair("emoji", "a", "b", dims=2)
    assert pair.source.shape == (40, 2)
    gap = (pair.source.mean(0) - pair.target.mean(0)).abs()
    assert gap[0] > 5 * gap[1]


def test_a_limit_is_a_fixed_choice_of_examples_with_their_labels():
    x, y = pairs.domain("emoji", "a", "train")
    few_x, few_y = pairs.domain("emoji", "a", "train", limit=7)
    keep = np.random.default_rng(0).permutation(40)[:7]
    whole = pairs.load("emoji", "train", style="a")
    assert torch.equal(few_x, whole.x[keep])
    assert torch.equal(few_y, whole.y[keep])
    assert len(x) == len(y) == 40


def test_bad_input_gets_one_sentence():
    with pytest.raises(UserError, match=r"Unknown task 'emojis'.*'emoji'"):
        pairs.domain("emojis", "a", "train")
    with pytest.raises(UserError, match="different labels"):
        pairs.domain_pair("emoji", "a", "odd")
    with pytest.raises(UserError, match="dims = 99"):
        pairs.domain_pair("emoji", "a", "b", dims=99)
