"""What ``make`` calls: which chapters are stale, execute one, stage the book's sources, give the verdict.

A chapter is executed again when the key that lies beside its executed notebook is not today's.
"""

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from entry import main

from transferlib.course.facts import disagreements
from transferlib.course.profiles import check_device, check_profile
from transferlib.errors import UserError, nearest
from transferlib.runs.files import write
from transferlib.runs.provenance import code_key, digest, meaning, versions

# jupytext and nbformat take seconds to import: only the commands that need them do.
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.DOTALL | re.MULTILINE)
ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Build = Annotated[Path, typer.Option(envvar="TRANSFERLIB_BUILD", help="Folder everything is written to.")]
Parameters = Annotated[str, typer.Option(envvar="TRANSFERLIB_PARAMETERS", help="PROFILE SEED DEVICE DATA_ROOT.")]


def chapters() -> list[Path]:
    """The chapters, in reading order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.md"))


def parse(parameters: str) -> dict[str, Any]:
    """``"cpu 0 cpu /data"`` as the notebook's parameters, checked."""
    profile, seed, device, root = (parameters.split(" ", 3) + [""] * 4)[:4]
    if not seed.isdecimal():
        raise UserError(f"SEED={seed!r} is not a seed: use a whole number from 0.")
    check_profile(profile)
    if device != "cpu":  # torch takes seconds to import; the processor is always there
        check_device(device)
    return {"PROFILE": profile, "SEED": int(seed), "DEVICE": device, "DATA_ROOT": root}


def code_cells(notebook: Any) -> list[Any]:
    """The cells that run, without the one papermill adds."""
    kept = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in kept if "injected-parameters" not in cell.metadata.get("tags", [])]


def key(path: Path, parameters: dict[str, Any]) -> str:
    """What the outputs of a chapter depend on: its code, what that imports, the pins, the parameters."""
    sources = "\n\n".join(found.group(2) for found in CELL.finditer(path.read_text(encoding="utf-8")))
    try:
        code = code_key(sources)
    except SyntaxError as error:
        raise UserError(
            f"{path.name} has a code cell that Python cannot read: {error.msg} in {error.text!r}."
        ) from None
    lock = (ROOT / "requirements.lock").read_bytes()
    return digest(code, lock, json.dumps(parameters, sort_keys=True), str(versions()))


def expected(name: str) -> float:
    """Seconds a chapter took in the reference run: begun first, a long one does not run alone at the end.

    Without a reference, or with one that found results on the disk, nobody knows: such a chapter is begun first.
    """
    path = ROOT / "book" / "reference" / f"{name[:2]}.json"
    run = json.loads(path.read_text(encoding="utf-8"))["provenance"] if path.is_file() else {}
    return float(run["wall_seconds"]) if run.get("whole") else float("inf")


@app.command()
def stale(build: Build, parameters: Parameters, only: str = "") -> None:
    """Print the chapters to execute, the longest first: those whose kept key is not today's. Nothing when none is."""
    settings = parse(parameters)
    wanted = only.replace(",", " ").split()
    known = [path.stem for path in chapters()]
    for name in wanted:
        if not any(stem.startswith(name) for stem in known):
            raise UserError(f"CHAPTER={name!r} is unknown: {nearest(name, known)}")
    asked = [path for path in chapters() if not wanted or any(path.stem.startswith(name) for name in wanted)]
    found = [path.stem for path in asked if kept_key(build, path.stem) != key(path, settings)]
    print(" ".join(sorted(found, key=expected, reverse=True)))


def kept_key(build: Path, name: str) -> str:
    """The key under which a chapter was executed; empty when it was not, or not to its end."""
    executed = build / "executed" / f"{name}.ipynb"
    mark = executed.with_suffix(".key")
    return mark.read_text(encoding="utf-8").strip() if executed.is_file() and mark.is_file() else ""


@app.command()
def execute(name: str, build: Build, parameters: Parameters) -> None:
    """Execute one chapter headless; the executed notebook appears only when every cell ran, and its key after it."""
    import jupytext

    from transferlib.runs import notebooks

    settings, source = parse(parameters), NOTEBOOKS / f"{name}.md"
    target, report = build / "executed" / f"{name}.ipynb", build / "failed" / f"{name}.txt"
    today, started = key(source, settings), time.time()  # the key of the code that runs, not of later edits
    report.unlink(missing_ok=True)
    target.with_suffix(".key").unlink(missing_ok=True)
    try:
        work = build / "work" / f"{name}-{os.getpid()}"
        notebooks.execute(jupytext.read(source), target, settings, cwd=NOTEBOOKS, work=work, progress=name)
    except notebooks.CellError as error:
        trace = "" if error.name == "UserError" else error.trace
        write(report, f"{name}, cell {error.cell}:\n\n{error.source}\n\n{trace}\n{error}\n")
        print(f"{name} failed in cell {error.cell}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    write(target.with_suffix(".key"), today + "\n")
    print(f"{name} executed in {time.time() - started:.0f} s", file=sys.stderr)


def merged(path: Path, executed: Path) -> str:
    """Today's prose with the outputs of the run: an edit to the text needs no execution."""
    import jupytext
    import nbformat

    page, ran = jupytext.read(path), nbformat.read(executed, as_version=4)
    if [meaning(cell.source) for cell in code_cells(page)] != [meaning(cell.source) for cell in code_cells(ran)]:
        raise UserError(
            f"{path.name} has other code than its last execution: run `make execute CHAPTER={path.stem[:2]}`."
        )
    for cell, done in zip(code_cells(page), code_cells(ran), strict=True):
        # Progress bars speak on stderr; they are for the one who waits, not for the reader.
        cell.outputs = [o for o in done.outputs if o.get("name") != "stderr"]
        cell.execution_count = done.execution_count
    for number, cell in enumerate(page.cells):
        cell["id"] = f"cell-{number}"  # jupytext draws random ones: the same page must be the same bytes
    return nbformat.writes(page) + "\n"


@app.command()
def stage(build: Build) -> None:
    """Collect what Sphinx reads: the book's pages, the executed chapters, metrics and provenance."""
    source = build / "src"
    kept: set[Path] = set()
    for path in (p for p in (ROOT / "book").rglob("*") if p.is_file() and not {"__pycache__", "record"} & set(p.parts)):
        kept.add(target := source / path.relative_to(ROOT / "book"))
        if not target.is_file() or target.stat().st_mtime_ns != path.stat().st_mtime_ns:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    for path in chapters():
        executed = build / "executed" / f"{path.stem}.ipynb"
        if executed.is_file():
            kept.add(target := source / "chapters" / f"{path.stem}.ipynb")
            write(target, merged(path, executed))
    for folder in ("metrics", "provenance"):
        for path in (build / folder).glob("*.json"):
            kept.add(target := source / "_data" / folder / path.name)
            write(target, path.read_text(encoding="utf-8"))
    for path in (ROOT / "CHANGELOG.md",):
        kept.add(target := source / "_data" / path.name)
        write(target, path.read_text(encoding="utf-8"))
    for path in source.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()


def claims(body: dict[str, Any], *verdicts: str) -> list[str]:
    """A sentence for each claim of a chapter's metrics with one of these verdicts."""
    if any("verdict" not in claim for claim in body["claims"]):
        number = body["chapter"]
        raise UserError(
            f"The metrics of chapter {number} were measured by an older release: run `make execute CHAPTER={number}`."
        )
    return [claim["spoken"] for claim in body["claims"] if claim["verdict"] in verdicts]


@app.command()
def verdict(build: Build, strict: bool = False) -> None:
    """Say which chapters failed and which claims are contradicted or weaker here.

    Exit status 1 for a failed chapter or a contradicted claim; a claim that is only weaker here is listed, and fails
    nothing but a ``--strict`` verdict.
    """
    names = {path.stem for path in chapters()}
    failed = [p for p in sorted((build / "failed").glob("*.txt")) if p.stem in names]
    bodies = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((build / "metrics").glob("*.json"))]
    weaker, contradicted = (
        [f"chapter {body['chapter']}, {sentence}" for body in bodies for sentence in claims(body, kind)]
        for kind in ("weaker", "contradicted")
    )
    contradicted += disagreements(bodies)
    for path in failed:
        print(f"\n{path.read_text(encoding='utf-8').strip()}", file=sys.stderr)
    print("\n".join([*contradicted, *weaker]), file=sys.stderr, end="\n" if contradicted or weaker else "")
    if weaker:
        print(
            f"{len(weaker)} of {sum(len(body['claims']) for body in bodies)} claims are weaker here: the interval of "
            "this run includes the threshold. The pages mark them.",
            file=sys.stderr,
        )
    if failed or contradicted:
        print(f"\n{len(failed)} chapters failed, {len(contradicted)} claims are contradicted.", file=sys.stderr)
        if not failed:
            print(
                "The book is not built. `make html` renders it all the same, with those claims marked.", file=sys.stderr
            )
    if failed or contradicted or (strict and weaker):
        raise typer.Exit(1)


if __name__ == "__main__":
    main(app)
