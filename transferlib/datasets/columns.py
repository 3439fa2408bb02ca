"""Which column of a table holds what: the chosen ones, else those of a known name, and what is said of the others."""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from transferlib.datasets.found import ARROW, JSON, PICTURES, TRAIN, said, split_named
from transferlib.datasets.rows import near
from transferlib.errors import UserError, nearest

LABEL, TEXT = ("label", "class", "category", "target"), ("text", "sentence")
FILE = ("file", "path", "image", "filename", "file_name", "filepath", "file_path", "image_path")
GROUP = ("group", "patient", "patient_id", "subject", "subject_id")
ROLES = {"text": TEXT, "file": FILE, "label": LABEL, "group": GROUP, "split": ("split",)}
SHOWN = 12  # names of columns in one sentence
TRUTH = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def chosen_columns(
    path: Path, table: pd.DataFrame, chosen: Mapping[str, str], root: Path, notes: list[str]
) -> tuple[dict[str, str], pd.DataFrame]:
    """Role → column, for the roles text or file, label, group and split; and the table, with a column for its split.

    Raises ``UserError`` for a column that is not there, that is there twice, and where it is not clear what is meant.
    """
    names = {name.strip().lower(): name for name in table.columns}
    for role, name in chosen.items():
        if name.strip().lower() not in names:
            raise UserError(f"{str(path)!r} has no column {name!r} (--{role}): {nearest(name, table.columns)}")
        if name in table.columns:
            names[name.strip().lower()] = name  # as it is written, where another one differs in capitals only
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
        more = f" and {len(table.columns) - SHOWN} more" if len(table.columns) > SHOWN else ""
        listed = ", ".join(map(repr, table.columns[:SHOWN])) + more
        hint = _proposal(path, table, columns, root)
        raise UserError(f"{str(path)!r} has no column {wanted}: its columns are {listed}. {hint}")
    for role, name in columns.items():
        same = [other for other in table.columns if other.strip().lower() == name.strip().lower()]
        if len(same) > 1 and role not in chosen:
            listed = " and ".join(map(repr, same))
            raise UserError(f"{str(path)!r} has the columns {listed}: say which one is meant, with --{role} {same[0]}.")
    if "split" not in columns:
        columns, table = _split_column(columns, table, notes)
    guessed = [role for role in ("text", "file", "label") if role in columns and role not in chosen]
    if guessed := [role for role in guessed if columns[role].strip().lower() != role]:
        what = {"text": "the texts", "file": "the files", "label": "the labels"}
        taken_for = ", ".join(f"{columns[role]!r} for {what[role]}" for role in guessed)
        notes.append(f"By their names, these columns are taken: {taken_for}.")
    if "group" in columns and "group" not in chosen and columns["group"].strip().lower() != "group":
        notes.append(f"Rows with the same {columns['group']!r} stay on one side of every split.")
    if left := [name for name in table.columns if name not in columns.values()]:
        notes.append(said(len(left), "columns are not used", left))
    return columns, table


def _split_column(
    columns: dict[str, str], table: pd.DataFrame, notes: list[str]
) -> tuple[dict[str, str], pd.DataFrame]:
    """A column under another name in which every cell names a part, or one such as is_valid of true and false."""
    for name in [name for name in table.columns if name not in columns.values()]:
        cells = table[name].str.strip()
        if name.strip().lower() in ("is_valid", "is_test", "is_train"):
            true = {"is_valid": "validation", "is_test": "test", "is_train": TRAIN}[name.strip().lower()]
            truth = cells.str.lower().map(TRUTH)
            if truth.isna().any() or truth.nunique() < 2:
                continue
            cells = truth.map({True: true, False: "test" if true == TRAIN else TRAIN})
        kinds = set(map(split_named, set(cells)))
        if "" in kinds or TRAIN not in kinds or len(kinds) < 2:
            continue
        notes.append(f"The column {name!r} holds {', '.join(sorted(kinds))}: the split is taken from it.")
        return {**columns, "split": name}, table.assign(**{name: cells})
    return columns, table


def _one_hot(table: pd.DataFrame, taken: set[str]) -> list[str]:
    """The columns of zeros and ones of which exactly one is 1 in each row; none where the rows are otherwise."""
    truth = table.drop(columns=list(taken)).apply(pd.to_numeric, errors="coerce")
    ones = [name for name in truth if truth[name].isin([0, 1]).all()]
    return ones if ones and (truth[ones].sum(axis=1) == 1).all() else []


def _proposal(path: Path, table: pd.DataFrame, columns: Mapping[str, str], root: Path) -> str:
    """What to type: with two columns, both of their names."""
    lines = path.suffix.lower() not in (*JSON, *ARROW) and not path.is_dir()
    if len(table.columns) == 1 and lines:
        return "Columns are separated by commas, semicolons, tabs or vertical bars, or by what a first line sep= names."
    if len(table.columns) != 2:
        if len(ones := _one_hot(table, set(columns.values()))) > 1:
            listed = ", ".join(map(repr, ones[:SHOWN])) + (" and more" if len(ones) > SHOWN else "")
            return f"In each row one of the columns {listed} holds a 1: write its name into a column 'label' instead."
        data = lines and any(re.fullmatch(r"-?\d+(\.\d+)?", name) for name in table.columns)
        header = " The first row was read as the header: put one above it, if it is data." if data else ""
        return f"Name the columns: --label COLUMN, and --text COLUMN or --file COLUMN.{header}"
    fewest = sorted(reversed(table.columns), key=lambda name: table[name].nunique())  # values: the labels
    left = columns.get("label") or next(name for name in fewest if name not in columns.values())
    other = next(name for name in table.columns if name != left)
    files = table[other].str.lower().str.endswith(PICTURES).mean() > 0.5 or near(root, table[other].iloc[0].strip())
    quoted = [f"'{name}'" if " " in name else name for name in (other, left)]
    header = " The first row is the header: put one there, with the columns' names, if it is data." if lines else ""
    return f"Is it --{'file' if files else 'text'} {quoted[0]} --label {quoted[1]}?{header}"
