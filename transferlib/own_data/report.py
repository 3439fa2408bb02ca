"""Your data's report: chapter 15 run on a folder or a table of yours, as one HTML file that needs nothing else."""

import base64
import io
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from transferlib.course.profiles import check_device, check_profile
from transferlib.datasets.collection import Collection, collect
from transferlib.datasets.pictures import read
from transferlib.errors import UserError

HERE = Path(__file__).parent
NOTEBOOK = HERE.parents[1] / "notebooks" / "15_your_own_data.md"
COURSE = {"course", "exercise"}  # tags of cells that teach and do not report


def listed(sentences: Sequence[str]) -> str:
    """Sentences as an HTML list. They are text: markup in a file's name stays visible and does nothing."""
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def shown(found: Collection, rows: Sequence[int], captions: Sequence[str], size: int = 96) -> str:
    """Examples side by side with what is to be said about each, as HTML: small pictures inside the page, or texts."""
    parts = []
    for row, caption in zip(rows, captions, strict=True):
        item = found.items[row]
        body = f"<q>{escape(item[:200])}</q>"
        if found.kind == "images":
            buffer = io.BytesIO()
            Image.fromarray(read(found.root / item, size).permute(1, 2, 0).numpy()).save(buffer, "PNG")  # → (H, W, 3)
            data = base64.b64encode(buffer.getvalue()).decode()
            name = escape(item, quote=True)
            body = (
                f'<img src="data:image/png;base64,{data}" alt="{name}" title="{name}" width="{size}" height="{size}">'
            )
        parts.append(f"<figure>{body}<figcaption>{escape(caption)}</figcaption></figure>")
    return f'<div class="hs-examples hs-examples--{found.kind}">{"".join(parts)}</div>'


def report(
    data: str | Path, out: str | Path = "report", *, profile: str = "cpu", seed: int = 0, device: str = "cpu",
    executor: str = "local",
) -> Path:  # fmt: skip
    """Run chapter 15 on ``data`` and write ``report.html``, ``metrics.json``, ``model/`` and ``figures/`` into ``out``.

    What was computed is kept: interrupted and started again, it goes on where it stopped. Returns the HTML file.

    Raises:
        UserError: what :func:`transferlib.datasets.collection.collect` says about the data, a folder that cannot be
            written, an unknown setting, too little memory or space, or the package without the notebooks beside it.
    """
    import jupytext
    import nbformat
    import papermill

    check_profile(profile)
    check_device(device)
    if not NOTEBOOK.is_file():
        raise UserError(
            f"The report is chapter 15, and {str(NOTEBOOK)!r} is not there: install from a clone (make setup)."
        )
    collect(data)  # what is wrong with the data is said before anything is started
    place = _writable(Path(out))
    settings = {"PROFILE": profile, "SEED": seed, "DEVICE": device, "DATA": str(Path(data).expanduser().resolve())}
    environment = {"TRANSFERLIB_BUILD": str(place), "TRANSFERLIB_EXECUTOR": executor, "TOKENIZERS_PARALLELISM": "false",
                   "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # fmt: skip
    notebook = lean(jupytext.read(NOTEBOOK))
    try:
        with _environment(environment):
            nbformat.write(notebook, place / ".in.ipynb")
            papermill.execute_notebook(
                place / ".in.ipynb", place / "report.ipynb", settings, kernel_name="python3", cwd=str(place),
                extra_arguments=["--Application.log_level=CRITICAL"],  # a kernel's farewell reads like an error
                progress_bar=False, stderr_file=sys.stderr, request_save_on_cell_execute=False,
            )  # fmt: skip
        done = nbformat.read(place / "report.ipynb", as_version=4)
        shutil.copy(place / "metrics" / "15.json", place / "metrics.json")
        target = place / "report.html"
        target.write_text(page(done, Path(data).name), encoding="utf-8")
    except papermill.PapermillExecutionError as error:
        raise UserError(_sentence(error.ename, error.evalue, place)) from error
    except OSError as error:
        raise UserError(_sentence("OSError", str(error), place)) from error
    except Exception as error:
        if type(error).__name__ != "DeadKernelError":
            raise
        raise UserError(_sentence("MemoryError", "", place)) from error
    finally:
        (place / ".in.ipynb").unlink(missing_ok=True)
    return target


def _sentence(name: str, value: str, place: Path) -> str:
    """What went wrong inside the run, said once. What was computed before it is kept."""
    if name == "UserError":
        return value
    if name in ("MemoryError", "OutOfMemoryError") or "not enough memory" in value or "DefaultCPUAllocator" in value:
        return "The report needs more memory than there is: use fewer examples. What was computed is kept."
    if "No space left" in value:
        return f"The disk is full ({value}): free some space and run the same command again. What was computed is kept."
    return f"The report stopped: {name}: {value}. The whole story is in {str(place / 'report.ipynb')!r}."


def lean(notebook: Any) -> Any:
    """The chapter as a report: cells that only teach go, and of the prose the headings stay that something follows."""
    kept: list[Any] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = "\n\n".join(line for line in cell.source.split("\n") if line.startswith("### "))
            if cell.source:
                kept = kept[:-1] if kept and kept[-1].cell_type == "markdown" else kept
                kept.append(cell)
        elif not COURSE & set(cell.metadata.get("tags", [])):
            kept.append(cell)
    notebook.cells = kept[:-1] if kept and kept[-1].cell_type == "markdown" else kept
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def page(notebook: Any, title: str) -> str:
    """The executed report as one HTML file: outputs and headings, the decision first, nothing fetched from anywhere."""
    from nbconvert import HTMLExporter

    notebook.cells.sort(key=lambda cell: "summary" not in cell.metadata.get("tags", []))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                o for o in cell.outputs if o.output_type in ("display_data", "execute_result") and _visible(o)
            ]
    body, _ = HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    ).from_notebook_node(notebook)
    css = (HERE / "report.css").read_text(encoding="utf-8")
    name = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>Report: {name}</title><style>{css}</style></head>\n<body><main><h1>{name}</h1>\n{body}\n"
        "<footer>Written by Head Start, chapter 15. Intervals are 95 %.</footer></main></body></html>\n"
    )


def _visible(output: Mapping[str, Any]) -> bool:
    return not any(kind.startswith("application/papermill") for kind in output["data"])


def _writable(place: Path) -> Path:
    """The folder, made if need be, after a test that something can be written there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place / ".test").write_text("test")
        (place / ".test").unlink()
    except OSError as error:
        raise UserError(
            f"Nothing can be written to {str(place)!r} ({error.strerror}): choose another folder with --out."
        ) from None
    return place.resolve()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Settings for the notebook's own process, which inherits them."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
