"""What a frozen backbone saw in each example, kept on disk by content in one SQLite table a backbone."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from transferlib.errors import UserError
from transferlib.runs.cache import kept_dir


def seen_rows(db: sqlite3.Connection, keys: Sequence[str], columns: str = "key, width, height, vector") -> list[Any]:
    """A row of ``columns`` for each of the ``keys`` that is kept, in no order."""
    marks = ", ".join("?" * len(keys))
    return db.execute(f"SELECT {columns} FROM seen WHERE key IN ({marks})", list(keys)).fetchall()


@contextmanager
def seen_store(name: str) -> Iterator[sqlite3.Connection]:
    """The table of what was seen with one backbone. A full disk or a folder that cannot be written is one sentence."""
    file = kept_dir() / "seen" / f"{name}.sqlite"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(file.parent, error) from error
    try:
        with closing(sqlite3.connect(file, timeout=60)) as db:
            db.execute("CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, width INT, height INT, vector BLOB)")
            yield db
    except sqlite3.Error as error:
        raise _unwritable(file.parent, error) from error


def _unwritable(folder: Path, error: Exception) -> UserError:
    return UserError(
        f"The features cannot be kept in {str(folder)!r} ({error}): free some space, or set TRANSFERLIB_CACHE to a "
        "folder you can write to. What was computed before is kept."
    )
