"""One table from one run of the benchmarks: printed, and kept with where it comes from, for the book's page."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from transferlib.runs.provenance import facts

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "book" / "reference" / "speed.json"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Run = Annotated[Path, typer.Argument(help="What pytest wrote with --benchmark-json.")]


def line(row: dict[str, Any]) -> str:
    mark = {True: "ok  ", False: "MISS", None: "    "}[row["met"]]
    return f"{mark} {row['piece'][:74]:74} {row['value']:10.2f} {row['unit']:14} {row['target']:8} {row['against']}"


@app.command()
def table(run: Run) -> None:
    """Print every row of the run and write them with the machine, the commit and the versions."""
    found = json.loads(run.read_text(encoding="utf-8"))["benchmarks"]
    rows = [row for one in found for row in one["extra_info"].get("rows", [])]
    growth = [one["extra_info"]["growth"] for one in found if "growth" in one["extra_info"]]
    if not rows:
        print(f"{run} holds no row: no benchmark ran to its end.", file=sys.stderr)
        raise typer.Exit(2)
    print("\n".join(map(line, rows)))
    missed = [row for row in rows if row["met"] is False]
    limits = sum(bool(row["because"]) and row["met"] is None for row in rows)
    met = sum(row["met"] is True for row in rows)
    print(f"{len(rows)} rows, {met} targets met, {len(missed)} missed, {limits} at a limit that the row names.")
    body = {"provenance": {**facts(), "finished": int(time.time())}, "rows": rows, "growth": growth}
    KEPT.write_text(json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    app()
