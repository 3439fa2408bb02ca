"""Tables of items without labels, or with some: the rows, and which column holds the texts or the pictures' files."""

from pathlib import Path

import pandas as pd

from transferlib.datasets import columnar, delimited
from transferlib.datasets.columns import FILE, TEXT
from transferlib.datasets.found import ARROW, JSON, PICTURES
from transferlib.datasets.tables import is_office
from transferlib.errors import UserError, nearest


def whole(path: Path, encoding: str = "") -> tuple[pd.DataFrame, Path]:
    """All rows of a table, blank ones too, as text, and the folder from which its files are named.

    Raises ``UserError`` for no table, and for what :func:`transferlib.datasets.collection.collect` refuses in one.
    """
    if not path.is_file() or is_office(path) or path.suffix.lower() in PICTURES:
        raise UserError(f"{str(path)!r} is no folder and no table that is read here: give a folder, or a CSV file.")
    if path.suffix.lower() in (*JSON, *ARROW):
        table, root, _ = columnar.read([(path, "")], encoding)
        return table, root
    return delimited.read(path, encoding, every=True)[0], path.parent


def holding(path: Path, table: pd.DataFrame, kind: str, column: str = "") -> str:
    """The chosen column, else one of a known name, else the only one. Raises ``UserError`` where there is none."""
    known = {name.strip().lower(): name for name in table.columns}
    if column:
        found = known.get(column.strip().lower())
    else:
        names = (name for name in (TEXT if kind == "texts" else FILE) if name in known)
        found = known.get(next(names, ""), table.columns[0] if len(table.columns) == 1 else None)
    if found is None:
        wanted = column or ("text" if kind == "texts" else "file")
        raise UserError(
            f"{str(path)!r} has no column {wanted!r}: {nearest(wanted, table.columns)} Name it with --text."
        )
    return str(found)
