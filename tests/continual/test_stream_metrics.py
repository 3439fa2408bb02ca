"""The four numbers of a stream, by hand."""

import numpy as np
import pytest

from transferlib.continual.streams import average_accuracy, backward_transfer, forgetting, forward_transfer

MATRIX = np.array(
    [[0.1, 0.2, 0.3, 0.1], [0.85, 0.4, 0.3, 0.1], [0.95, 0.8, 0.5, 0.2], [0.7, 0.6, 0.9, 0.2], [0.6, 0.7, 0.5, 1.0]]
)


def test_average_accuracy_is_the_last_row():
    assert average_accuracy(MATRIX) == pytest.approx((0.6 + 0.7 + 0.5 + 1.0) / 4)


def test_forgetting_is_counted_from_the_best_earlier_time():
    assert forgetting(MATRIX) == pytest.approx(((0.95 - 0.6) + (0.8 - 0.7) + (0.9 - 0.5)) / 3)


def test_backward_transfer_is_counted_from_just_after_learning():
    assert backward_transfer(MATRIX) == pytest.approx(((0.6 - 0.85) + (0.7 - 0.8) + (0.5 - 0.9)) / 3)


def test_forward_transfer_is_counted_from_before_any_training():
    assert forward_transfer(MATRIX) == pytest.approx(((0.4 - 0.2) + (0.5 - 0.3) + (0.2 - 0.1)) / 3)
