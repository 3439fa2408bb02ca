"""A look at every picture's header before any is read: what will be scaled, cut or laid on white."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from transferlib.datasets.found import Collection, said
from transferlib.datasets.pictures import PIXEL_LIMIT, Look, look, span_of

DARK = 50  # a picture whose brightest value is below this part of the set's range shows nothing


def survey(found: Collection, name_unreadable: bool = False) -> Collection:
    """``found`` with its ``span`` and with a note for each of these; texts as they are.

    What cannot be opened is left for :func:`transferlib.own_data.scan.scan`, which names it, or named here.
    """
    if found.kind == "texts":
        return found
    with ThreadPoolExecutor() as pool:
        looks = dict(zip(found.items, pool.map(lambda item: _look(found, item), found.items), strict=True))
    seen = {item: one for item, one in looks.items() if one is not None}
    span = span_of(list(seen.values()))
    notes = []
    bad = [item for item, one in looks.items() if one is None or one.size[0] * one.size[1] > PIXEL_LIMIT]
    if name_unreadable and bad:
        what = f"of {len(looks)} files are no pictures that can be opened, or too large, and would be left out"
        notes.append(said(len(bad), what, bad))
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
    ):
        if which:
            notes.append(said(len(which), what, which, shown=3))
    return replace(found.noted(*notes), span=span)


def _look(found: Collection, item: str) -> Look | None:
    try:
        return look(found.root / item)
    except MemoryError:
        raise
    except Exception:  # a damaged file makes Pillow raise nearly anything
        return None
