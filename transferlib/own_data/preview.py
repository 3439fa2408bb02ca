"""What a report would use, in a few lines, before anything is computed."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from transferlib.course.profiles import check_profile
from transferlib.datasets.collection import collect
from transferlib.datasets.found import Collection, printable
from transferlib.own_data.draws import effort
from transferlib.own_data.machine import check_home, sharing
from transferlib.own_data.splits import torn
from transferlib.own_data.survey import survey
from transferlib.own_data.ways import NAMES

HINT = "nothing is left out or guessed"
SHOWN = 8  # classes by name
LONG = 1000  # characters, about as many as the 256 tokens of a sentence encoder hold


def planned(data: str | Path, profile: str, columns: Mapping[str, str], encoding: str = "") -> list[str]:
    """:func:`preview` of what is found under ``data``. Raises ``UserError`` as a report would at its start."""
    check_profile(profile)
    check_home()
    _, notes = sharing()
    found = collect(data, columns=columns, encoding=encoding).noted(*notes)
    return preview(survey(found, name_unreadable=True), profile, str(data))


def preview(found: Collection, profile: str = "cpu", source: str = "") -> list[str]:
    """Examples and classes, the split, groups, the ways and how often each is run; then a line for each note."""
    counts, spend = Counter(found.y), effort(profile, found.kind)
    what = "pictures" if found.kind == "images" else "texts"
    classes = [f"{printable(name)} ({counts[c]})" for c, name in enumerate(found.classes[:SHOWN])]
    more = f", and {len(found.classes) - SHOWN} more" if len(found.classes) > SHOWN else ""
    split = "drawn at random, three in ten to test on"
    if found.splits:
        split = ", ".join(f"{count} to {part}" for part, count in sorted(Counter(found.splits).items(), reverse=True))
    both = len(torn(found))
    sides = f"{both} of them on both sides of your split" if both else "each on one side of every split"
    groups = f"{len(set(found.groups))}, {sides}" if found.groups else "none given"
    notes = list(found.notes)
    if found.kind == "texts" and (long := sum(len(item) > LONG for item in found.items)):
        notes.append(f"{long} texts have more than {LONG} characters: the report names what its networks cut off.")
    ways = ", ".join(NAMES[found.kind].values())
    return [
        f"Read: {len(found.y)} {what} from {printable(source or str(found.root))!r}",
        f"Classes: {len(found.classes)}: {', '.join(classes)}{more}",
        f"Split: {split}; groups: {groups}",
        f"Ways: {ways}; {len(spend['seeds'])} draws in closed form, {spend['few']} trained",
        *(f"Note: {note}" for note in notes or [HINT]),
        *(
            ["Note: only the beginning of each picture was read; the report names those that end early."]
            if found.kind == "images"
            else []
        ),
    ]
