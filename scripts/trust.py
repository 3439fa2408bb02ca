"""Kill it, starve it, run it again: what ``make trust`` proves on this machine, as a table, also for the book."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from transferlib.runs.cache import cache_dir
from transferlib.runs.files import write
from transferlib.runs.provenance import facts

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "book" / "reference" / "trust.json"
ROWS: list[dict[str, Any]] = []
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Chapters = Annotated[str, typer.Option(help="Chapters to execute, such as 01,15; empty: all.")]


@contextmanager
def place() -> Iterator[tuple[Path, Path]]:
    """A fresh build folder and a cache that holds the weights and nothing that was computed."""
    with tempfile.TemporaryDirectory(prefix="head-start-") as folder:
        build, cache = Path(folder) / "build", Path(folder) / "cache"
        cache.mkdir()
        (cache / "weights").symlink_to(cache_dir() / "weights")
        yield build, cache


def make(
    build: Path,
    cache: Path,
    chapters: str,
    *settings: str,
    goal: str = "execute",
    inside: tuple[str, ...] = (),
    **popen: Any,
) -> "subprocess.Popen[str]":
    """``make execute`` in the smoke profile, begun and not waited for; ``inside`` is a command that runs it."""
    words = [*inside, "make", "--no-print-directory", "-C", str(ROOT), goal, "PROFILE=smoke"]
    words += [f"BUILD={build}", f"CHAPTER={chapters}", *settings]
    environment = {**os.environ, "TRANSFERLIB_CACHE": str(cache)}
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **popen
    )


def finish(process: "subprocess.Popen[str]") -> tuple[bool, str]:
    """Whether it succeeded, and the last line it printed."""
    output = process.communicate()[0]
    lines = [line for line in output.replace("\r", "\n").split("\n") if line.strip()]
    return process.returncode == 0, lines[-1] if lines else ""


def metrics(build: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((build / "metrics").glob("*.json"))}


def outlives(process: "subprocess.Popen[str]", seconds: float) -> bool:
    """Whether it still runs after that long; what it prints is read meanwhile, so that a full pipe cannot stop it."""
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        return True


def finished(build: Path) -> dict[Path, int]:
    """The executed chapters, and when each was written: a chapter done again has another time."""
    return {path: path.stat().st_mtime_ns for path in (build / "executed").glob("*.ipynb")}


def kill_tree(process: "subprocess.Popen[str]") -> None:
    """SIGKILL to make and to everything it has started, at once."""
    everyone = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in everyone:
        try:
            child.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.communicate()


def row(name: str, passed: int, of: int, note: str = "") -> bool:
    ROWS.append({"what": name, "passed": int(passed), "of": of, "note": note})
    print(f"{'ok  ' if passed == of else 'FAIL'} {name:42} {passed:3} of {of:3}  {note}", flush=True)
    return passed == of


def killed(chapters: str, trials: int, whole: dict[str, bytes], seconds: float) -> bool:
    """Killed at random moments and run again: it completes, repeats no finished chapter, and gives the same bytes."""
    rng, good = random.Random(0), 0
    for _ in range(trials):
        with place() as (build, cache):
            process = make(build, cache, chapters)
            if outlives(process, rng.uniform(0, 0.95 * seconds)):
                kill_tree(process)
            before = finished(build)
            done, _ = finish(make(build, cache, chapters))
            good += done and before.items() <= finished(build).items() and metrics(build) == whole
    return row("killed once, then run to its end", good, trials, f"one undisturbed run takes {seconds:.0f} s")


def hunted(chapters: str, kills: int, whole: dict[str, bytes], seconds: float) -> bool:
    """The same run killed again and again, at random moments, before it may end: as ``killed``, for many chapters.

    A run that ends between two kills is compared and begun anew, so that every chapter has its turn.
    """
    rng, left, good, broken = random.Random(1), kills, 0, set[str]()
    while left:
        with place() as (build, cache):
            first, hits, process = finished(build), 0, make(build, cache, chapters)
            while left and outlives(process, rng.uniform(0, seconds / 4)):
                kill_tree(process)
                hits, left = hits + 1, left - 1
                first = finished(build) | first  # when each chapter was first seen finished
                process = make(build, cache, chapters)
            done, said = finish(process)
            now, last = metrics(build), finished(build)
            wrong = {f"executed again: {path.stem}" for path, at in first.items() if last.get(path) != at}
            wrong |= {f"other bytes: {name}" for name in whole | now if now.get(name) != whole.get(name)}
            wrong |= set() if done else {f"did not end well: {said}"}
            broken |= wrong
            good += hits * (not wrong)
    return row("killed over and over before the end", good, kills, ", ".join(sorted(broken)))


def starved(chapters: str, whole: dict[str, bytes], largest: int) -> bool:
    """No file may grow beyond half of the ``largest`` one, as on a full disk: it stops, and goes on with room."""
    with place() as (build, cache):
        limit = (largest // 2, resource.RLIM_INFINITY)
        hungry = make(build, cache, chapters, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
        stopped, _ = finish(hungry)
        done, _ = finish(make(build, cache, chapters))
        return row("a full disk, then room", int(not stopped and done and metrics(build) == whole), 1)


def repeated(chapters: str, whole: dict[str, bytes]) -> bool:
    """One job or two, another hash seed, another working directory: the same bytes."""
    good, ways = 0, (("JOBS=1", "PYTHONHASHSEED=1"), ("JOBS=2", "PYTHONHASHSEED=2"), ("JOBS=2", "PYTHONHASHSEED=3"))
    for settings in ways:
        with place() as (build, cache):
            done, _ = finish(make(build, cache, chapters, *settings, cwd="/"))
            good += done and metrics(build) == whole
    return row("other jobs, hash seed, folder: same bytes", good, len(ways))


def together(chapters: str, whole: dict[str, bytes]) -> bool:
    """Two runs in the same folders at the same time: both end well, and what they leave is the bytes of one."""
    with place() as (build, cache), ThreadPoolExecutor(2) as pool:
        ended = [done for done, _ in pool.map(finish, [make(build, cache, chapters) for _ in range(2)])]
        return row("two at once, in the same folders", int(all(ended) and metrics(build) == whole), 1)


def unchanged(build: Path, cache: Path, chapters: str) -> bool:
    """Nothing changed since the last run: nothing is executed, in seconds."""
    began = time.perf_counter()
    done, said = finish(make(build, cache, chapters))
    took = f"{time.perf_counter() - began:.1f} s"
    return row("nothing changed: nothing runs", done and "up to date" in said, 1, took)


def may(*flags: str) -> bool:
    """Whether this system lets a process have a network, or a table of mounts, of its own."""
    return (
        bool(shutil.which("unshare"))
        and not subprocess.run(["unshare", *flags, "true"], capture_output=True).returncode
    )


def read_only(chapters: str, whole: dict[str, bytes]) -> bool:
    """A cache that gives its weights and takes nothing: results are kept in the build folder."""
    if not may("-rm"):
        print("skip a read-only cache: this system lets no process have mounts of its own")
        return True
    with place() as (build, cache):
        closed = (
            'mount --bind "$TRANSFERLIB_CACHE" "$TRANSFERLIB_CACHE" && mount -o remount,bind,ro "$TRANSFERLIB_CACHE"'
        )
        done, _ = finish(
            make(build, cache, chapters, inside=("unshare", "-rm", "sh", "-c", f'{closed} && exec "$@"', "sh"))
        )
        left = {path.name for path in cache.iterdir()}
        return row("a read-only cache", int(done and left == {"weights"} and metrics(build) == whole), 1)


def offline(chapters: str, whole: dict[str, bytes], tests: bool) -> bool:
    """In a network of its own that holds only the loopback: chapters, book, report and, on demand, the tests."""
    if not may("-rn"):
        print("skip without a network: this system lets no process have a network of its own")
        return True
    up = (
        "import fcntl, socket, struct; s = socket.socket(); "
        "fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x49))"  # SIOCSIFFLAGS: UP, LOOPBACK, RUNNING
    )
    alone = ("unshare", "-rn", "sh", "-c", f'{sys.executable} -c "{up}" && exec "$@"', "sh")
    with place() as (build, cache):
        done, _ = finish(make(build, cache, chapters, goal="book", inside=alone))
        page = (build / "html" / "index.html").is_file()
        results = [row("without a network: chapters and book", int(done and page and metrics(build) == whole), 1)]
        texts = build / "texts.csv"
        lines = (f"{word} number {i},{word}" for word in ("apples", "engines") for i in range(40))
        texts.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
        told = f"DATA={texts}", f"OUT={build / 'report'}"
        done, _ = finish(make(build, cache, chapters, *told, goal="report", inside=alone))
        written = (build / "report" / "report.html").is_file()
        results.append(row("without a network: a report", int(done and written), 1))
        if tests:
            done, said = finish(make(build, cache, "", goal="test", inside=alone))
            results.append(row("without a network: the tests", int(done), 1, said))
    return all(results)


@app.command()
def trust(
    chapters: Chapters = "",
    trials: Annotated[int, typer.Option(help="Kills at random moments, each followed by a whole run.")] = 20,
    kills: Annotated[int, typer.Option(help="Kills at random moments, each followed by the next one.")] = 20,
    tests: Annotated[bool, typer.Option(help="Run the tests without a network, too.")] = False,
) -> None:
    """Print the table; exit status 1 when something failed."""
    with place() as (build, cache):
        began = time.perf_counter()
        done, said = finish(make(build, cache, chapters))
        seconds, whole = time.perf_counter() - began, metrics(build)
        largest = max((path.stat().st_size for path in (build / "executed").glob("*.ipynb")), default=0)
        if not done:
            print(f"The undisturbed run failed: {said}", file=sys.stderr)
            raise typer.Exit(2)
        same = unchanged(build, cache, chapters)
    results = [
        same,
        repeated(chapters, whole),
        together(chapters, whole),
        starved(chapters, whole, largest),
        read_only(chapters, whole),
        offline(chapters, whole, tests),
        hunted(chapters, kills, whole, seconds),
        killed(chapters, trials, whole, seconds),
    ]
    about = {**facts(), "finished": int(time.time()), "chapters": chapters or "all"}
    write(KEPT, json.dumps({"provenance": about, "rows": ROWS}, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    if not all(results):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
