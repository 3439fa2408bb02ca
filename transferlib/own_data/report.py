"""Your data's report: found, checked, compared and decided on, as one HTML file that needs nothing else."""

import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from transferlib.course.profiles import check_device, check_profile
from transferlib.datasets.collection import collect
from transferlib.errors import UserError
from transferlib.own_data.machine import check_home, sharing
from transferlib.own_data.thresholds import cost_matrix
from transferlib.own_data.writing import write
from transferlib.runs.files import write as replace

LOG = "failed.txt"
# The last two are what joblib and Ray say when the system has ended a worker.
MEMORY = ("MemoryError", "OutOfMemoryError", "TerminatedWorkerError", "WorkerCrashedError")


def report(
    data: str | Path, out: str | Path = "report", *, profile: str = "cpu", seed: int = 0, device: str = "cpu",
    executor: str = "local", columns: Mapping[str, str] | None = None, encoding: str = "", cost: str = "",
) -> Path:  # fmt: skip
    """Compare the ways to train on ``data``; ``out`` gets ``report.html``, ``metrics.json``, ``model/``, ``figures/``.

    ``columns`` and ``encoding`` of a table: see :func:`transferlib.datasets.collection.collect`; ``cost`` of errors:
    see :func:`transferlib.own_data.thresholds.cost_matrix`.
    What was computed is kept: interrupted and started again, it goes on where it stopped. Returns the HTML file.

    Raises:
        UserError: what :func:`transferlib.datasets.collection.collect` says about the data, a cost that is none, a
            folder that cannot be written, an unknown setting, too little memory or space.
    """
    check_profile(profile)
    check_device(device)
    check_home()
    columns = dict(columns or {})
    found = collect(data, columns=columns, encoding=encoding)  # what is wrong is said before anything is started
    cost_matrix(cost, found.classes)
    place = _writable(Path(out))
    alone, notes = sharing()
    for sentence in notes:
        print(sentence, file=sys.stderr)
    settings = {"data": str(Path(data).expanduser().resolve()), "place": str(place), "profile": profile, "seed": seed,
                "device": device, "columns": columns, "encoding": encoding, "notes": notes, "cost": cost}  # fmt: skip
    above = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {"TRANSFERLIB_BUILD": str(place), "TRANSFERLIB_EXECUTOR": executor, "TRANSFERLIB_RECORD": "",
                   "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
                   "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, above)), **alone}  # fmt: skip
    told = [sys.executable, "-m", "transferlib.own_data.report", json.dumps(settings)]
    # A process of its own: when the system ends it for want of memory, somebody is left to say so.
    with subprocess.Popen(
        told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environment}
    ) as child:
        assert child.stdout  # its standard input stays open: the end of it says that nobody waits
        words, status = child.stdout.read().decode().splitlines(), child.wait()
    if status == 130:
        raise KeyboardInterrupt
    if status:
        killed = ("MemoryError", "") if status == -9 else ("", f"its process ended with status {status}")
        name, value = json.loads(words[-1]) if status == 1 and words else killed
        raise UserError(_sentence(name, value, place))
    return place / "report.html"


def _sentence(name: str, value: str, place: Path) -> str:
    """What went wrong on the way, said once. What was computed before it is kept."""
    if name == "UserError":
        return value
    if name in MEMORY or "not enough memory" in value or "DefaultCPUAllocator" in value:
        return "The report needs more memory than there is: use fewer examples. What was computed is kept."
    if "No space left" in value:
        return f"The disk is full ({value}): free some space and run the same command again. What was computed is kept."
    story = f" The whole story is in {str(place / LOG)!r}." if (place / LOG).is_file() else ""
    return f"The report stopped: {': '.join(filter(None, (name, value)))}.{story}"


def _writable(place: Path) -> Path:
    """The folder, made if need be, after a test that something can be written there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place / ".test").write_text("test")
        (place / ".test").unlink()
        (place / LOG).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"Nothing can be written to {str(place)!r} ({error.strerror}): choose another folder with --out."
        ) from None
    return place.resolve()


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing is ever written: it ends when the process that waits has ended
    os._exit(130)


def main(settings: str) -> int:
    """What the process of its own does: exit status 1 and the error's name and text on the last line when it fails."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    told = json.loads(settings)
    try:
        write(**told)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not isinstance(error, UserError):
            with suppress(OSError):  # a full disk: the sentence says so
                replace(Path(told["place"]) / LOG, traceback.format_exc())
        print(json.dumps([type(error).__name__, str(error)]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
