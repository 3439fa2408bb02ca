"""What every function asks of its tensors."""

import numpy as np
import pytest
import torch

from transferlib.errors import UserError
from transferlib.tensors import at_least_single, class_numbers, several, trainable_in


def test_class_numbers_are_int64_and_the_same_numbers() -> None:
    y = torch.tensor([0, 2, 1])
    for given in (y, y.int(), y.to(torch.uint8), np.array([0, 2, 1]), [0, 2, 1]):
        assert class_numbers(given, 3, 3).equal(y) and class_numbers(given).dtype == torch.int64
    assert class_numbers(torch.tensor([], dtype=torch.long)).tolist() == []
    assert class_numbers(torch.tensor([7, 9])).tolist() == [7, 9]  # without a model any number may be the largest


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([1, 2, 3], "from 1 to 3, but classes count from 0 to 2, one for each of the model's 3 outputs: subtract 1"),
        ([0, 4, 1], "from 0 to 4.*number them anew"),
        ([0, -1, 1], "from -1 to 1"),
        ([0.0, 1.0, 2.0], "torch.float32"),
        ([1j, 0, 0], "torch.complex64"),
        ([[0], [1], [2]], r"shape \(3, 1\).*squeeze"),
        ([[1, 0], [0, 1], [1, 0]], r"shape \(3, 2\).*argmax"),
        ([0, 1], "3 examples and 2 answers"),
    ],
)
def test_anything_else_is_one_sentence(y: list[float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        class_numbers(torch.tensor(y), 3, 3, "answers")


def test_only_half_precision_is_widened() -> None:
    x = torch.ones(2)
    assert at_least_single(x) is x and at_least_single(x.half()).dtype == torch.float32
    assert at_least_single(x.double()).dtype == torch.float64
    with pytest.raises(UserError, match="int64"):
        at_least_single(torch.ones(2).long())


def test_a_string_is_no_list_and_float16_cannot_be_trained() -> None:
    assert several("names", ("a", "b")) == ["a", "b"] and several("names", iter("ab")) == ["a", "b"]
    for one in ("great", b"great"):
        with pytest.raises(UserError, match="single string"):
            several("names", one)
    with pytest.raises(UserError, match="float16"):
        trainable_in([torch.ones(1), torch.ones(1).half()])
