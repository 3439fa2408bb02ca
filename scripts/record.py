"""Make the results of the last full run the record that ``make read`` and ``make lab`` use, in ``book/record``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from entry import main

from transferlib.errors import UserError
from transferlib.runs import record

RECORD = Path(__file__).resolve().parents[1] / "book" / "record"
LARGEST = 6_000_000  # bytes: it travels with every clone
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def keep(
    build: Annotated[Path, typer.Option(envvar="TRANSFERLIB_BUILD", help="Folder the chapters were executed into.")],
    only: Annotated[str, typer.Option(help="Chapters to record, such as 01,02; empty: all.")] = "",
) -> None:
    """Record every sweep of the executed chapters; refused for another profile than cpu and above 6 MB."""
    wanted, swept_by = only.replace(",", " ").split(), {}
    for path in sorted((build / "provenance").glob("[0-9]*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["profile"] != "cpu":
            raise UserError(f"Chapter {path.stem} was run with PROFILE={body['profile']}: record a run of PROFILE=cpu.")
        if not wanted or path.stem in wanted:
            swept_by[path.stem] = set(body.get("sweeps", []))
    keys = set().union(*swept_by.values())
    sizes = {key: file.stat().st_size for key in keys if (file := build / "sweeps" / f"{key}.npz").is_file()}
    if sum(sizes.values()) > LARGEST:  # before anything of the old record is touched
        largest = max(sizes, key=lambda key: sizes[key])
        chapters = ", ".join(chapter for chapter, swept in swept_by.items() if largest in swept)
        raise UserError(
            f"The record would take {sum(sizes.values()) / 1e6:.1f} MB, above {LARGEST / 1e6:.0f}; the largest sweep, "
            f"of chapter {chapters}, has {sizes[largest] / 1e6:.1f} MB: return smaller tables there, or leave it out "
            "with CHAPTER=01,02."
        )
    size = record.collect(build / "sweeps", RECORD, sorted(keys))
    print(f"{len(keys)} sweeps recorded, {size / 1e6:.2f} MB, in {RECORD}")


if __name__ == "__main__":
    main(app)
