"""A notebook's functions are found without a search of all modules, and their source is what stands in the cell."""

import sys
from pathlib import Path

import jupytext
import papermill
import pytest

from transferlib.course import cells

NOTEBOOK = """
from transferlib.course import cells

cells.indexed()

# %%
import inspect

from transferlib.runs.provenance import function_key

FACTOR = 2

def twice(x):
    return FACTOR * x

indexed = function_key(twice)
assert inspect.modulesbyfile[twice.__code__.co_filename] == "__main__"
assert inspect.getsource(twice) == "def twice(x):\\n    return FACTOR * x\\n"

# %%
del inspect.modulesbyfile[twice.__code__.co_filename]
assert function_key(twice) == indexed
"""


def test_a_cell_s_functions_are_indexed_and_keep_their_key(tmp_path: Path) -> None:
    jupytext.write(jupytext.reads(NOTEBOOK, fmt="py:percent"), tmp_path / "cells.ipynb")
    papermill.execute_notebook(tmp_path / "cells.ipynb", None, kernel_name="python3", progress_bar=False)


@pytest.mark.parametrize("shut", [True, False])
def test_outside_of_a_notebook_nothing_happens(shut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if shut:  # a report keeps the notebook's tools out in this way
        monkeypatch.setitem(sys.modules, "IPython", None)
    else:
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
    cells.indexed()
