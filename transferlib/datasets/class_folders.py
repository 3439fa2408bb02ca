"""Folders of labelled files: which are classes, and which are parts of a split."""

import re
from collections import Counter
from pathlib import Path

from transferlib.datasets.found import (
    PERHAPS,
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
from transferlib.datasets.walk import TABLES, files, files_below, folders, is_system, leads_up, stepped
from transferlib.errors import UserError

# Folders that lie beside each other where boxes or outlines are the labels: no classes.
BOXED = ({"images", "image", "img", "imgs", "jpegimages"},
         {"labels", "annotations", "masks", "mask", "segmentation", "groundtruth", "gt"})  # fmt: skip
# Folders that are numbered so are no classes when each of them holds the same folders.
NUMBERED = re.compile(r"(fold|part|batch|split|chunk|shard|session|day|site|camera|cam|patient|subject|run)s?[ _-]*\d+")


def folder(root: Path) -> Collection:
    """Every file below ``root/class``, or below ``root/train/class`` and so on.

    Raises ``UserError`` when there are no class folders, or no files in them.
    """
    notes: list[str] = []
    parts = _parts(root, notes)
    rows, splits, names, skipped, circles = [], [], set(), list[Path](), list[Path]()
    for place, part in parts:
        for inner in folders(place):
            if leads_up(inner):
                circles.append(inner)
                continue
            names.add(inner.name)
            below = sorted(files_below(inner, skipped, circles))
            rows += [(str(file.relative_to(root)), inner.name) for file in below]
            splits += [part] * len(below) if part else []
        skipped += [p for p in place.iterdir() if is_system(p.name)]
        if beside := sorted(str(p.relative_to(root)) for p in files(place)):
            notes.append(said(len(beside), "files lie beside the class folders and are not used", beside))
    if root not in [place for place, _ in parts]:
        skipped += [p for p in root.iterdir() if is_system(p.name)]
    shown = printable(str(root))
    if not rows and len(names) < 2:
        there = sorted(printable(p.name) for p in files(root))
        lies = f" {said(len(there), 'files lie in it', there, shown=3)}{_in_names(there)}" if there else ""
        if not there and not folders(root):
            lies = " It is empty."
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
        _inner_classes(rows, notes, shown)
    if perhaps := sorted({label for _, label in rows if label.casefold() in PERHAPS}):
        notes.append(said(len(perhaps), "folders may hold what has no label, and are taken for classes", perhaps))
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
    inner = folders(root)
    names = parts_named(place.name for place in inner)
    named = [(place, names[place.name]) for place in inner]
    kinds = {part for _, part in named if part}
    outer = [place.name for place, part in named if not part]
    split = sorted(((place, part) for place, part in named if part), key=lambda one: [*SPLITS].index(one[1]))
    deep = [(place, part) for place, part in split if folders(place)]
    # Folders named train and valid are parts of a split, and never classes, even when one of them has no classes in it.
    lone = bool(deep) and not any(folders(place) for place, part in named if not part)
    if len(kinds) < 2 and not (TRAIN in kinds and lone and not any(files(place) for place, _ in deep)):
        return [(root, "")]
    if outer and not (TRAIN in kinds and deep):
        return [(root, "")]
    if outer:
        notes.append(said(len(outer), "folders lie beside the parts of the split and are not used", outer))
    found = []
    for place, part in split:
        inside, words = stepped(place)
        if folders(inside):
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


def _in_names(files: list[str]) -> str:
    """What to say where the names of the files begin with few words, as cat.0.jpg and dog.0.jpg: maybe the classes."""
    words = Counter(found[0] if (found := re.match(r"[^\W\d_]+", name)) else "" for name in files)
    if "" in words or not 2 <= len(words) <= len(files) / 3:
        return ""
    listed = ", ".join(map(repr, sorted(words)[:5])) + (" and so on" if len(words) > 5 else "")
    return f" Their names begin with {listed}: if those are the classes, put each one's files into a folder."


def _inner_classes(rows: list[tuple[str, str]], notes: list[str], shown: str) -> None:
    """Say where every class holds the same folders, as a/cat and b/cat: those may be the classes.

    Raises ``UserError`` where they must be: in fold1/cat and fold2/cat.
    """
    inside: dict[str, set[str]] = {}
    for file, label in rows:
        inside.setdefault(label, set()).add(Path(file).parts[1] if len(Path(file).parts) > 2 else "")
    kinds = list(inside.values())
    if len(kinds) > 1 and len(kinds[0]) > 1 and "" not in kinds[0] and all(kind == kinds[0] for kind in kinds):
        outer, inner = (", ".join(map(repr, sorted(names)[:5])) for names in (inside, kinds[0]))
        if all(NUMBERED.fullmatch(name.casefold()) for name in inside):
            raise UserError(
                f"{shown!r} holds {outer}, and each of them holds folders called {inner}: those are the classes. Put "
                "the pictures of each class into one folder, or, where what is numbered must stay together, give a "
                "table of file, label and group."
            )
        notes.append(f"Each of the folders {outer} holds folders called {inner}: the outer ones are taken for the "
                     "classes. If the inner ones are, call the outer ones train and test, or, where they are patients, "
                     "give a table of file, label and group.")  # fmt: skip
