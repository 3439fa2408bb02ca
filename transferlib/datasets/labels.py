"""Names of classes that may not be what they seem: one class written in two ways, several labels in one cell, numbers
and dates.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from transferlib.datasets.found import Collection, printable, said
from transferlib.errors import UserError

MANY_VALUES = 20  # different numbers or dates among the labels, above which they may measure something
TRUTH = {"true": "1", "yes": "1", "false": "0", "no": "0"}
DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")
BETWEEN = re.compile(r"\s*[|;,/]\s*")  # what several labels in one cell are separated by


def alike(found: Collection) -> Collection:
    """Names that differ only in case, or in how a number, a space or an accent is written, are pointed at."""
    kinds: list[tuple[str, Callable[[str], str]]] = [("differ only in capitals", str.casefold), ("look alike", _loose)]
    seen: set[str] = set()
    for what, form in kinds:
        times = Counter(form(name) for name in found.classes)
        alike = [name for name in found.classes if times[form(name)] > 1]
        if set(alike) - seen:
            found = found.noted(said(len(alike), f"class names {what}; are they one class?", alike))
        seen |= set(alike)
    return found


def _loose(name: str) -> str:
    """The same for names that may mean the same.

    >>> _loose("1,0") == _loose("1") == _loose("True"), _loose("-1") == _loose("1"), _loose("to_do") == _loose("To-do ")
    (True, False, True)
    """
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    try:
        return repr(float(TRUTH.get(plain, plain).replace(",", ".")))
    except ValueError:
        return re.sub(r"[\s_-]+", " ", plain)


def counted(found: Collection, path: str) -> Collection:
    """Point at many numbers that are no numbering, and at dates. Raises ``UserError`` for numbers of a scale."""
    shown = ", ".join(map(repr, found.classes[:3]))
    if len(found.classes) > MANY_VALUES and all(DATE.fullmatch(name) for name in found.classes):
        return found.noted(f"The labels are {len(found.classes)} dates, such as {shown}: is that to be learned?")
    try:
        values = [float(name.replace(",", ".")) for name in found.classes]
    except ValueError:
        return found
    decimals = any(value != round(value) for value in values if abs(value) < float("inf"))
    if len(values) > MANY_VALUES and (decimals or len(values) > len(found.y) / 2):
        raise UserError(
            f"The labels of {printable(path)!r} are {len(values)} different numbers, such as {shown}: these look like "
            "measurements, and this report is for classes. Cut them into a few classes, as low, middle and high."
        )
    numbering = [[float(i + start) for i in range(len(values))] for start in (0, 1)]
    if len(values) > MANY_VALUES and sorted(values) not in numbering:
        what = f"The labels are {len(values)} different numbers, such as {shown}: each is taken for a class of its own."
        return found.noted(f"{what} If they measure something, cut them into a few classes, as low, middle and high.")
    return found


def several(found: Collection) -> Collection:
    """Point at cells with several labels: names made of parts that are names, or parts of other names, themselves."""
    if all(DATE.fullmatch(name) or re.fullmatch(r"-?\d+,\d+", name) for name in found.classes):
        return found  # decimals as they are written in much of the world
    parts = {name: [part for part in BETWEEN.split(name) if part] for name in found.classes}
    times = Counter(part for own in parts.values() for part in set(own))
    both = [name for name, own in parts.items() if len(own) > 1 and all(times[part] > 1 for part in own)]
    if not both:
        return found
    what = "class names may be several labels of one example; each combination is taken for a class of its own"
    return found.noted(said(len(both), what, both))
