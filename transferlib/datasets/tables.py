"""Tables of labelled examples: which columns hold what, and which rows can be used."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from transferlib.datasets import columnar, delimited
from transferlib.datasets.found import ARROW, DELIMITED, JSON, PICTURES, Collection, numbered, split_named
from transferlib.datasets.rows import usable
from transferlib.datasets.walk import is_system
from transferlib.errors import UserError, nearest

LABEL, TEXT = ("label", "class", "category", "target"), ("text", "sentence")
FILE = ("file", "path", "image", "filename", "file_name", "filepath", "file_path", "image_path")
ROLES = {"text": TEXT, "file": FILE, "label": LABEL, "group": ("group",), "split": ("split",)}
OFFICE = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def inside(folder: Path) -> Path | None:
    """The table that a folder without class folders holds, or the folder itself where a data set was saved in it."""
    inner = [p for p in folder.iterdir() if not is_system(p.name)]
    if columnar.shards(folder):
        return folder
    files = [p for p in inner if p.suffix.lower() in (*DELIMITED[:3], *JSON) and p.is_file()]
    named = _metadata(folder)
    if named and (named[0][0].parent != folder or len(files) == 1):
        return folder if named[0][0].parent != folder else named[0][0]
    folders = [p for p in inner if p.is_dir()]
    flat = all(split_named(p.name) and not any(q.is_dir() for q in p.iterdir()) for p in folders)
    return files[0] if len(files) == 1 and (len(folders) < 2 or flat) else None


def _metadata(folder: Path) -> list[tuple[Path, str]]:
    """(file, part of the split) of the tables of files and labels that a hub keeps beside pictures."""
    places = [(folder, ""), *((p, split_named(p.name)) for p in sorted(folder.iterdir()) if p.is_dir())]
    files = [(place / f"metadata{ending}", part) for place, part in places if part or place == folder
             for ending in (".csv", ".jsonl", ".parquet")]  # fmt: skip
    heads = ((file, part, file.read_bytes()[:4096].replace(b"\0", b"")) for file, part in files if file.is_file())
    return [(file, part) for file, part, head in heads
            if b"file_name" in head and any(name.encode() in head.lower() for name in LABEL)]  # fmt: skip


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
        root = path if path.is_dir() else root
        if path.is_dir() and not columnar.shards(path):
            table, notes = _joined(path, encoding)
        else:
            files = columnar.shards(path) if path.is_dir() else [(path, "")]
            table, root, notes = columnar.read(files, encoding)
    else:
        table, notes = delimited.read(path, encoding)
    columns = _columns(path, table, chosen, root, notes)
    kind = "images" if "file" in columns else "texts"
    item, label = columns["file" if kind == "images" else "text"], columns["label"]
    table, more = usable(path, table, item, label, root if kind == "images" else None)
    notes = [*notes, *more]
    groups = table[columns["group"]].str.strip().tolist() if "group" in columns else []
    if alone := groups.count(""):
        notes.append(f"{alone} rows have no group: each is a group of its own.")
        groups = [group or f"row {i} without a group" for i, group in enumerate(groups)]
    splits = _splits(path, table[columns["split"]].tolist()) if "split" in columns else []
    rows = list(zip(table[item].tolist(), table[label].tolist(), strict=True))
    return numbered(kind, root, rows, groups, splits, notes)


def _joined(folder: Path, encoding: str) -> tuple[pd.DataFrame, list[str]]:
    """The tables of the parts of a split as one, its files named from ``folder``."""
    tables, notes = [], []
    for file, part in _metadata(folder):
        if file.suffix == ".csv":
            table, words = delimited.read(file, encoding)
        else:
            table, _, words = columnar.read([(file, "")], encoding)
        way = f"{file.parent.name}/"
        tables.append(table.assign(file_name=[way + name for name in table["file_name"]], split=part))
        notes += [*words, f"The table {way + file.name!r} is read."]
    return pd.concat(tables, ignore_index=True).fillna(""), notes


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
    if len(table.columns) == 1:
        return "Columns are separated by commas, semicolons, tabs or vertical bars, or by what a first line sep= names."
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
