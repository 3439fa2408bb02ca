"""A notebook's functions are found without a search of all modules, and their source is what stands in the cell."""

import jupytext
from nbclient import NotebookClient

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


def test_a_cell_s_functions_are_indexed_and_keep_their_key() -> None:
    notebook = jupytext.reads(NOTEBOOK, fmt="py:percent")
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
