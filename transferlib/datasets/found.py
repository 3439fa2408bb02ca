"""What was found: labelled examples by where they are, and sentences about everything that was left out."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = {TRAIN: ("train", "training", "trainval", "trn", "entrenamiento", "entrainement", "apprentissage",
          "treino"),
          VALIDATION: ("val", "valid", "validation", "validate", "dev", "devel", "development", "validacion",
          "validierung", "validacao"), TEST: ("test", "testing", "tst", "holdout", "heldout", "eval", "evaluation",
          "prueba", "teste")}  # fmt: skip
WORD = re.compile(rf"(?<![a-z])({'|'.join(name for names in SPLITS.values() for name in names)})(?![a-z])")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif")
DELIMITED, JSON = (".csv", ".tsv", ".tab", ".txt"), (".jsonl", ".ndjson", ".json")
ARROW = (".parquet", ".pq", ".arrow", ".feather")
# Names that may say that an example has no label.
PERHAPS = {"none", "unknown", "unlabelled", "unlabeled", "unsup", "unsorted", "todo", "-", "--", "?", ".", "missing",
           "undefined", "not available"}  # fmt: skip
AFTER = ("", "set", "split", "data", "images", "imgs", "folder")  # as in train_set


@dataclass(frozen=True)
class Collection:
    """N labelled examples by where they are: ``items`` file paths below ``root``, or texts; ``y`` numbers of classes.

    ``groups`` and ``splits`` have N entries or none. ``notes``: a sentence for everything that was left out, merged or
    guessed. ``span``: the values that are black and white in pictures of more than 8 bits.
    """

    kind: str
    root: Path
    items: list[str]
    y: list[int]
    classes: list[str]
    groups: list[str]
    splits: list[str]
    notes: list[str] = field(default_factory=list)
    span: tuple[float, float] | None = None

    def keep(self, rows: Sequence[int], *notes: str) -> "Collection":
        """The same with these rows only, and with what is to be said about the others."""
        items, y = [self.items[i] for i in rows], [self.y[i] for i in rows]
        groups, splits = ([part[i] for i in rows] if part else [] for part in (self.groups, self.splits))
        return replace(self, items=items, y=y, groups=groups, splits=splits, notes=[*self.notes, *notes])

    def noted(self, *notes: str) -> "Collection":
        """The same with more to say."""
        return replace(self, notes=[*self.notes, *notes])


def numbered(
    kind: str, root: Path, rows: Sequence[tuple[str, str]], groups: list[str], splits: list[str], notes: list[str]
) -> Collection:
    """A collection of rows (item, label), its classes in the order of their names."""
    classes = sorted({label for _, label in rows})
    number = {name: i for i, name in enumerate(classes)}
    y = [number[label] for _, label in rows]
    return Collection(kind, root, [item for item, _ in rows], y, classes, groups, splits, notes)


def split_named(name: str) -> str:
    """Which part of a split a folder, or a cell of a table, is called: train, validation, test, or nothing.

    >>> split_named("Training"), split_named("val"), split_named("test_set"), split_named("holdout"), split_named("cat")
    ('train', 'validation', 'test', 'test', '')
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if c.isalpha())
    return next((part for part, known in SPLITS.items() if any(plain == k + a for k in known for a in AFTER)), "")


def parts_named(names: Iterable[str]) -> dict[str, str]:
    """Name → part of a split, or nothing: each by itself, or several that differ in nothing but the word for the part.

    >>> parts_named(["x_train", "x_test", "cat"]), parts_named(["trainA", "testB"])
    ({'x_train': 'train', 'x_test': 'test', 'cat': ''}, {'trainA': '', 'testB': ''})
    """
    parts = {name: split_named(name) for name in names}
    alike: dict[str, dict[str, str]] = {}
    for name in [name for name, part in parts.items() if not part]:
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
        for word in WORD.finditer(plain):
            rest = f"{plain[: word.start()]}*{plain[word.end() :]}"
            alike.setdefault(rest, {})[name] = split_named(word[0])
    for group in alike.values():
        if TRAIN in group.values() and len(set(group.values())) > 1:
            parts |= group
    return parts


def in_order(parts: Iterable[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """(file, part) with the parts to learn from first: of a row that is in two parts, the first one is kept."""
    return sorted(parts, key=lambda one: ["", *SPLITS].index(one[1]))


def printable(name: str) -> str:
    r"""``name`` with everything escaped that no page and no terminal shows: bytes that are no text, line breaks.

    >>> printable("caf\udce9\n"), printable("שלום 🐱")
    ('caf\\udce9\\n', 'שלום 🐱')
    """
    shown = (c if c.isprintable() or unicodedata.category(c) in ("Zs", "Cf") else repr(c)[1:-1] for c in name)
    return "".join(shown)


def shortened(text: str, most: int) -> str:
    """``text``, or its beginning and three dots.

    >>> shortened("a good film", 20), shortened("a good film", 7)
    ('a good film', 'a good…')
    """
    return text if len(text) <= most else text[:most].rstrip() + "…"


def is_text(name: str) -> bool:
    r"""Whether every character can be written down: no byte that is not UTF-8, no half of a character.

    >>> is_text("café"), is_text("caf\udce9")
    (True, False)
    """
    return not any("\ud800" <= c <= "\udfff" for c in name)


def said(count: int, what: str, which: Sequence[str], shown: int = 10) -> str:
    """``3 rows repeat an earlier row: 'a', 'b', 'c'.``: how many and which."""
    more = f" and {len(which) - shown} more" if len(which) > shown else ""
    return f"{count} {what}: {', '.join(map(repr, which[:shown]))}{more}."
