"""Remembered results: computed once, and not sent along with the function."""

import os
import subprocess
import sys

import pytest
import torch

from transferlib.runs.memory import cache

SCRIPT = """
from transferlib.runs.memory import cache
from transferlib.runs.sweep import sweep

@cache
def table(n):
    return list(range(n))

def total(i):
    return {"total": sum(table(10)) + i}

if __name__ == "__main__":
    table(10)
    print(sweep(total, [{"i": i} for i in range(4)], n_jobs=2)["total"].tolist())
"""


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


def test_the_workers_of_a_sweep_can_use_it(tmp_path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    env = {**os.environ, "TRANSFERLIB_CACHE": str(tmp_path)}
    run = subprocess.run([sys.executable, tmp_path / "script.py"], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[45, 46, 47, 48]"


def test_arguments_that_cannot_be_hashed_are_refused() -> None:
    big, _ = counted()
    with pytest.raises(TypeError, match="unhashable"):
        big([1])


def test_what_is_drawn_next_does_not_depend_on_what_is_remembered() -> None:
    @cache
    def started(n):
        return torch.rand(n)  # such as the random start of a network

    drawn = []
    for _ in range(2):  # the first time it is computed, the second time it is remembered
        torch.manual_seed(0)
        started(3)
        drawn.append(torch.rand(4))
    assert torch.equal(*drawn)
