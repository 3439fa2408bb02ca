"""Your own data: a folder of labelled images, a table of images, or a table of texts, found and checked before it is
read.

``images``: ``PATH/class/*``, or a table with a column of files and one of labels. ``texts``: a table with a column of
texts and one of labels. A column ``group`` (a patient, a camera, an author) keeps what belongs together on one side of
every split; a column ``split``, or folders named train, val and test, fix the split. A zip or tar archive of any of
these is unpacked into the cache first.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from transferlib.datasets import archives, class_folders, tables, walk
from transferlib.datasets.found import TEST, TRAIN, VALIDATION, Collection, printable, said
from transferlib.datasets.labels import alike, counted, several
from transferlib.errors import UserError

FEWEST = 3  # examples of a class: two to learn from and one to test on


def collect(
    path: str | Path, fewest: int = FEWEST, columns: Mapping[str, str] | None = None, encoding: str = ""
) -> Collection:
    """Find the labelled examples under ``path``: a folder, a table or an archive. No picture is opened.

    ``columns`` names the columns of a table that are called otherwise: ``{"text": "review", "label": "stars"}``, with
    the keys text, file, label, group and split. ``encoding`` of a table of text, where it is not UTF-8.

    Left out, and said in ``notes``: classes of fewer than ``fewest`` examples (0: none, and one class alone is not
    refused), classes on one side of a given split only, a validation part beside a test part, rows without a label,
    repeated rows, one item with two labels, files that are not there or lie outside the folder, hidden and system
    files. Links count where they stand; those that lead in a circle are not followed.

    Raises:
        UserError: no such path, nothing to read there, a missing column, another encoding, rows that do not fit their
            header, labels that are measurements, fewer than two classes.
    """
    root = Path(path).expanduser()
    try:
        there = root.exists()
    except OSError as error:
        raise UserError(f"{str(path)[:200]!r} cannot be looked at ({error.strerror}).") from None
    if not there:
        raise UserError(f"There is nothing at {str(path)!r}: give a folder of labelled images, or a table such as CSV.")
    if not os.access(root, os.R_OK):
        raise UserError(f"{str(path)!r} may not be read by this user: change its permissions.")
    if not root.is_dir() and not root.is_file():
        raise UserError(f"{str(path)!r} is neither a file nor a folder: give a folder of images, or a table.")
    if root.is_file() and not tables.is_office(root) and archives.is_archive(root):
        place = archives.unpacked(root)
        try:
            found = _collected(place, path, [f"{root.name!r} is an archive: what it holds is read."], fewest, columns,
                               encoding)  # fmt: skip
        except UserError as error:  # somebody knows the archive, and not where it was unpacked
            raise UserError(str(error).replace(str(place), str(path))) from None
        return found
    return _collected(root, path, [], fewest, columns, encoding)


def _collected(
    root: Path, path: str | Path, notes: list[str], fewest: int, columns: Mapping[str, str] | None, encoding: str
) -> Collection:
    if root.is_dir():
        root, stepped = walk.stepped(root)
        notes += stepped
    chosen = {role: name for role, name in (columns or {}).items() if name}
    table = root if root.is_file() else tables.inside(root, notes)
    if table is not None:
        if table not in (root, Path(path).expanduser()):
            notes.append(f"The table {table.name!r} in the folder is read.")
        found = tables.read(table, chosen, encoding)
    elif chosen or encoding:
        raise UserError(f"{str(path)!r} is a folder without a table: names of columns and --encoding are for tables.")
    else:
        found = class_folders.folder(root)
    found = _parts(replace(found, notes=[*notes, *found.notes]), str(path))
    found = several(alike(found))
    return one_sided(_classes(counted(found, str(path)), fewest, str(path))) if fewest else found


def _parts(found: Collection, path: str) -> Collection:
    """With ``train`` and ``test`` only: a validation part is tested on, or, beside a test part, left aside."""
    if not found.splits:
        return found
    kinds = Counter(found.splits)
    if len(kinds) == 1:
        note = f"Every example is of the {found.splits[0]} part: a test part is drawn at random."
        return replace(found.noted(note), splits=[])
    if not kinds[TRAIN]:
        has = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        raise UserError(f"{printable(path)!r} is split, but has {has} only: it needs a train and a test part.")
    if not kinds[VALIDATION]:
        return found
    if not kinds[TEST]:
        splits = [TEST if part == VALIDATION else part for part in found.splits]
        note = f"There is no test part: the {kinds[VALIDATION]} examples of the validation part are tested on."
        return replace(found.noted(note), splits=splits)
    rows = [i for i, part in enumerate(found.splits) if part != VALIDATION]
    return found.keep(
        rows, f"{kinds[VALIDATION]} examples of the validation part are left aside: every way here has a fixed recipe, "
        "so that nothing is tuned on them, and the test part is what the ways are compared on.")  # fmt: skip


def _classes(found: Collection, fewest: int, path: str) -> Collection:
    """Without classes too small to be learned and tested."""
    counts = Counter(found.y)
    few = sorted({found.classes[c] for c in found.y if counts[c] < fewest})
    rows = [i for i, c in enumerate(found.y) if counts[c] >= fewest]
    before = found.notes
    if few:
        found = found.keep(rows, said(len(few), f"classes have fewer than {fewest} examples and are left out", few))
    kept = sorted(set(found.y))
    if len(kept) < 2:
        only = f"one class only, {found.classes[kept[0]]!r}" if kept else f"no class with {fewest} examples"
        sentence = f"{printable(path)!r} holds {only}: a classifier needs at least two classes."
        raise UserError(" ".join([*before, sentence]))
    return renumbered(found)


def one_sided(found: Collection) -> Collection:
    """Without the classes that are on one side of a given split only. Raises ``UserError`` if fewer than two stay."""
    sides = [{c for c, part in zip(found.y, found.splits, strict=False) if part == side} for side in (TRAIN, TEST)]
    for side, other, lacking in ((0, 1, "nothing to test on"), (1, 0, "nothing to learn from")):
        if gone := sorted(sides[side] - sides[other]):
            rows, names = [i for i, c in enumerate(found.y) if c not in gone], [found.classes[c] for c in gone]
            found = found.keep(rows, said(len(gone), f"classes have {lacking} in your split and are left out", names))
    if len(set(found.y)) < 2:
        raise UserError(f"Fewer than two classes are on both sides of your split. {' '.join(found.notes)}")
    return renumbered(found)


def renumbered(found: Collection) -> Collection:
    """With the classes that have examples, numbered from 0."""
    kept = sorted(set(found.y))
    return replace(found, y=np.searchsorted(kept, found.y).tolist(), classes=[found.classes[c] for c in kept])
