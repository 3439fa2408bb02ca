"""One way to run a notebook headless, and what to say when a cell fails."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transferlib.errors import needs

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


class CellError(Exception):
    """A cell that failed: its number, its source, the error's name and sentence, and the way there."""

    def __init__(self, cell: int, source: str, name: str, sentence: str, trace: str) -> None:
        super().__init__(f"{name}: {sentence}")
        self.cell, self.source, self.name, self.sentence, self.trace = cell, source, name, sentence, trace


def execute(
    notebook: Any, target: Path, parameters: Mapping[str, Any], *, cwd: Path, work: Path, progress: str = ""
) -> None:
    """Run a notebook with papermill; ``target`` appears only when every cell ran.

    ``notebook`` as jupytext reads it; ``work`` a folder of this run's own, removed afterwards; ``progress`` the name
    before the bar, or no bar.

    Raises:
        CellError: a cell failed.
    """
    needs("papermill", "book", "Running a notebook")
    import nbformat
    import papermill

    work.mkdir(parents=True, exist_ok=True)
    notebook.metadata["kernelspec"] = KERNEL
    try:
        nbformat.write(notebook, work / "in.ipynb")
        papermill.execute_notebook(
            work / "in.ipynb", work / "out.ipynb", dict(parameters), kernel_name="python3", cwd=str(cwd),
            extra_arguments=["--Application.log_level=CRITICAL"],  # a kernel's farewell reads like an error
            progress_bar={"desc": progress, "mininterval": 1} if progress else False,
            log_output=False, request_save_on_cell_execute=False,
        )  # fmt: skip
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / "out.ipynb").replace(target)
    except papermill.PapermillExecutionError as error:
        trace = "\n".join(error.traceback)
        raise CellError(error.cell_index, error.source, error.ename, error.evalue, trace) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
