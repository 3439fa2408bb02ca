"""JupyterLab's settings for `make lab`: a chapter opens as a notebook that can be read, and is saved as it was.

What a page folds away is there, collapsed, and runs. Prose stands without the book's directives. Both are undone when
the chapter is saved, except in a cell that was edited.
"""

import sys
from pathlib import Path
from typing import Any

from jupytext import AsyncTextFileContentsManager

sys.path.insert(0, str(Path(__file__).resolve().parent))
from plain_markdown import plain

FOLDED = {"hide-input", "remove-input", "remove-cell", "hide-cell", "experiment"}
WRITTEN = "as_written"  # in a cell's metadata: its source in the chapter's file


def opened(notebook: dict[str, Any]) -> dict[str, Any]:
    """Hide the source of folded cells and show plain Markdown, in place.

    >>> cell = {"cell_type": "markdown", "metadata": {}, "source": "A {term}`probe`."}
    >>> opened({"cells": [cell]})["cells"][0]["source"], saved({"cells": [cell]})["cells"][0]["source"]
    ('A *probe*.', 'A {term}`probe`.')
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and (text := plain(cell["source"])) != cell["source"]:
            cell["metadata"][WRITTEN] = cell["source"]
            cell["source"] = text
        elif FOLDED & set(cell["metadata"].get("tags", [])):
            cell["metadata"]["jupyter"] = {"source_hidden": True}
    return notebook


def saved(notebook: dict[str, Any]) -> dict[str, Any]:
    """Undo :func:`opened` in every cell that was not edited, in place."""
    for cell in notebook["cells"]:
        written = cell["metadata"].pop(WRITTEN, None)
        if written is not None and cell["source"] == plain(written):
            cell["source"] = written
    return notebook


class Chapters(AsyncTextFileContentsManager):
    """Text files as notebooks, as Jupytext opens them, with folded cells collapsed and plain prose."""

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        model = await super().get(*args, **kwargs)
        if model["type"] == "notebook" and model["content"]:
            opened(model["content"])
        return model

    async def save(self, model: Any, path: str = "") -> Any:
        if model["type"] == "notebook" and model.get("content"):
            saved(model["content"])
        return await super().save(model, path)


if "get_config" in globals():  # JupyterLab gives this name to its settings files
    get_config().ServerApp.contents_manager_class = Chapters  # type: ignore[name-defined]  # noqa: F821
