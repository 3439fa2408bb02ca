"""Has anything drifted? Today's metrics of the cpu profile against the committed ones, in ``book/reference``.

A mean must lie inside the reference's 95 % interval, give or take rounding; a number without one, within two hundredths
of it; a text must be the same. A claim that no longer holds is named with its value.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from entry import main

from book import claims
from transferlib.errors import UserError
from transferlib.runs.provenance import processor
from transferlib.runs.record import unpacked

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "book" / "reference"
CHAPTERS = "[0-9][0-9].json"  # beside them lies what the page on speed shows
CLOSE, ROUNDING = 0.02, 1e-4
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Build = Annotated[Path, typer.Option(envvar="TRANSFERLIB_BUILD", help="Folder the chapters were executed into.")]


def drift(reference: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """A sentence for each metric of one chapter that left its interval, and each claim that broke."""
    old, new = reference["metrics"], now["metrics"]
    yield from (f"{name} is no longer measured" for name in sorted(old.keys() - new.keys()))
    yield from (f"{name} is new: it has no reference" for name in sorted(new.keys() - old.keys() - {"widget"}))
    for name in sorted(old.keys() & new.keys()):
        was, value = old[name], new[name]
        if isinstance(was, dict) and {"mean", "low", "high"} <= was.keys():
            low, high = (
                -math.inf if was["low"] is None else was["low"],
                math.inf if was["high"] is None else was["high"],
            )
            near = math.isclose(was["mean"], value["mean"], rel_tol=ROUNDING)  # an interval can have no width
            if not (low <= value["mean"] <= high or near):
                yield f"{name} = {value['mean']:.6g} lies outside [{low:.6g}, {high:.6g}]"
        elif isinstance(was, int | float) and isinstance(value, int | float):
            if not math.isclose(was, value, rel_tol=CLOSE, abs_tol=1e-9):
                yield f"{name} = {value:.6g} instead of {was:.6g}"
        elif was != value:
            yield f"{name} = {value!r} instead of {was!r}"
    yield from claims(now, "weaker", "contradicted")


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


@app.command()
def check(build: Build) -> None:
    """Print every metric that drifted; exit status 1 when there is one."""
    if not list(REFERENCE.glob(CHAPTERS)):
        raise UserError(
            f"There is no reference in {str(REFERENCE)!r}: run `make reference` after a full `make execute`."
        )
    found, measured, elsewhere = [], 0, set[str]()
    for path in sorted(REFERENCE.glob(CHAPTERS)):
        today = build / "metrics" / path.name
        if not today.is_file():
            found.append(f"chapter {path.stem}: it was not executed")
            continue
        reference, now = _read(path), _read(today)
        if now["profile"] != "cpu" or now["seed"] != reference["seed"]:
            raise UserError(f"The reference is of PROFILE=cpu SEED={reference['seed']}: this run is another one.")
        measured += len(reference["metrics"])
        elsewhere.add(str(reference.get("provenance", {}).get("processor", "unknown")))
        found += [f"chapter {path.stem}: {line}" for line in drift(reference, now)]
    print("\n".join([*found, f"{len(found)} of {measured} metrics drifted."]))
    if found:
        if elsewhere != {processor()}:
            print(
                f"The reference is of another processor ({', '.join(sorted(elsewhere))}; here {processor()}): it rounds"
            )
            print("in another order, which moves what was trained. A claim has to hold on both.")
        raise typer.Exit(1)


def whole(run: dict[str, Any], sweeps: Path) -> bool:
    """Did this run measure each result that its chapter shows? A result kept from another says nothing on its cost."""
    files = [sweeps / f"{key}.npz" for key in run["sweeps"]]
    shown = sum(len(unpacked(file.read_bytes())) for file in files if file.is_file())
    return not run["cells_kept"] or run["cells_computed"] >= shown  # a cell that was asked for twice was kept once


@app.command()
def keep(build: Build) -> None:
    """Make today's metrics the reference, with where they come from; refused when a claim does not hold."""
    for path in sorted((build / "metrics").glob("*.json")):
        now = _read(path)
        if now["profile"] != "cpu" or any(claim["verdict"] in ("weaker", "contradicted") for claim in now["claims"]):
            raise UserError(f"Chapter {path.stem} is no reference: it needs PROFILE=cpu, and every claim to hold.")
        now["metrics"].pop("widget", None)
        now["provenance"] = _read(build / "provenance" / path.name)
        now["provenance"]["whole"] = whole(now["provenance"], build / "sweeps")
        REFERENCE.mkdir(exist_ok=True)
        (REFERENCE / path.name).write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(app)
