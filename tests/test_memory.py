"""Remembered results: computed once, and not sent along with the function."""

import pytest
from joblib.externals import cloudpickle

from transferlib.memory import _RESULTS, cache


def counted():
    calls = []

    @cache
    def big(n, scale=1):
        calls.append(n)
        return [scale * n] * 100_000

    return big, calls


def test_each_argument_is_computed_once_and_a_new_definition_forgets() -> None:
    big, calls = counted()
    assert big(2) is big(2) and big(2, scale=3)[0] == 6 and calls == [2, 2]
    again, new_calls = counted()
    again(2)
    assert new_calls == [2]


def test_a_copy_for_a_worker_carries_no_results_and_gives_the_same() -> None:
    big, _ = counted()
    value = big(7)
    copy = cloudpickle.dumps(big)
    assert len(copy) < 5_000
    kept = dict(_RESULTS)
    _RESULTS.clear()  # as in a fresh process
    try:
        assert cloudpickle.loads(copy)(7) == value
    finally:
        _RESULTS.update(kept)


def test_arguments_that_cannot_be_hashed_are_refused() -> None:
    big, _ = counted()
    with pytest.raises(TypeError, match="unhashable"):
        big([1])
