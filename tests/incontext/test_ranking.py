"""The AUC against scikit-learn, and its spread against DeLong's formula and against new draws."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from transferlib.errors import UserError
from transferlib.incontext.ranking import auc_parts


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_the_mean_is_the_auc_ties_and_unequal_classes_included(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    y = (torch.rand(60, generator=generator) < share).long()
    scores = (torch.randn(60, generator=generator) + y).round(decimals=0)
    assert float(auc_parts(scores, y).mean()) == pytest.approx(roc_auc_score(y, scores), abs=1e-6)


@pytest.mark.parametrize(("ones", "zeros"), [(50, 50), (20, 80)])
def test_the_variance_of_the_mean_is_delongs(ones: int, zeros: int) -> None:
    generator = torch.Generator().manual_seed(1)
    y = torch.tensor([1] * ones + [0] * zeros)
    scores = torch.randn(len(y), generator=generator) + y
    wins = (scores[:ones, None] > scores[None, ones:]).double()
    delong = wins.mean(1).var() / ones + wins.mean(0).var() / zeros
    parts = auc_parts(scores, y)
    assert float(parts.var() / len(y)) == pytest.approx(float(delong), rel=0.03)


def test_the_variance_is_that_of_new_draws() -> None:
    generator, y = torch.Generator().manual_seed(2), torch.arange(100) % 2
    drawn = [auc_parts(torch.randn(100, generator=generator) + y, y) for _ in range(400)]
    told = np.mean([float(parts.var() / 100) for parts in drawn])
    assert told == pytest.approx(float(torch.stack(drawn).mean(1).var()), rel=0.15)


def test_bad_input_is_said_in_one_sentence() -> None:
    with pytest.raises(UserError, match="both classes"):
        auc_parts(torch.zeros(3), torch.zeros(3, dtype=torch.long))
    with pytest.raises(UserError, match="3 examples and 2 labels"):
        auc_parts(torch.zeros(3), torch.tensor([0, 1]))
