"""Tables of labelled examples: which columns hold what, and which rows can be used."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from transferlib.datasets import columnar, delimited
from transferlib.datasets.columns import LABEL, chosen_columns
from transferlib.datasets.found import (
    ARROW,
    DELIMITED,
    JSON,
    PICTURES,
    TRAIN,
    Collection,
    in_order,
    numbered,
    parts_named,
    printable,
    said,
    split_named,
)
from transferlib.datasets.rows import usable
from transferlib.datasets.walk import is_system
from transferlib.errors import UserError

# What is no table that is read here, whatever is in it.
OFFICE = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".docx", ".doc", ".pdf", ".html", ".htm", ".xml", ".db",
          ".sqlite", ".sqlite3", ".npz", ".npy", ".pkl", ".pickle", ".h5", ".hdf5", ".mat", ".rds", ".pt", ".pth",
          ".safetensors", ".onnx", ".tfrecord", ".ipynb", ".py", ".yaml", ".yml")  # fmt: skip


def is_office(file: Path) -> bool:
    """Whether the name is that of a file which may hold a table and is not read here."""
    return file.suffix.lower() in OFFICE


def inside(folder: Path, notes: list[str]) -> Path | None:
    """The table that a folder without class folders holds, or the folder itself where a data set was saved in it.

    A competition's form for answers is passed over, and said.
    Raises ``UserError`` where several tables lie in it that are no parts of a split.
    """
    inner = [p for p in folder.iterdir() if not is_system(p.name)]
    if columnar.shards(folder):
        return folder
    files = [p for p in inner if p.suffix.lower() in (*DELIMITED[:3], *JSON) and p.is_file()]
    if forms := sorted(p.name for p in files if _is_form(p.stem)):
        notes.append(said(len(forms), "tables are forms for the answers of a competition and are not read", forms))
        files = [p for p in files if p.name not in forms]
    named = _metadata(folder)
    if named and (named[0][0].parent != folder or len(files) == 1):
        return folder if named[0][0].parent != folder else named[0][0]
    folders = [p for p in inner if p.is_dir()]
    flat = all(split_named(p.name) and not any(q.is_dir() for q in p.iterdir()) for p in folders)
    if not files or not (len(folders) < 2 or flat):
        return None
    if len(files) > 1 and not _split_tables(folder):
        names = ", ".join(repr(printable(file.name)) for file in sorted(files)[:5])
        raise UserError(
            f"{printable(str(folder))!r} holds {len(files)} tables, {names}: give the one that is meant, or one that "
            "holds the rows of all with a column of labels."
        )
    return files[0] if len(files) == 1 else folder


def _is_form(stem: str) -> bool:
    """Whether a table is called as a competition's form for answers, whose labels are made up."""
    return stem.lower().replace("_", "").replace("-", "").startswith("samplesub")


def _split_tables(folder: Path) -> list[tuple[Path, str]]:
    """(file, part of the split) of tables such as train.csv and test.csv; none where no two of them are parts."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (*DELIMITED[:3], *JSON) and not is_system(p.name))
    names = parts_named(file.stem for file in files)
    parts = in_order((file, names[file.stem]) for file in files if names[file.stem])
    kinds = [part for _, part in parts]
    return parts if TRAIN in kinds and len(set(kinds)) == len(kinds) > 1 else []


def _metadata(folder: Path) -> list[tuple[Path, str]]:
    """(file, part of the split) of the tables of files and labels that a hub keeps beside pictures."""
    places = [(folder, ""), *((p, split_named(p.name)) for p in sorted(folder.iterdir()) if p.is_dir())]
    files = [(place / f"metadata{ending}", part) for place, part in places if part or place == folder
             for ending in (".csv", ".jsonl", ".parquet")]  # fmt: skip
    heads = ((file, part, file.read_bytes()[:4096].replace(b"\0", b"")) for file, part in files if file.is_file())
    return in_order((file, part) for file, part, head in heads
                    if b"file_name" in head and any(name.encode() in head.lower() for name in LABEL))  # fmt: skip


def read(path: Path, chosen: Mapping[str, str], encoding: str = "") -> Collection:
    """The rows of a table that can be used, and a sentence for each reason to leave others out.

    ``chosen``: role → column, for roles text, file, label, group and split. Raises ``UserError`` as
    :func:`transferlib.datasets.collection.collect` says.
    """
    ending, root = path.suffix.lower(), path.parent
    if is_office(path) or ending in PICTURES:
        what = "no table that is read here: save it as CSV"
        if ending in (".npz", ".npy"):
            what = "no folder of pictures: save each picture as a file, in a sub-folder for its class"
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
    columns, table = chosen_columns(path, table, chosen, root, notes)
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
    tables, notes, files = [], list[str](), _metadata(folder)
    if not files:
        files = _split_tables(folder)
        inside = {p.name for p in folder.iterdir() if p.is_file() and not is_system(p.name)}
        if beside := sorted(inside - {file.name for file, _ in files}):
            notes.append(said(len(beside), "files lie beside the tables of the split and are not read", beside))
    for file, part in files:
        if file.suffix.lower() in DELIMITED:
            table, words = delimited.read(file, encoding)
        else:
            table, _, words = columnar.read([(file, "")], encoding)
        way = f"{file.parent.name}/" if file.parent != folder else ""
        if way:
            table = table.assign(file_name=[way + name for name in table["file_name"]])
        tables.append(table.assign(split=part))
        notes += [*words, f"The table {way + file.name!r} is read{'' if way else f' as the {part} part'}."]
    return pd.concat(tables, ignore_index=True).fillna(""), notes


def _splits(path: Path, cells: list[str]) -> list[str]:
    known = {cell: split_named(cell) for cell in set(cells)}
    if odd := sorted(cell for cell, part in known.items() if not part):
        raise UserError(
            f"The column 'split' of {str(path)!r} holds {odd[0]!r}: write 'train', 'validation' or 'test' in every row."
        )
    return [known[cell] for cell in cells]
