"""What every preference function asks of its tensors."""

import pytest
import torch

from transferlib.errors import UserError
from transferlib.preference.shapes import for_each, four_log_probs, paired, shaped


def test_a_wrong_shape_is_named_with_its_mending():
    with pytest.raises(UserError, match=r"reference of the chosen has shape \(4, 1\), but \(4,\).*squeeze\(1\)"):
        shaped(reference_of_the_chosen=(torch.zeros(4, 1), (4,)))
    with pytest.raises(UserError, match=r"has shape \(2,\), but \(3,\) is needed\.$"):
        shaped(rewards=(torch.zeros(2), (3,)))


def test_pairs_have_one_rejected_answer_each():
    paired(torch.zeros(2), torch.zeros(2))
    with pytest.raises(UserError, match="got 2 chosen and 3 rejected"):
        paired(torch.zeros(2), torch.zeros(3))
    with pytest.raises(UserError, match=r"reference of the rejected has shape \(1,\)"):
        four_log_probs(torch.zeros(2), torch.zeros(2), torch.zeros(2), torch.zeros(1))


def test_one_mask_counts_for_every_text():
    assert for_each(torch.ones(1, 3), (4, 3)).shape == (4, 3)
    with pytest.raises(UserError, match=r"mask has shape \(3,\)"):
        for_each(torch.ones(3), (4, 3))
