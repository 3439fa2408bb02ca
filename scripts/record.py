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
    wanted, keys = only.replace(",", " ").split(), set()
    for path in sorted((build / "provenance").glob("[0-9]*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["profile"] != "cpu":
            raise UserError(f"Chapter {path.stem} was run with PROFILE={body['profile']}: record a run of PROFILE=cpu.")
        if not wanted or path.stem in wanted:
            keys |= set(body.get("sweeps", []))
    size = record.collect(build / "sweeps", RECORD, sorted(keys))
    if size > LARGEST:
        raise UserError(f"The record would take {size / 1e6:.1f} MB, above {LARGEST / 1e6:.0f}: return smaller tables.")
    print(f"{len(keys)} sweeps recorded, {size / 1e6:.2f} MB, in {RECORD}")


if __name__ == "__main__":
    main(app)
