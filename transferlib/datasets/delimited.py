"""Tables of text: which encoding, which delimiter, and rows that have as many fields as the header."""

import codecs
import csv
import io
from collections import Counter
from pathlib import Path

import pandas as pd

from transferlib.datasets.found import said
from transferlib.errors import UserError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
         codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
# How files begin that are no tables of text, whatever they are called.
KINDS = {b"PK\x03\x04": "a zip archive or an Excel file", b"\x1f\x8b": "compressed with gzip",
         b"PAR1": "a Parquet file", b"\xd0\xcf\x11\xe0": "an old Excel file", b"SQLite format 3": "a database",
         b"%PDF": "a PDF", b"<!doctype html": "a web page", b"<html": "a web page", b"<?xml": "an XML file",
         b"version https://git-lfs": "a pointer of Git LFS: run git lfs pull"}  # fmt: skip
LOOKED_AT = 200  # rows by which a delimiter is judged


def decoded(path: Path, encoding: str = "") -> tuple[str, list[str]]:
    """The text of a file, and what is to be said about it: UTF-8, what its byte-order mark says, or ``encoding``.

    Raises ``UserError`` for an encoding that is unknown or does not fit, and for none where UTF-8 does not.
    """
    data = path.read_bytes()
    if kind := next((what for mark, what in KINDS.items() if data[:64].lstrip().lower().startswith(mark.lower())), ""):
        raise UserError(f"{str(path)!r} is no table of text but {kind}{'' if ':' in kind else ': save it as CSV'}.")
    marked = next((name for mark, name in MARKS.items() if data.startswith(mark)), "")
    try:
        text = data.decode(encoding or marked or "utf-8")
    except LookupError:
        raise UserError(f"--encoding {encoding!r} is unknown: use a name such as utf-16 or windows-1252.") from None
    except UnicodeDecodeError as error:
        if encoding:
            raise UserError(f"{str(path)!r} is not {encoding}: byte {error.start} cannot be read as such.") from None
        raise UserError(_other(path, f"byte {error.start}: {error.reason}", data)) from None
    if "\0" in text:
        raise UserError(_other(path, "it holds zero bytes", data))
    read = encoding or (marked if marked != "utf-8-sig" else "")
    return text.removeprefix("\ufeff"), [f"{path.name!r} is read as {read}."] if read else []


def _other(path: Path, why: str, data: bytes) -> str:
    wide = data[:2000].count(0) > len(data[:2000]) / 4
    guess = "utf-16-le" if wide else "windows-1252 (as Excel writes in much of Europe) or --encoding utf-16"
    return (
        f"{str(path)!r} is not UTF-8 text ({why}): save it as CSV with UTF-8, or name its encoding, as in "
        f"--encoding {guess}."
    )


def read(path: Path, encoding: str = "", every: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """The table, all of it text, and what is to be said: its delimiter where the file's name does not say it.

    Left out and said, unless ``every`` row is wanted: blank ones, and those that repeat the header, as where files were
    put one behind the other. Blank lines at the end of a file are none of its rows.

    Raises ``UserError`` for an empty file, a quotation mark that is never closed, and rows with more fields than the
    header.
    """
    text, notes = decoded(path, encoding)
    mark, skipped, usual = "", 0, "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    first, _, rest = text.partition("\n")
    if first.strip().strip('"').lower().startswith("sep=") and len(first.strip().strip('"')) <= 5:
        mark, text, skipped = first.strip("\r").strip('"')[4:5] or "\t", rest, 1
    if not text.strip():
        raise UserError(f"{str(path)!r} is not a CSV table: it is empty.")
    mark = mark or _delimiter(text, usual)
    if mark != usual or skipped:
        notes.append(f"The columns of {path.name!r} are separated by {DELIMITERS.get(mark, repr(mark))}.")
    lines = _rows(path, text, mark, skipped)
    header = [name.strip() for name in lines[0][1]]
    header = [name or f"column {i + 1}" for i, name in enumerate(header)]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise UserError(f"{str(path)!r} has two columns called {twice[0]!r}: rename one of them.")
    width, body = len(header), [(line, [*row]) for line, row in lines[1:]]
    if not every:
        body = _filled(body, lines[0][1], notes)
    if not body:
        raise UserError(f"{str(path)!r} has a header, {header[0]!r} and so on, and no rows.")
    wide, often = Counter(len(row) for _, row in body if row).most_common(1)[0]
    if width == 1 < wide and often > len(body) / 2:
        others = "the others" if often == len(body) else "most of the others"
        raise UserError(
            f"The first line of {str(path)!r}, {header[0][:60]!r}, has one field and {others} have {wide}: "
            "delete what stands above the names of the columns."
        )
    long = [(line, len(row)) for line, row in body if any(cell.strip() for cell in row[width:])]
    if long:
        which = ", ".join(f"row {line} has {fields} fields" for line, fields in long[:10])
        more = f" and {len(long) - 10} more" if len(long) > 10 else ""
        raise UserError(
            f"{str(path)!r}: {which}{more}, the header {width}: put quotation marks around a field that holds "
            f"{DELIMITERS.get(mark, repr(mark))}."
        )
    if short := [str(line) for line, row in body if len(row) < width]:
        notes.append(said(len(short), f"rows have fewer fields than the {width} of the header: rows", short))
    rows = [(row + [""] * width)[:width] for _, row in body]
    return pd.DataFrame(rows, [line for line, _ in body], header, dtype=str), notes


def _filled(body: list[tuple[int, list[str]]], header: list[str], notes: list[str]) -> list[tuple[int, list[str]]]:
    """The rows that hold something other than the header."""
    blank = [str(line) for line, row in body if not any(cell.strip() for cell in row)]
    again = [str(line) for line, row in body if row == header]
    for which, what in ((blank, "rows are blank and are left out: rows"),
                        (again, "rows repeat the header and are left out: rows")):  # fmt: skip
        if which:
            notes.append(said(len(which), what, which))
    return [(line, row) for line, row in body if any(cell.strip() for cell in row) and row != header]


def _delimiter(text: str, usual: str) -> str:
    """The one that cuts the header into the most columns that the rows below have too."""
    # A quoted field may hold line breaks, so that rows are counted as the parser does, and not as lines.
    best, most = usual, (0.0, 0)
    for mark in sorted(DELIMITERS, key=lambda m: m != usual):
        rows = []
        try:
            for row in csv.reader(io.StringIO(text[:200_000], newline=""), delimiter=mark):
                rows += [row] if row else []
                if len(rows) > LOOKED_AT:
                    break
        except csv.Error:
            pass
        if len(rows) and len(rows[0]) > 1:
            body = rows[1:-1] or rows[1:] or rows  # the last one may be cut
            fit = (sum(len(row) == len(rows[0]) for row in body) / len(body), len(rows[0]))
            if fit > most or not most[1]:
                best, most = mark, fit
    return best


def _rows(path: Path, text: str, mark: str, skipped: int) -> list[tuple[int, list[str]]]:
    """(number of its first line, counted from 1 in the file; fields) of each row from the header to the last one."""
    before = csv.field_size_limit(2**31 - 1)  # a text may be long
    try:
        for strict in (True, False):  # not strict: a quotation mark inside a field is a character
            rows, start = list[tuple[int, list[str]]](), 1 + skipped
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=strict)
            try:
                for row in reader:
                    if rows or any(cell.strip() for cell in row):
                        rows.append((start, row))
                    start = reader.line_num + 1 + skipped
                while rows and not rows[-1][1]:
                    rows.pop()
                if not strict and (broken := [line for line, row in rows if "\n" in "".join(row)]):
                    # Marks that nothing closes would make one row of two, without a word.
                    raise UserError(
                        f"{str(path)!r} is not a CSV table: a quotation mark in row {broken[0]} is closed in another "
                        "row: write each mark inside a field twice, or leave them out."
                    )
                return rows
            except csv.Error as error:
                if "unexpected end" in str(error):
                    raise UserError(
                        f"{str(path)!r} is not a CSV table: a quotation mark that opens in row {start} is never closed."
                    ) from None
                if not strict:
                    raise UserError(f"{str(path)!r} is not a CSV table: row {start}: {error}.") from None
    finally:
        csv.field_size_limit(before)
    return []
