"""The notebooks that Colab opens begin with a cell that fetches the repository, installs it and opens the record."""

import json
import re
from pathlib import Path

from sphinx.application import Sphinx

NAME = "colab-setup"
CELL = """\
# On Colab: fetch the book, install what it needs, and read recorded results instead of measuring for half an hour.
import sys

if "google.colab" in sys.modules:
    import os

    HOME = "/content/head-start"
    !git clone --quiet --depth 1 --branch {branch} {repository} {{HOME}}
    %pip install --quiet "{{HOME}}[book]"
    sys.path.insert(0, HOME)
    os.environ["TRANSFERLIB_RECORD"] = f"{{HOME}}/book/record"
    os.chdir(f"{{HOME}}/notebooks")"""


def address(repository: str) -> str:
    """The repository's address when it is one on GitHub that a shell may read, else nothing."""
    return repository if re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", repository) else ""


def prepare(notebook: Path, repository: str, branch: str) -> None:
    """Put the cell in front of a notebook, once."""
    body = json.loads(notebook.read_text(encoding="utf-8"))
    if body["cells"] and body["cells"][0].get("id") == NAME:
        return
    source = CELL.format(repository=repository, branch=branch)
    cell = {"cell_type": "code", "id": NAME, "metadata": {"tags": ["hide-input"]}, "execution_count": None,
            "outputs": [], "source": source.splitlines(keepends=True)}  # fmt: skip
    body["cells"].insert(0, cell)
    notebook.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _finish(app: Sphinx, failed: Exception | None) -> None:
    repository, branch = address(app.config.hs_repository), app.config.hs_branch
    if failed or app.builder.format != "html" or not repository or not re.fullmatch(r"[\w./-]+", branch):
        return
    for notebook in sorted((Path(app.outdir) / "_sources" / "chapters").glob("[0-9]*.ipynb")):
        prepare(notebook, repository, branch)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
