"""The cells of a notebook, where ``inspect`` finds them at once.

A sweep's key reads the source of each function it can reach. For a function of a notebook, ``inspect`` searches all
loaded modules, twice a function: in a chapter of a hundred sweeps, a third of the time that reading the record takes.
"""

import inspect
import sys
from typing import Any


def indexed() -> None:
    """From the next cell on, tell ``inspect`` that what a notebook defines belongs to ``__main__``.

    Does nothing outside of a notebook. The source that ``inspect`` finds, and so every key, stays the same.
    """
    shell = _shell()
    if shell is not None:
        shell.events.register("pre_run_cell", _index)  # a second time changes nothing


def _shell() -> Any:
    ipython = sys.modules.get("IPython")  # None where it is not there, or may not be imported
    return ipython.get_ipython() if ipython else None


def _index(info: Any) -> None:
    shell = _shell()
    file = shell.compile.get_code_name(info.raw_cell, info.raw_cell, shell.execution_count)
    inspect.modulesbyfile[file] = "__main__"  # the table it looks into first
