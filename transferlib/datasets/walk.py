"""Folders of labelled files: which are classes, which are parts of a split, and which are no data at all."""

import os
from collections.abc import Iterator
from pathlib import Path

from transferlib.datasets.found import (
    ARROW,
    DELIMITED,
    JSON,
    SPLITS,
    TEST,
    TRAIN,
    Collection,
    is_text,
    numbered,
    parts_named,
    printable,
    said,
    split_named,
)
from transferlib.datasets.text_files import is_text_file, texts
from transferlib.errors import UserError

TABLES = (*DELIMITED[:3], *JSON, *ARROW)
# What systems and programs leave in folders, beside everything that begins with a dot.
SYSTEM = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "icon\r", "$recycle.bin", "#recycle",
          "#snapshot", "@tmp", "system volume information", "lost+found", "__pycache__", "picasa.ini"}  # fmt: skip
# Folders that lie beside each other where boxes or outlines are the labels: no classes.
BOXED = ({"images", "image", "img", "imgs", "jpegimages"},
         {"labels", "annotations", "masks", "mask", "segmentation", "groundtruth", "gt"})  # fmt: skip


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden, or left by a system: no data.

    >>> [is_system(n) for n in ("._0001.jpg", "Thumbs.db", "@eaDir", "cat")]
    [True, True, True, False]
    """
    return name.startswith((".", "~$")) or name.lower() in SYSTEM


def stepped(root: Path) -> tuple[Path, list[str]]:
    """``root``, or the folder inside it that is alone there and holds folders or tables, and so on; and what to say."""
    top = root
    beside, hidden = list[str](), list[str]()
    while len(inner := _folders(root)) == 1 and not _up(inner[0]) and (_folders(inner[0]) or _tables(inner[0])):
        files = _files(root)
        if any(file.suffix.lower() in TABLES for file in files):
            break
        beside += [str(file.relative_to(top)) for file in files]
        hidden += sorted(str(p.relative_to(top)) for p in root.iterdir() if is_system(p.name))
        root = inner[0]
    if root == top:
        return root, []
    notes = [said(len(beside), "files lie beside the only folder and are not used", beside)] if beside else []
    if hidden:
        notes.append(said(len(hidden), "hidden or system files beside the only folder are skipped", hidden, shown=5))
    return root, [f"The folders are in the only folder, {printable(str(root.relative_to(top)))!r}: it is read.", *notes]


def folder(root: Path) -> Collection:
    """Every file below ``root/class``, or below ``root/train/class`` and so on.

    Raises ``UserError`` when there are no class folders, or no files in them.
    """
    notes: list[str] = []
    parts = _parts(root, notes)
    rows, splits, names, skipped, circles = [], [], set(), list[Path](), list[Path]()
    for place, part in parts:
        for inner in _folders(place):
            if _up(inner):
                circles.append(inner)
                continue
            names.add(inner.name)
            files = sorted(files_below(inner, skipped, circles))
            rows += [(str(file.relative_to(root)), inner.name) for file in files]
            splits += [part] * len(files) if part else []
        skipped += [p for p in place.iterdir() if is_system(p.name)]
        if beside := sorted(str(p.relative_to(root)) for p in _files(place)):
            notes.append(said(len(beside), "files lie beside the class folders and are not used", beside))
    if root not in [place for place, _ in parts]:
        skipped += [p for p in root.iterdir() if is_system(p.name)]
    shown = printable(str(root))
    if not rows and len(names) < 2:
        there = sorted(printable(p.name) for p in _files(root))
        lies = f" {said(len(there), 'files lie in it', there, shown=3)}" if there else ""
        raise UserError(
            f"{shown!r} holds no labels: it has {len(names)} class folders: at least two are needed, each with the "
            f"images of one class. If a table holds the labels, give the table.{lies}"
        )
    if not rows:
        raise UserError(f"{shown!r} holds no readable image: put the images of each class into a sub-folder.")
    if all(kind & {name.casefold() for name in names} for kind in BOXED):
        raise UserError(
            f"{shown!r} holds {', '.join(map(repr, sorted(names)))}: pictures, and boxes or outlines in them, but no "
            "classes of whole pictures. Put the pictures of each class into a sub-folder, or give a table."
        )
    if all(Path(file).suffix.lower() in (*TABLES, ".npy", ".npz") for file, _ in rows):
        kinds = ", ".join(sorted({Path(file).suffix.lower() for file, _ in rows}))
        raise UserError(
            f"The folders of {shown!r} hold files of the kind {kinds}: neither pictures nor texts of one example each. "
            "Put the rows into one table with a column of labels, or each picture into a file of its own."
        )
    if bare := sorted(names - {label for _, label in rows}):
        notes.append(said(len(bare), "class folders hold no files", bare))
    if circles:
        which = sorted({str(p.relative_to(root)) for p in circles})
        notes.append(said(len(which), "links lead to a folder above them, or to one already read, and are not followed",
                          which))  # fmt: skip
    splits = splits or _inner_splits(rows, notes)
    if not splits:
        _inner_classes(rows, notes)
    if odd := sorted({name for name in names if not is_text(name)}):
        notes.append(said(len(odd), "class names are not UTF-8 and are shown escaped", odd))
    if odd := sorted({file for file, _ in rows if not is_text(Path(file).name)}):
        notes.append(said(len(odd), "file names are not UTF-8 and are shown escaped", odd))
    if skipped:
        which = sorted({str(p.relative_to(root)) for p in skipped})
        notes.append(said(len(which), "hidden or system files and folders are skipped", which, shown=5))
    # A name that is not UTF-8 is still a folder's; as a label it must be text that can be written down.
    rows = [(f, printable(n) if not is_text(n) else n) for f, n in rows]
    if sum(is_text_file(file) for file, _ in rows) > len(rows) / 2:
        rows, splits = texts(root, rows, splits, notes)
        return numbered("texts", root, rows, [], splits, notes)
    return numbered("images", root, rows, [], splits, notes)


def _parts(root: Path, notes: list[str]) -> list[tuple[Path, str]]:
    """The folders that hold class folders, and which part of a split each is."""
    inner = _folders(root)
    names = parts_named(place.name for place in inner)
    named = [(place, names[place.name]) for place in inner]
    kinds = {part for _, part in named if part}
    outer = [place.name for place, part in named if not part]
    split = sorted(((place, part) for place, part in named if part), key=lambda one: [*SPLITS].index(one[1]))
    deep = [(place, part) for place, part in split if _folders(place)]
    # Folders named train and valid are parts of a split, and never classes, even when one of them has no classes in it.
    lone = bool(deep) and not any(_folders(place) for place, part in named if not part)
    if len(kinds) < 2 and not (TRAIN in kinds and lone and not any(_files(place) for place, _ in deep)):
        return [(root, "")]
    if outer and not (TRAIN in kinds and deep):
        return [(root, "")]
    if outer:
        notes.append(said(len(outer), "folders lie beside the parts of the split and are not used", outer))
    found = []
    for place, part in split:
        inside, words = stepped(place)
        if _folders(inside):
            notes += [f"In {place.name!r}: {word}" for word in words]
            found.append((inside, part))
        else:
            count = sum(1 for _ in files_below(place, []))
            notes.append(f"{printable(place.name)!r} has no class folders: its {count} files are not used.")
    if not any(part == TRAIN for _, part in found):
        raise UserError(
            f"{printable(str(root))!r} is split into {', '.join(repr(p.name) for p, _ in split)}, but no train part "
            "has class folders: put the images of each class into a sub-folder of it."
        )
    if len(found) < 2 or len({part for _, part in found}) < 2:
        notes.append("Only one part of the split can be used: test examples are drawn from it at random.")
        return [(place, "") for place, _ in found]
    if {place.name for place, _ in split} != {TRAIN, TEST}:
        notes.append(f"The split is that of the folders {', '.join(repr(place.name) for place, _ in split)}.")
    return found


def _inner_splits(rows: list[tuple[str, str]], notes: list[str]) -> list[str]:
    """The parts where each class folder is split, as in cat/train and cat/test; or none."""
    inner = [Path(file).parts[1] if len(Path(file).parts) > 2 else "" for file, _ in rows]
    parts = {name: split_named(name) for name in set(inner)}
    if not all(parts.values()) or TRAIN not in parts.values() or len(set(parts.values())) < 2:
        return []
    notes.append(f"The split is that of the folders {', '.join(map(repr, sorted(parts)))} inside each class.")
    return [parts[name] for name in inner]


def _inner_classes(rows: list[tuple[str, str]], notes: list[str]) -> None:
    """Say where every class holds the same folders, as fold1/cat and fold2/cat: those may be the classes."""
    inside: dict[str, set[str]] = {}
    for file, label in rows:
        inside.setdefault(label, set()).add(Path(file).parts[1] if len(Path(file).parts) > 2 else "")
    kinds = list(inside.values())
    if len(kinds) > 1 and len(kinds[0]) > 1 and "" not in kinds[0] and all(kind == kinds[0] for kind in kinds):
        outer, inner = (", ".join(map(repr, sorted(names)[:5])) for names in (inside, kinds[0]))
        notes.append(f"Each of the folders {outer} holds folders called {inner}: the outer ones are taken for the "
                     "classes. If the inner ones are, call the outer ones train and test, or, where they are patients, "
                     "give a table of file, label and group.")  # fmt: skip


def files_below(folder: Path, skipped: list[Path], circles: list[Path] | None = None) -> Iterator[Path]:
    """Every file below ``folder``; hidden and system files go to ``skipped``.

    A link counts where it stands. A link to a folder above it, or to one already seen, is not followed: ``circles``.
    """
    top, seen = folder.resolve(), set[Path]()
    for place, inner, files in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen or (real != top and top.is_relative_to(real)):
            inner.clear()
            if circles is not None:
                circles.append(Path(place))
            continue
        seen.add(real)
        skipped += [Path(place) / name for name in (*inner, *files) if is_system(name)]
        inner[:] = [name for name in inner if not is_system(name)]
        yield from (Path(place) / name for name in files if not is_system(name))


def _folders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not is_system(p.name))


def _up(place: Path) -> bool:
    """Whether the folder is a link that leads to one above it."""
    return place.is_symlink() and place.parent.resolve().is_relative_to(place.resolve())


def _tables(place: Path) -> bool:
    return any(file.suffix.lower() in TABLES for file in _files(place))


def _files(place: Path) -> list[Path]:
    return [p for p in place.iterdir() if not p.is_dir() and not is_system(p.name)]
