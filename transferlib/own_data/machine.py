"""What a machine must have before a report is started: a folder to keep results in, and memory that processes share."""

import multiprocessing

from transferlib.errors import UserError
from transferlib.runs.cache import kept_dir
from transferlib.runs.sweep import workers

LOCKS = 32  # what a pool of processes asks for, and more


def check_home() -> None:
    """Raises ``UserError`` where there is no place for results: no home folder, as for an unknown user."""
    try:
        kept_dir()
    except RuntimeError as error:
        raise UserError(
            f"There is no place for results ({error}): set HOME, or TRANSFERLIB_CACHE to a folder of yours."
        ) from None


def sharing() -> tuple[dict[str, str], list[str]]:
    """Environment of the report's process, and a note, where this machine has no usable shared memory.

    Processes beside each other need locks in ``/dev/shm``; a container may have none, or a few kilobytes.
    """
    try:
        held = [multiprocessing.Lock() for _ in range(LOCKS)]
    except (ImportError, OSError) as error:
        note = f"/dev/shm, the memory that processes share, cannot be used here ({error}): one process works, not more."
        return {"TRANSFERLIB_WORKERS": "1", "JOBLIB_MULTIPROCESSING": "0"}, [note] if workers() > 1 else []
    del held
    return {}, []
