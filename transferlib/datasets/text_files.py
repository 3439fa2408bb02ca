"""Folders of text files, a class each, as pos/0.txt and neg/0.txt."""

from collections.abc import Sequence
from pathlib import Path

from transferlib.datasets.found import said

ENDINGS = (".txt", ".text")


def is_text_file(name: str) -> bool:
    """Whether the name says so.

    >>> is_text_file("pos/0.TXT"), is_text_file("pos/0.jpg")
    (True, False)
    """
    return name.lower().endswith(ENDINGS)


def texts(
    root: Path, rows: Sequence[tuple[str, str]], splits: Sequence[str], notes: list[str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """The text in each file of ``rows`` (file below ``root``, label), and its part of the split, where there are parts.

    Left out and said in ``notes``: other kinds of files, empty ones, and what is no UTF-8 text.
    """
    kept, parts, other, bad = [], list[str](), [], []
    for i, (file, label) in enumerate(rows):
        if not is_text_file(file):
            other.append(file)
            continue
        try:
            # A pipe would be waited for, without end.
            text = (root / file).read_text(encoding="utf-8-sig").strip() if (root / file).is_file() else ""
        except (OSError, ValueError):
            text = ""
        if not text or "\0" in text:
            bad.append(file)
            continue
        kept.append((text, label))
        parts += splits[i : i + 1]
    notes.append(f"{len(kept)} text files are read, one text each.")
    if other:
        notes.append(said(len(other), "files beside the text files are not used", other))
    if bad:
        notes.append(said(len(bad), "text files are empty or no UTF-8 text and are left out", bad))
    return kept, parts
