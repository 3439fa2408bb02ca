"""Tables that are no plain text: JSON, JSON lines, Parquet, and what the library ``datasets`` saves (Arrow)."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from transferlib.datasets.delimited import decoded
from transferlib.datasets.found import JSON, in_order, is_text, split_named
from transferlib.errors import UserError, needs
from transferlib.runs.cache import kept_dir

# How files of the usual formats begin.
PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
INSIDE = "dataset_info.json"  # what ``save_to_disk`` of the library datasets writes beside each part


def shards(folder: Path) -> list[tuple[Path, str]]:
    """(file, part of the split) of every Arrow or Parquet file of a saved data set; none where it is no such folder.

    That is a folder written by ``save_to_disk``, with or without parts, or one of Parquet files as a hub keeps them.
    """
    saved = [place for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir()))
             if (place / INSIDE).is_file() and any(place.glob("*.arrow"))]  # fmt: skip
    if saved:
        return in_order((file, split_named(place.name) if place != folder else "")
                        for place in saved for file in sorted(place.glob("*.arrow")))  # fmt: skip
    files = [file for place in (folder, folder / "data") for file in sorted(place.glob("*.parquet"))]
    return in_order((file, split_named(file.stem.split("-")[0])) for file in files)


def read(files: Sequence[tuple[Path, str]], encoding: str = "") -> tuple[pd.DataFrame, Path, list[str]]:
    """The table, all of it text; the folder below which its files are; and what is to be said.

    Pictures that are inside the table are written to the cache, under the SHA-256 of their content.

    Raises ``UserError`` for what is not of its format, and where pyarrow is missing.
    """
    rows, notes, root = [], [], files[0][0].parent
    for file, part in files:
        if file.suffix.lower() in JSON:
            text, words = decoded(file, encoding)
            notes += words
        for row in _json(file, text) if file.suffix.lower() in JSON else _arrow(file):
            rows.append({"split": part, **row} if part else row)
    packed = {name for row in rows for name, value in row.items() if _is_picture(value)}
    if packed:
        root = kept_dir() / "unpacked" / "pictures"
        root.mkdir(parents=True, exist_ok=True)
        inside = 0
        for row in rows:
            for name in packed & set(row):
                inside += isinstance(_content(row[name]), bytes)
                row[name] = _written(row[name], root)
        notes.append(f"{inside} pictures are inside the table.")
    if not rows:
        raise UserError(f"{str(files[0][0])!r} is not a table with examples: it has no rows.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:  # as text: pandas would make floats of numbers
        cells = [[_text(row.get(name)) for name in names] for row in rows]
    except UnicodeDecodeError:
        raise UserError(f"{str(files[0][0])!r} holds bytes that are neither a picture nor UTF-8 text.") from None
    if odd := sum(any(not is_text(cell) for cell in row) for row in cells):
        notes.append(f"{odd} rows hold halves of characters, which are escaped.")
        cells = [[cell.encode("utf-8", "backslashreplace").decode() for cell in row] for row in cells]
    order = range(1, len(cells) + 1)
    return pd.DataFrame(cells, order, [str(name) for name in names], dtype=str), root, notes


def _is_picture(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"bytes", "path"}
    return isinstance(value, bytes) and value.startswith(PICTURE_STARTS)


def _content(picture: Any) -> Any:
    return picture.get("bytes") if isinstance(picture, dict) else picture


def _written(picture: Any, root: Path) -> str:
    if not isinstance(data := _content(picture), bytes):
        return str(picture.get("path") or "") if isinstance(picture, dict) else _text(picture)
    file = root / hashlib.sha256(data).hexdigest()
    if not file.is_file():
        file.write_bytes(data)
    return file.name


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _json(file: Path, text: str) -> list[dict[str, Any]]:
    if not text.strip():
        raise UserError(f"{str(file)!r} is not a table: it is empty.")
    try:
        value = _rows_of(file, _loaded(file, text))
    except UserError:
        raise
    except ValueError as error:
        line, lines = getattr(error, "lineno", 1), getattr(error, "msg", "") == "Extra data"
        if file.suffix.lower() == ".json" and text.lstrip().startswith("[") and not lines:
            raise _no_json(file, line, error) from None  # no lines of objects, but one long list
        value = [_line(file, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not _is_rows(value):
        raise UserError(f"{str(file)!r} is not a table: a list of objects such as {{'text': …, 'label': …}} is read.")
    return list(value)


def _rows_of(file: Path, value: Any) -> Any:
    """The rows in one of the forms that tables have in JSON; another value as it is."""
    if not isinstance(value, dict):
        return value
    inner = list(value.values())
    if len(value) > 1 and all(map(split_named, value)) and all(map(_is_rows, inner)):
        return [{"split": part, **row} for part, rows in value.items() for row in rows]  # {"train": [{…}], "test": …}
    if {"images", "annotations"} <= set(value):
        raise UserError(
            f"{str(file)!r} is a COCO file: boxes or outlines in pictures, and no class of whole pictures. Give a "
            "table with a row for each picture: its file and its label."
        )
    if len(lists := [name for name, v in value.items() if _is_rows(v)]) == 1:
        return value[lists[0]]  # {"data": [{…}, …]}
    if lists:
        names = ", ".join(map(repr, lists[:5]))
        raise UserError(f"{str(file)!r} holds {len(lists)} tables, {names}: save the one that is meant by itself.")
    if not all(isinstance(v, (list, dict)) for v in inner):
        return [value]
    if any(isinstance(v, dict) and not all(map(str.isdecimal, v)) for v in inner):
        return [row for row in inner if isinstance(row, dict)]  # {"id": {"text": …, "label": …}}
    # {"text": […], "label": […]}, or with the numbers of rows, as pandas writes it
    lists = [list(v.values()) if isinstance(v, dict) else v for v in inner]
    if len({len(v) for v in lists}) > 1:
        counts = ", ".join(f"{name!r} {len(v)}" for name, v in zip(value, lists, strict=True))
        raise UserError(f"{str(file)!r} is not a table: its columns are not of one length ({counts}).")
    return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]


def _loaded(file: Path, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{str(file)!r} has an object with two values called {twice!r}: rename one of them.")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise UserError(f"{str(file)!r} is not a table: its values are nested too deeply.") from None


def _line(file: Path, number: int, line: str) -> Any:
    try:
        return _loaded(file, line)
    except UserError:
        raise
    except ValueError as error:
        raise _no_json(file, number, error) from None


def _no_json(file: Path, number: int, error: ValueError) -> UserError:
    words = str(error).split(":")[0].split(";")[0]
    return UserError(f"{str(file)!r} is not JSON: line {number} cannot be read ({words}).")


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _arrow(file: Path) -> Iterator[dict[str, Any]]:
    needs("pyarrow", "data", "A table in Arrow's or Parquet's format")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            opened = pq.ParquetFile(file)
            schema, batches = opened.schema_arrow, opened.iter_batches(256)
        else:
            with file.open("rb") as stream:
                kind = pa.ipc.open_file if stream.read(6) == b"ARROW1" else pa.ipc.open_stream
            opened = kind(pa.memory_map(str(file)))
            schema = opened.schema
            whole = opened.read_all()
            batches = whole.to_batches()
        if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
            raise UserError(f"{str(file)!r} has two columns called {twice[0]!r}: rename one of them.")
        names = _class_names(schema.metadata)
        for batch in batches:
            for row in batch.to_pylist():
                for name, known in names.items():
                    if isinstance(row[name], int):
                        row[name] = known[row[name]] if 0 <= row[name] < len(known) else None
                yield row
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{str(file)!r} is not a table that can be read ({str(error).splitlines()[0][:100]})."
        ) from None


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """Column → names of its numbers, as the library datasets keeps them in the schema."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {name: list(one["names"]) for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
