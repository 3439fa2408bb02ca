"""A look at every picture's header before any is read: what will be scaled, cut or laid on white."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from transferlib.datasets.found import Collection, said
from transferlib.datasets.pictures import Look, look, span_of, within_limit
from transferlib.own_data.scan import attempt, nothing, reason

DARK = 50  # a picture whose brightest value is below this part of the set's range shows nothing


def survey(found: Collection, name_unreadable: bool = False) -> Collection:
    """``found`` with its ``span`` and with a note for each of these; texts as they are.

    What cannot be opened is left for :func:`transferlib.own_data.scan.scan`, which names it, or named here.
    """
    if found.kind == "texts":
        return found
    with ThreadPoolExecutor() as pool:
        looks = dict(zip(found.items, pool.map(lambda item: attempt(_look, found, item), found.items), strict=True))
    seen = {item: one for item, one in looks.items() if not isinstance(one, Exception)}
    bad = {item: reason(one) for item, one in looks.items() if isinstance(one, Exception)}
    span = span_of(list(seen.values()))
    notes = []
    if name_unreadable and bad:
        if not seen:
            raise nothing(found, next(iter(bad.values())))
        which = [f"{item} ({why})" for item, why in bad.items()]
        notes.append(said(len(bad), f"of {len(looks)} files cannot be read and would be left out", which))
    if span:
        deep = [item for item, one in seen.items() if one.range is not None]
        what = f"pictures have more than 8 bits: {span[0]:g} is black and {span[1]:g} white in all of them"
        notes.append(said(len(deep), what, deep, shown=3))
        dark = [item for item in deep if (seen[item].range or span)[1] < span[0] + (span[1] - span[0]) / DARK]
        if dark:
            what = f"of them stay below a {DARK}th of that range, and are seen as nearly black"
            notes.append(said(len(dark), what, dark, shown=3))
    for which, what in (
        (
            [item for item, one in seen.items() if one.transparent],
            "pictures may be transparent: they are laid on white",
        ),
        ([item for item, one in seen.items() if one.moving], "pictures have several frames: the first one is read"),
        (
            [item for item, one in seen.items() if one.cut],
            "pictures have colours of 16 bits: the upper 8 are read, so that those of 12 bits look nearly black",
        ),
    ):
        if which:
            notes.append(said(len(which), what, which, shown=3))
    return replace(found.noted(*notes), span=span)


def _look(found: Collection, item: str) -> Look:
    seen = look(found.root / item)
    within_limit(seen.size)
    return seen
