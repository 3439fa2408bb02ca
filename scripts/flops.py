"""The arithmetic of the book: floating-point operations of its products and convolutions, counted as chapters run."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from trust import ROOT, finish, make, place

from transferlib.runs.provenance import facts

KEPT = ROOT / "book" / "reference" / "flops.json"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


class Count(TorchDispatchMode):
    """Adds up 2 · multiply-adds of every matrix product and convolution below it, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        count = flop_registry.get(getattr(func, "_overloadpacket", None))
        if count is None and isinstance(func, torch._ops.OpOverload) and func._can_decompose():
            with self:  # such as aten.linear in inference mode: count what it is made of
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        out = func(*args, **kwargs)
        if count is not None:
            self.total += count(*args, **kwargs, out_val=out)
        return out


def begin(shell: Any, folder: Path) -> Count:
    """Count in a kernel from now on, and write the sum so far into ``folder`` after each cell; returns the counter.

    What a sweep sends to other processes is not counted; with as many chapters at a time as cores it sends nothing.
    """
    counter = Count()

    def write(*_: object) -> None:
        if "run" in shell.user_ns:
            told = {"chapter": shell.user_ns["run"].chapter, "flops": counter.total}
            (folder / f"{os.getpid()}.json").write_text(json.dumps(told), encoding="utf-8")

    shell.events.register("post_run_cell", write)
    counter.__enter__()
    return counter


@app.command()
def flops(
    chapters: Annotated[str, typer.Option(help="Chapters to count, such as 01,15; empty: all, and keep them.")] = "",
    profile: Annotated[str, typer.Option(help="smoke, cpu or gpu.")] = "cpu",
) -> None:
    """Execute from nothing, count, print, and keep the counts of the whole book in its reference."""
    with place() as (build, cache):
        startup, told = build.parent / "ipython" / "profile_default" / "startup", build.parent / "told"
        startup.mkdir(parents=True)
        told.mkdir()
        code = f"import pathlib, sys; sys.path.append({str(ROOT / 'scripts')!r}); import flops\n"
        code += f"flops.begin(get_ipython(), pathlib.Path({str(told)!r}))\n"
        (startup / "00-count.py").write_text(code, encoding="utf-8")  # runs in every kernel before its first cell
        os.environ["IPYTHONDIR"] = str(startup.parents[1])
        done, said = finish(make(build, cache, chapters, f"PROFILE={profile}"))
        found = [json.loads(path.read_text(encoding="utf-8")) for path in told.glob("*.json")]
    counts = {one["chapter"]: one["flops"] for one in sorted(found, key=lambda one: str(one["chapter"]))}
    for chapter, count in counts.items():
        print(f"{chapter} {count / 1e12:10.2f} TFLOP")
    if not done:
        print(f"Not every chapter was executed, so nothing is kept: {said}", file=sys.stderr)
        raise typer.Exit(2)
    if profile == "cpu" and not chapters:
        body = {"flops": counts, "provenance": {**facts(), "finished": int(time.time()), "profile": profile}}
        KEPT.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    app()
