"""Your own data: a folder of labelled images, a CSV of images, or a CSV of texts, found and checked before it is read.

``images``: ``PATH/class/*``, or a CSV with a column of files and one of labels. ``texts``: a CSV with a column of texts
and one of labels. A column ``group`` (a patient, a camera, an author) keeps what belongs together on one side of every
split; a column ``split`` with ``train`` and ``test``, or folders of these names, fixes the split.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from transferlib.datasets.pictures import files_below
from transferlib.errors import UserError

LABEL, TEXT = ("label", "class", "category", "target"), ("text", "sentence")
FEWEST = 3  # examples of a class: two to learn from and one to test on
FILE = ("file", "path", "image", "filename")


@dataclass(frozen=True)
class Collection:
    """N labelled examples by where they are: ``items`` file paths below ``root``, or texts; ``y`` numbers of classes.

    ``groups`` and ``splits`` have N entries or none. ``notes``: a sentence for everything that was left out.
    """

    kind: str
    root: Path
    items: list[str]
    y: list[int]
    classes: list[str]
    groups: list[str]
    splits: list[str]
    notes: list[str]

    def keep(self, rows: Sequence[int], *notes: str) -> "Collection":
        """The same with these rows only, and with what is to be said about the others."""
        items, y = [self.items[i] for i in rows], [self.y[i] for i in rows]
        groups, splits = ([part[i] for i in rows] if part else [] for part in (self.groups, self.splits))
        return replace(self, items=items, y=y, groups=groups, splits=splits, notes=[*self.notes, *notes])


def collect(path: str | Path, fewest: int = FEWEST) -> Collection:
    """Find the labelled examples under ``path``, a folder or a CSV file. No picture is opened.

    Left out, and said in ``notes``: classes of fewer than ``fewest`` examples (0: none, and one class alone is not
    refused), rows without a label, repeated rows, one item with two labels, files that are not there or lie outside the
    folder. Hidden files and folders are not looked at; links are followed, those that lead in a circle are not.

    Raises:
        UserError: no such path, nothing to read there, a missing column, not UTF-8, fewer than two classes.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise UserError(f"There is nothing at {str(path)!r}: give a folder of labelled images, or a CSV file.")
    if not os.access(root, os.R_OK):
        raise UserError(f"{str(path)!r} may not be read by this user: change its permissions.")
    found = _folder(root) if root.is_dir() else _table(root)
    return _alike(_classes(found, fewest) if fewest else found)


def _folder(root: Path) -> Collection:
    parts = ("train", "test") if all((root / part).is_dir() for part in ("train", "test")) else ("",)
    rows, names = [], set()  # rows of (file, label, split)
    for part in parts:
        for place in sorted(p for p in (root / part).iterdir() if p.is_dir() and not p.name.startswith(".")):
            # A name that is not UTF-8 is still a folder's; as a label it must be text that can be written down.
            name = place.name.encode("utf-8", "backslashreplace").decode()
            names.add(name)
            rows += [(str(f.relative_to(root)), name, part) for f in sorted(files_below(place))]
    if not rows and len(names) < 2:
        raise UserError(
            f"{str(root)!r} holds no labels: it has {len(names)} class folders: at least two are needed, each with the "
            "images of one class."
        )
    if not rows:
        raise UserError(f"{str(root)!r} holds no readable image: put the images of each class into a sub-folder.")
    classes = sorted({label for _, label, _ in rows})
    number = {name: i for i, name in enumerate(classes)}
    y = [number[label] for _, label, _ in rows]
    splits = [part for *_, part in rows] if parts[0] else []
    return Collection("images", root, [file for file, *_ in rows], y, classes, [], splits, [])


def _table(path: Path) -> Collection:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except UnicodeDecodeError as error:
        raise UserError(f"{str(path)!r} is not UTF-8 text ({error.reason}): save it as CSV with UTF-8.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{str(path)!r} is not a CSV table: {str(error).strip()}.") from None
    names = {name.strip().lower(): name for name in table.columns}
    label, file, text = (next((names[n] for n in known if n in names), None) for known in (LABEL, FILE, TEXT))
    if label is None or (file is None and text is None):
        wanted = "'label'" if label is None else "'file' (images) or 'text'"
        raise UserError(f"{str(path)!r} has no column {wanted}: its columns are {', '.join(map(repr, table.columns))}.")
    item, kind = (file, "images") if file is not None else (text, "texts")
    assert item is not None
    table, notes = _sound(table, item, label, kind, path.parent)
    classes = sorted(set(table[label]))
    rest = [table[names[n]].tolist() if n in names else [] for n in ("group", "split")]
    if rest[1] and (odd := sorted(set(rest[1]) - {"train", "test"})):
        raise UserError(f"The column 'split' of {str(path)!r} holds {odd[0]!r}: write 'train' or 'test' in every row.")
    number = {name: i for i, name in enumerate(classes)}
    y = [number[name] for name in table[label]]
    return Collection(kind, path.parent, table[item].tolist(), y, classes, rest[0], rest[1], notes)


def _sound(table: pd.DataFrame, item: str, label: str, kind: str, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The rows that can be used, and a sentence for each reason to leave others out."""
    notes: list[str] = []

    def drop(bad: "pd.Series[bool]", why: str) -> None:
        nonlocal table
        if bad.any():
            notes.append(said(int(bad.sum()), f"rows {why}", [str(v)[:60] for v in table[item][bad]]))
            table = table[~bad]

    table = table.assign(**{label: table[label].str.strip(), item: table[item].str.strip()})
    drop((table[label] == "") | (table[item] == ""), "have no label or nothing to learn from")
    drop(table.duplicated([item, label]), "repeat an earlier row")
    drop(table.duplicated(item, keep=False), "give one item two labels")
    if kind == "images":
        home = folder.resolve()
        drop(~table[item].map(lambda f: (folder / f).resolve().is_relative_to(home)), "point outside the CSV's folder")
        drop(~table[item].map(lambda f: (folder / f).is_file()), "name a file that is not there")
    return table, notes


def _classes(found: Collection, fewest: int) -> Collection:
    """Without classes too small to be learned and tested."""
    counts = Counter(found.y)
    few = sorted({found.classes[c] for c in found.y if counts[c] < fewest})
    rows = [i for i, c in enumerate(found.y) if counts[c] >= fewest]
    if few:
        found = found.keep(rows, said(len(few), f"classes have fewer than {fewest} examples and are left out", few))
    kept = sorted(set(found.y))
    if len(kept) < 2:
        only = f"one class only, {found.classes[kept[0]]!r}" if kept else f"no class with {fewest} examples"
        raise UserError(f"{str(found.root)!r} holds {only}: a classifier needs at least two classes.")
    return renumbered(found)


def _alike(found: Collection) -> Collection:
    """Names that differ only in case are pointed at."""
    times = Counter(name.casefold() for name in found.classes)
    alike = [name for name in found.classes if times[name.casefold()] > 1]
    notes = [said(len(alike), "class names differ only in capitals; are they one class?", alike)] if alike else []
    return replace(found, notes=[*found.notes, *notes])


def renumbered(found: Collection) -> Collection:
    """With the classes that have examples, numbered from 0."""
    kept = sorted(set(found.y))
    return replace(found, y=np.searchsorted(kept, found.y).tolist(), classes=[found.classes[c] for c in kept])


def said(count: int, what: str, which: Sequence[str], shown: int = 10) -> str:
    """``3 rows repeat an earlier row: 'a', 'b', 'c'``: how many and which."""
    more = f" and {len(which) - shown} more" if len(which) > shown else ""
    return f"{count} {what}: {', '.join(map(repr, which[:shown]))}{more}."
