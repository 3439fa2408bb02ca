"""Labels that may be wrong, against cleanlab and against labels that were flipped on purpose."""

import numpy as np
import pytest
import torch
from cleanlab.filter import find_label_issues

from transferlib.errors import UserError
from transferlib.own_data.label_errors import label_errors


def made(seed: int, n: int = 600, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(probabilities, labels with flips, positions of the flips)."""
    g = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, classes, (n,), generator=g)
    p = (1.5 * torch.randn(n, classes, generator=g) + 4 * torch.eye(classes)[truth]).softmax(1)
    flipped = torch.randperm(n, generator=g)[:40]
    y = truth.clone()
    y[flipped] = (truth[flipped] + 1 + torch.randint(0, classes - 1, (40,), generator=g)) % classes
    return p, y, flipped


@pytest.mark.parametrize("seed", range(5))
def test_the_suspects_and_their_order_are_cleanlabs(seed: int) -> None:
    p, y, _ = made(seed)
    theirs = find_label_issues(y.numpy(), p.double().numpy(), filter_by="confident_learning", n_jobs=1,
                               return_indices_ranked_by="self_confidence", min_examples_per_class=0)  # fmt: skip
    assert label_errors(p, y).tolist() == np.asarray(theirs).tolist()


def test_a_label_that_is_the_models_own_answer_too_is_no_suspect() -> None:
    p = torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.7, 0.3], [0.7, 0.3], [0.7, 0.3]])
    y = torch.tensor([0, 0, 0, 1, 1, 1])  # row 2 is below its class's mean and above the other's
    theirs = find_label_issues(y.numpy(), p.double().numpy(), filter_by="confident_learning", n_jobs=1,
                               min_examples_per_class=0)  # fmt: skip
    assert not theirs[2] and 2 not in label_errors(p, y).tolist()


def test_flipped_labels_are_found() -> None:
    p, y, flipped = made(0)
    found = set(label_errors(p, y).tolist())
    assert len(found & set(flipped.tolist())) >= 28 and len(found) <= 60


def test_right_labels_are_left_alone_and_a_class_without_examples_is_never_called() -> None:
    p = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.2, 0.3, 0.5]])
    assert label_errors(p, torch.tensor([0, 1, 1])).tolist() == []
    with pytest.raises(UserError, match="N labels"):
        label_errors(p, torch.tensor([0, 1]))
