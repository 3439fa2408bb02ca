"""Walking through folders: what lies in them, what is no data at all, and what is passed on the way."""

import os
from collections.abc import Iterator
from pathlib import Path

from transferlib.datasets.found import ARROW, DELIMITED, JSON, printable, said

TABLES = (*DELIMITED[:3], *JSON, *ARROW)
# What systems and programs leave in folders, beside everything that begins with a dot.
SYSTEM = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "icon\r", "$recycle.bin", "#recycle",
          "#snapshot", "@tmp", "system volume information", "lost+found", "__pycache__", "picasa.ini"}  # fmt: skip


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden, or left by a system: no data.

    >>> [is_system(n) for n in ("._0001.jpg", "Thumbs.db", "@eaDir", "cat")]
    [True, True, True, False]
    """
    return name.startswith((".", "~$")) or name.lower() in SYSTEM


def stepped(root: Path) -> tuple[Path, list[str]]:
    """``root``, or the folder inside it that is alone there and holds folders or tables, and so on; and what to say."""
    top = root
    beside, hidden = list[str](), list[str]()
    while len(inner := folders(root)) == 1 and not leads_up(inner[0]) and (folders(inner[0]) or _tables(inner[0])):
        lying = files(root)
        if any(file.suffix.lower() in TABLES for file in lying):
            break
        beside += [str(file.relative_to(top)) for file in lying]
        hidden += sorted(str(p.relative_to(top)) for p in root.iterdir() if is_system(p.name))
        root = inner[0]
    if root == top:
        return root, []
    notes = [said(len(beside), "files lie beside the only folder and are not used", beside)] if beside else []
    if hidden:
        notes.append(said(len(hidden), "hidden or system files beside the only folder are skipped", hidden, shown=5))
    return root, [f"The folders are in the only folder, {printable(str(root.relative_to(top)))!r}: it is read.", *notes]


def files_below(folder: Path, skipped: list[Path], circles: list[Path] | None = None) -> Iterator[Path]:
    """Every file below ``folder``; hidden and system files go to ``skipped``.

    A link counts where it stands. A link to a folder above it, or to one already seen, is not followed: ``circles``.
    """
    top, seen = folder.resolve(), set[Path]()
    for place, inner, found in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen or (real != top and top.is_relative_to(real)):
            inner.clear()
            if circles is not None:
                circles.append(Path(place))
            continue
        seen.add(real)
        skipped += [Path(place) / name for name in (*inner, *found) if is_system(name)]
        inner[:] = [name for name in inner if not is_system(name)]
        yield from (Path(place) / name for name in found if not is_system(name))


def folders(place: Path) -> list[Path]:
    """The folders in it, in order, without those of systems."""
    return sorted(p for p in place.iterdir() if p.is_dir() and not is_system(p.name))


def leads_up(place: Path) -> bool:
    """Whether the folder is a link that leads to one above it."""
    return place.is_symlink() and place.parent.resolve().is_relative_to(place.resolve())


def _tables(place: Path) -> bool:
    return any(file.suffix.lower() in TABLES for file in files(place))


def files(place: Path) -> list[Path]:
    """The files in it, without those of systems."""
    return [p for p in place.iterdir() if not p.is_dir() and not is_system(p.name)]
