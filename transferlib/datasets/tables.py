"""Tables of labelled examples: which columns hold what, and which rows can be used."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from transferlib.datasets import columnar, delimited
from transferlib.datasets.found import ARROW, DELIMITED, JSON, PICTURES, Collection, numbered, said, split_named
from transferlib.datasets.walk import is_system
from transferlib.errors import UserError, nearest

LABEL, TEXT = ("label", "class", "category", "target"), ("text", "sentence")
FILE = ("file", "path", "image", "filename", "file_name", "filepath", "file_path", "image_path")
ROLES = {"text": TEXT, "file": FILE, "label": LABEL, "group": ("group",), "split": ("split",)}
MISSING = {"", "nan", "NaN", "None", "null", "NULL", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaT"}
OFFICE = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def inside(folder: Path) -> Path | None:
    """The table that a folder without class folders holds, or the folder itself where a data set was saved in it."""
    inner = [p for p in folder.iterdir() if not is_system(p.name)]
    if columnar.shards(folder):
        return folder
    files = [p for p in inner if p.suffix.lower() in (*DELIMITED[:3], *JSON) and p.is_file()]
    named = [p for p in files if p.stem.lower() == "metadata"]
    if len(named) == 1 and len(files) == 1 and b"file_name" in named[0].read_bytes()[:4096].replace(b"\0", b""):
        return named[0]
    return files[0] if len(files) == 1 and sum(p.is_dir() for p in inner) < 2 else None


def read(path: Path, chosen: Mapping[str, str], encoding: str = "") -> Collection:
    """The rows of a table that can be used, and a sentence for each reason to leave others out.

    ``chosen``: role → column, for roles text, file, label, group and split. Raises ``UserError`` as
    :func:`transferlib.datasets.collection.collect` says.
    """
    ending, root = path.suffix.lower(), path.parent
    if ending in OFFICE or ending in PICTURES:
        what = "no table that is read here: save it as CSV"
        if ending in PICTURES:
            what = "one picture: give the folder that holds a sub-folder for each class"
        raise UserError(f"{str(path)!r} is {what}.")
    if path.is_dir() or ending in (*JSON, *ARROW):
        files = columnar.shards(path) if path.is_dir() else [(path, "")]
        table, root, notes = columnar.read(files, encoding)
    else:
        table, notes = delimited.read(path, encoding)
    columns = _columns(path, table, chosen, root, notes)
    kind = "images" if "file" in columns else "texts"
    item, label = columns["file" if kind == "images" else "text"], columns["label"]
    table, more = _sound(path, table, item, label, root if kind == "images" else None)
    notes = [*notes, *more]
    groups = table[columns["group"]].str.strip().tolist() if "group" in columns else []
    if alone := groups.count(""):
        notes.append(f"{alone} rows have no group: each is a group of its own.")
        groups = [group or f"row {i} without a group" for i, group in enumerate(groups)]
    splits = _splits(path, table[columns["split"]].tolist()) if "split" in columns else []
    rows = list(zip(table[item].tolist(), table[label].tolist(), strict=True))
    return numbered(kind, root, rows, groups, splits, notes)


def _columns(
    path: Path, table: pd.DataFrame, chosen: Mapping[str, str], root: Path, notes: list[str]
) -> dict[str, str]:
    """Role → column: the chosen ones, else those of a known name."""
    names = {name.strip().lower(): name for name in table.columns}
    for role, name in chosen.items():
        if name.strip().lower() not in names:
            raise UserError(f"{str(path)!r} has no column {name!r} (--{role}): {nearest(name, table.columns)}")
    known = {role: [chosen[role].strip().lower()] if role in chosen else names_ for role, names_ in ROLES.items()}
    columns = {role: names[found] for role, ns in known.items() if (found := next((n for n in ns if n in names), ""))}
    taken = {columns[role] for role in chosen}
    columns = {role: name for role, name in columns.items() if role in chosen or name not in taken}
    if "text" in chosen and "file" in chosen:
        raise UserError("--text and --file exclude each other: a report is about texts or about pictures.")
    if "text" in chosen or "file" in chosen:
        columns.pop("file" if "text" in chosen else "text", None)
    if "text" in columns and "file" in columns:
        if any((root / name).is_file() for name in table[columns["file"]].head(100) if name):
            raise UserError(
                f"{str(path)!r} has a column of files, {columns['file']!r}, and one of texts, {columns['text']!r}: say "
                f"which is meant, with --file {columns['file']} or --text {columns['text']}."
            )
        notes.append(f"The texts in the column {columns['text']!r} are read; {columns['file']!r} names no file here.")
        columns.pop("file")
    if "label" not in columns or not {"file", "text"} & set(columns):
        wanted = "'label'" if "label" not in columns else "'file' (images) or 'text'"
        listed = ", ".join(map(repr, table.columns))
        raise UserError(f"{str(path)!r} has no column {wanted}: its columns are {listed}. {_proposal(table, columns)}")
    return columns


def _proposal(table: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """What to type: with two columns, both of their names."""
    if len(table.columns) != 2:
        return "Name the columns: --label COLUMN, and --text COLUMN or --file COLUMN."
    fewest = sorted(reversed(table.columns), key=lambda name: table[name].nunique())  # values: the labels
    left = columns.get("label") or next(name for name in fewest if name not in columns.values())
    other = next(name for name in table.columns if name != left)
    files = table[other].str.lower().str.endswith(PICTURES).mean() > 0.5
    quoted = [f"'{name}'" if " " in name else name for name in (other, left)]
    return f"Is it --{'file' if files else 'text'} {quoted[0]} --label {quoted[1]}? (The first row is the header.)"


def _splits(path: Path, cells: list[str]) -> list[str]:
    known = {cell: split_named(cell) for cell in set(cells)}
    if odd := sorted(cell for cell, part in known.items() if not part):
        raise UserError(
            f"The column 'split' of {str(path)!r} holds {odd[0]!r}: write 'train', 'validation' or 'test' in every row."
        )
    return [known[cell] for cell in cells]


def _sound(path: Path, table: pd.DataFrame, item: str, label: str, home: Path | None) -> tuple[pd.DataFrame, list[str]]:
    """The rows that can be used, and a sentence for each reason to leave others out; ``home`` of files."""
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
