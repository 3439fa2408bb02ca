"""The examples in the docstrings of this room run."""

import doctest
from types import ModuleType

import pytest

from transferlib.continual import fisher, importance, penalties, rehearsal, sequential, streams, tasks


@pytest.mark.parametrize("module", [fisher, importance, penalties, rehearsal, sequential, streams, tasks])
def test_the_examples_run(module: ModuleType) -> None:
    assert not doctest.testmod(module).failed
