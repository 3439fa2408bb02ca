import pytest
import torch

from transferlib.domains.checks import check_domains, check_features, check_labels
from transferlib.errors import UserError


def test_good_input_passes_through():
    x = torch.randn(4, 3)
    assert check_features("source", x) is x
    check_domains(x, torch.randn(5, 3))
    check_labels(["a", "b"], ["a", "b"], torch.tensor([0, 1, 1]))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(4), "shape"),
        (torch.randn(1, 3), "1 example"),
        (torch.tensor([[1.0, float("nan")], [0.0, 1.0]]), "1 of 2 rows"),
        (torch.tensor([[1.0, float("inf")], [0.0, 1.0]]), "infinite"),
        (torch.full((4, 3), 0.3), "constant"),
    ],
)
def test_bad_features_are_named(x, words):
    with pytest.raises(UserError, match=words):
        check_features("source", x)


def test_different_widths_are_named():
    with pytest.raises(UserError, match="3 features and the target 4"):
        check_domains(torch.randn(5, 3), torch.randn(5, 4))


def test_different_label_sets_are_named():
    with pytest.raises(UserError, match=r"only in the source \['dog'\].*only in the target \['fox'\]"):
        check_labels(["cat", "dog"], ["cat", "fox"])
    with pytest.raises(UserError, match="differently"):
        check_labels(["cat", "dog"], ["dog", "cat"])


def test_a_class_missing_in_the_target_is_named():
    with pytest.raises(UserError, match="no example of 'dog'"):
        check_labels(["cat", "dog"], ["cat", "dog"], torch.tensor([0, 0]))
