"""What a machine must have before a report is started: a folder to keep results in, and memory that processes share."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

from joblib.externals import loky

from transferlib.errors import UserError
from transferlib.runs.cache import kept_dir

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
        return {"TRANSFERLIB_WORKERS": "1", "JOBLIB_MULTIPROCESSING": "0"}, [note]
    del held
    return {}, []


def without_processes() -> None:
    """Give joblib a thread where it would make a pool of processes: for a machine without shared memory."""
    # A chapter's end shuts joblib's pool down, and joblib would make one, with its locks, only for that.
    loky.get_reusable_executor = lambda *_, **__: ThreadPoolExecutor(1)
