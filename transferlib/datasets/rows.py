"""Rows of a table: those that can be learned from, and a sentence for each reason to leave others out."""

import os
from pathlib import Path

import pandas as pd

from transferlib.datasets.found import said
from transferlib.errors import UserError

MISSING = {"", "nan", "NaN", "None", "null", "NULL", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaT"}


def usable(path: Path, table: pd.DataFrame, item: str, label: str, home: Path | None) -> tuple[pd.DataFrame, list[str]]:
    """The rows that can be used, and what is said of the others; ``home``: where files are named from, None for texts.

    Raises ``UserError`` when every file is missing, and for lists of labels.
    """
    notes: list[str] = []

    def drop(bad: "pd.Series[bool]", why: str, column: str = item) -> None:
        nonlocal table
        if bad.any():
            notes.append(said(int(bad.sum()), f"rows {why}", [str(v)[:60] for v in table[column][bad]]))
            table = table[~bad]

    table = table.assign(**{item: table[item].str.strip()})
    if home is not None:
        gone, away = list[str](), list[str]()
        total = len(table)
        table[item] = [_placed(home, file, gone, away) if file else "" for file in table[item]]
        drop(table[item].isin(away), "point outside the CSV's folder")
        drop(table[item].isin(gone), "name a file that is not there")
        if total and not len(table):
            raise UserError(f"{' '.join(notes)} Names are taken from the folder of {str(path)!r}.")
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
    drop(table.duplicated([item, label]), "repeat an earlier row")
    drop(table.duplicated(item, keep=False), "give one item two labels")
    return table, notes


def _placed(home: Path, file: str, gone: list[str], away: list[str]) -> str:
    """The path below ``home``; a name that leads elsewhere, or to nothing, as it is, and in one of the lists."""
    way = file
    if not (home / file).is_file() and "\\" in file:
        way = file.replace("\\", "/")
    # A link counts where it stands: only the way itself may not lead out.
    normal = os.path.relpath(os.path.normpath(home.absolute() / way), home.absolute())
    there = (home / normal).is_file() if len(normal) < 4096 else False
    if normal.split("/")[0] == "..":
        (away if (home / way).is_file() else gone).append(file)
        return file
    if not there:
        gone.append(file)
        return file
    return Path(normal).as_posix()
