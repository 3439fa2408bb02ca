"""Do the claims repeat? The book with other seeds, and as an older processor: which hold, are weaker, are contradicted.

``make replicate SEEDS=1000,2000`` and ``make replicate PROCESSOR=avx2``. Each run has a build folder of its own and is
resumed when interrupted; the table of the last runs is kept in ``book/reference/replicate.json`` for the book.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from entry import main

from transferlib.errors import UserError, nearest
from transferlib.runs.cache import cache_dir
from transferlib.runs.files import write

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "book" / "reference" / "replicate.json"
# What an older processor would do: the libraries are asked not to use newer instructions.
PROCESSORS = {"": {}, "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}}
VERDICTS = ("holds", "weaker", "contradicted")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def counted(build: Path) -> dict[str, dict[str, Any]]:
    """Chapter → verdict → the ids of its claims, and the commit and the processor that it ran from.

    Nulls and facts count as holding unless they are marked.
    """
    table: dict[str, dict[str, Any]] = {}
    for path in sorted((build / "metrics").glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        ran = json.loads((build / "provenance" / path.name).read_text(encoding="utf-8"))
        row: dict[str, Any] = {verdict: [] for verdict in VERDICTS}
        row |= {"commit": ran["commit"], "processor": ran["processor"]}
        for claim in body["claims"]:
            verdict = claim["verdict"] if claim["verdict"] in VERDICTS else "holds"
            row[verdict].append(claim["id"])
        table[body["chapter"]] = row
    return table


def printed(name: str, table: dict[str, dict[str, Any]]) -> list[str]:
    """The table of one run as lines: a chapter each, then the sum."""
    lines = [f"{name}: chapter, claims that hold, are weaker, are contradicted"]
    for chapter, row in table.items():
        odd = ", ".join(row["weaker"] + row["contradicted"])
        lines.append(f"  {chapter}  {'  '.join(f'{len(row[v]):3}' for v in VERDICTS)}  {odd}".rstrip())
    sums = [sum(len(row[v]) for row in table.values()) for v in VERDICTS]
    share = 100 * sums[0] / max(1, sum(sums))
    return [*lines, f"  all {'  '.join(f'{n:3}' for n in sums)}  {share:.1f} % hold"]


@app.command()
def run(seeds: str = "", processor_: Annotated[str, typer.Option("--processor")] = "", chapters: str = "") -> None:
    """Execute the book once a seed (0 when none is given) as the processor that is asked for, and print the table."""
    if processor_ not in PROCESSORS:
        raise UserError(f"PROCESSOR={processor_!r} is unknown: {nearest(processor_, [p for p in PROCESSORS if p])}")
    wanted = seeds.replace(",", " ").split() or ["0"]
    if odd := [seed for seed in wanted if not seed.isdecimal()]:
        raise UserError(f"SEEDS={seeds!r} holds {odd[0]!r}, which is no seed: give whole numbers, such as 1000,2000.")
    before: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    environment = {**os.environ, **PROCESSORS[processor_]}
    if processor_:  # another processor's features and trainings are not this one's
        cache = cache_dir() / f"as-{processor_}"
        cache.mkdir(parents=True, exist_ok=True)
        if not (cache / "weights").exists():
            (cache / "weights").symlink_to(cache_dir() / "weights")
        environment["TRANSFERLIB_CACHE"] = str(cache)
    failed = 0
    for seed in wanted:
        name = f"seed {seed}" + (f", as {processor_}" if processor_ else "")
        build = ROOT / "build" / "replicate" / name.replace(", as ", "-").replace(" ", "-")
        words = ["make", "--no-print-directory", "-C", str(ROOT), "execute", f"SEED={seed}", f"BUILD={build}"]
        failed |= subprocess.run([*words, f"CHAPTER={chapters}"], env=environment, check=False).returncode
        table = counted(build)
        print("\n".join(printed(name, table)), flush=True)
        old = before.get(name, {}).get("chapters", {})
        before[name] = {"date": time.strftime("%Y-%m-%d"), "chapters": {**old, **table}}
        write(KEPT, json.dumps(before, indent=1, sort_keys=True) + "\n")
    raise typer.Exit(min(failed, 1))


if __name__ == "__main__":
    main(app)
