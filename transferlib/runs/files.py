"""Files that are never seen half-written."""

import os
from pathlib import Path


def write(path: Path, content: str | bytes) -> bool:
    """Write ``content`` beside ``path`` and rename it, so that a killed run leaves the old file or the new one.

    Returns whether anything was written: a file that already holds the content keeps its date.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    beside.replace(path)
    return True
