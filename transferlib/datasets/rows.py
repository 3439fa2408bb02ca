"""Rows of a table: those that can be learned from, and a sentence for each reason to leave others out."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pandas as pd

from transferlib.datasets.found import PERHAPS, PICTURES, said, shortened
from transferlib.errors import UserError

MISSING = {"", "nan", "NaN", "NAN", "None", "null", "Null", "NULL", "NA", "na", "N/A", "n/a", "N.A.", "n.a.", "<NA>",
           "<na>", "#N/A", "NaT", "-nan"}  # fmt: skip


def usable(path: Path, table: pd.DataFrame, item: str, label: str, home: Path | None) -> tuple[pd.DataFrame, list[str]]:
    """The rows that can be used, and what is said of the others; ``home``: where files are named from, None for texts.

    Raises ``UserError`` when every file is missing, for lists of labels or of words, and for objects.
    """
    notes: list[str] = []

    def drop(bad: "pd.Series[bool]", why: str, column: str = item) -> None:
        nonlocal table
        if bad.any():
            which = [shortened(str(v), 60) or f"row {row}" for row, v in table[column][bad].items()]
            notes.append(said(int(bad.sum()), f"rows {why}", which))
            table = table[~bad]

    table = table.assign(**{item: table[item].str.strip()})
    for column, what in ((label, "labels"), (item, "texts" if home is None else "files")):
        nested = table[column].str.strip().map(_nested)
        if nested.any() and nested.mean() > 0.5:
            shown = table[column][nested].iloc[0][:60]
            raise UserError(f"The {what} of {str(path)!r} are lists or objects, as {shown!r}: give one a row, as text.")
    if home is not None:
        gone, away = list[str](), list[str]()
        total = len(table)
        table[item] = [_placed(home, file, gone, away) if file else "" for file in table[item]]
        drop(table[item].isin(away), "point outside the CSV's folder")
        drop(table[item].isin(gone), "name a file that is not there")
        if total and not len(table):
            raise UserError(f"{' '.join(notes)} Names are taken from the folder of {str(path)!r}.{_hint(home, gone)}")
    spaced = table[label] != table[label].str.strip()
    if spaced.any():
        which = sorted(set(table[label][spaced]))
        notes.append(said(int(spaced.sum()), "labels have spaces around them, which do not count", which))
    table = table.assign(**{label: table[label].str.strip()})
    written = table[label].isin(MISSING - {""})
    if written.any():
        drop(written, "have a label that says that there is none", label)
    drop((table[label] == "") | (table[item] == ""), "have no label or nothing to learn from")
    lists = table[label].str.startswith("[") & table[label].str.endswith("]")
    if lists.any() and lists.mean() > 0.5:
        raise UserError(f"The labels of {str(path)!r} are lists, as {table[label][lists].iloc[0]!r}: one label a row.")
    if perhaps := sorted({name for name in table[label] if name.casefold() in PERHAPS}):
        notes.append(said(len(perhaps), "labels may say that there is none, and are taken for classes", perhaps))
    drop(table.duplicated([item, label]), "repeat an earlier row")
    drop(table.duplicated(item, keep=False), "give one item two labels")
    return table, notes


def _nested(cell: str) -> bool:
    if cell[:1] not in ("[", "{"):
        return False
    try:
        return isinstance(json.loads(cell), (list, dict))
    except (ValueError, RecursionError):
        return False


def _hint(home: Path, gone: list[str]) -> str:
    """Where the first of the missing files may be."""
    name = gone[0] if gone else ""
    if name.split(":")[0] in ("http", "https", "ftp", "s3", "gs"):
        return " Addresses are not fetched: download the files first."
    if file := near(home, name):
        return f" Is {name!r} the file {os.path.relpath(file, home)!r}? Then write it so."
    return ""


def near(home: Path, name: str) -> Path | None:
    """A file that ``name`` may mean: the end of the path, or its last part, with the ending of a picture or without."""
    if not name or len(name) > 255:
        return None
    parts = Path(name.replace("\\", "/")).parts
    for start in range(1, len(parts)):  # the path of another machine: C:/Users/me/photos/cat/0.jpg
        if _is_file(inside := home.joinpath(*parts[start:])):
            return inside
    places = [home, *sorted(p for p in home.iterdir() if p.is_dir())[:20], (home / name).parent]
    with suppress(OSError, ValueError):  # a folder that may not be looked into, a name that cannot be one
        for place in (place for place in places if place.is_dir()):
            for file in place.iterdir():
                ended = file.suffix.lower() in PICTURES and file.stem.casefold() == parts[-1].casefold()
                if file.is_file() and (ended or file.name.casefold() == parts[-1].casefold()):
                    return file
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero
        return False


def named(home: Path, file: str) -> str:
    """``file`` as it is, or with the slashes of this system where it is written with those of Windows."""
    return file.replace("\\", "/") if "\\" in file and not _is_file(home / file) else file


def _placed(home: Path, file: str, gone: list[str], away: list[str]) -> str:
    """The path below ``home``; a name that leads elsewhere, or to nothing, as it is, and in one of the lists."""
    way = named(home, file)
    # A link counts where it stands: only the way itself may not lead out.
    normal = os.path.relpath(os.path.normpath(home.absolute() / way), home.absolute())
    if normal.split("/")[0] == "..":
        (away if _is_file(home / way) else gone).append(file)
        return file
    if not _is_file(home / normal):
        gone.append(file)
        return file
    return Path(normal).as_posix()
