"""Files that are never seen half-written."""

import os
from pathlib import Path


def write(path: Path, text: str) -> bool:
    """Write ``text`` beside ``path`` and rename it, so that a killed run leaves the old file or the new one.

    Returns whether anything was written: a file that already holds the text keeps its date.
    """
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8", newline="")
    beside.replace(path)
    return True
