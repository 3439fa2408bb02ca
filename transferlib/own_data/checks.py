"""Before anything is trained on your own data: what is in it that would fool you."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from transferlib.datasets.collection import FEWEST, one_sided, renumbered
from transferlib.datasets.found import Collection, said, shortened
from transferlib.domains.twins import merged, twins
from transferlib.errors import UserError
from transferlib.own_data.scan import Scan

TINY, GIANT = 24, 6000  # pixels: below the shorter side, above the longer side
ALIKE = 0.9  # cosine similarity of centred features from which two examples are shown as near-duplicates


class Check(NamedTuple):
    """``counts`` a row per class; ``alike`` near-duplicate pairs (rows ``a``, ``b``, ``similarity``, ``same_label``);
    ``scan`` without repeated content; ``together`` (M,) numbers of what must stay on one side of a split: whole sets
    of near-duplicates, also where two of them are alike only through a third, and given groups."""

    scan: Scan
    counts: pd.DataFrame
    alike: pd.DataFrame
    together: NDArray[np.int64]


def check(scan: Scan, threshold: float = ALIKE, progress: bool = False) -> Check:
    """Count, compare everything with everything, and drop repeated content; ``scan.found.notes`` says what.

    Of one content with one label the first is kept; of one content with two labels, none. Near-duplicates stay, and
    get a common number in ``together``, as do the examples of a given group. Classes left too small go.

    Raises ``UserError`` when fewer than two classes are left.
    """
    names = pd.Series(scan.found.items, dtype=object)  # a file's name may be no text
    frame = pd.DataFrame({"key": scan.keys, "y": scan.found.y, "item": names})
    torn = frame.groupby("key")["y"].transform("nunique") > 1
    again = frame.duplicated("key") & ~torn
    notes = []
    if torn.any():
        notes.append(said(int(torn.sum()), "files have the same content and different labels", _names(frame[torn])))
    if again.any():
        notes.append(said(int(again.sum()), "files repeat the content of another", _names(frame[again])))
    counts = np.bincount(frame["y"][~(torn | again)], minlength=len(scan.found.classes))
    if few := [name for name, count in zip(scan.found.classes, counts, strict=True) if count < FEWEST]:
        notes.append(said(len(few), f"classes are left with fewer than {FEWEST} examples and are left out", few))
    kept = np.flatnonzero(~(torn | again) & (counts[frame["y"]] >= FEWEST)).tolist()
    if (counts >= FEWEST).sum() < 2:
        raise UserError(
            f"{str(scan.found.root)!r} is left with fewer than two classes: {' '.join([*scan.found.notes, *notes])}"
        )
    found = scan.found.keep(kept, *notes)
    if found.splits:
        kept, found = _both_sides(kept, found)
    counts = np.bincount(found.y, minlength=len(found.classes))
    found = renumbered(found)
    found = _sizes(found, [scan.sizes[i] for i in kept])
    keys, sizes = [scan.keys[i] for i in kept], [scan.sizes[i] for i in kept]
    left = scan._replace(found=found, keys=keys, features=scan.features[kept], sizes=sizes)
    if bool((left.features == left.features[:1]).all()):
        sentence = "The pretrained network sees the same in every example: near-duplicates are not looked for."
        left, threshold = left._replace(found=found.noted(sentence)), np.inf
    sets, alike = _alike(left.features, found.y, threshold, progress)
    table = pd.DataFrame({"class": found.classes, "examples": counts[counts > 0]})
    return Check(left, table, alike, _together(found, sets))


def _both_sides(kept: list[int], found: Collection) -> tuple[list[int], Collection]:
    """Without classes that reading and repeated content have left on one side of the given split."""
    left = one_sided(found)
    names = set(left.classes)
    rows = [i for i, c in enumerate(found.y) if found.classes[c] in names]
    return [kept[i] for i in rows], left


def _names(frame: pd.DataFrame) -> list[str]:
    return [shortened(str(item), 80) for item in frame["item"]]


def _sizes(found: Collection, sizes: list[tuple[int, int]]) -> Collection:
    if found.kind == "texts":
        return found
    tiny = [item for item, wh in zip(found.items, sizes, strict=True) if min(wh) < TINY]
    giant = [item for item, wh in zip(found.items, sizes, strict=True) if max(wh) > GIANT]
    odd = ((tiny, f"images are narrower than {TINY} pixels"), (giant, f"images are longer than {GIANT} pixels"))
    notes = [said(len(which), f"{what}, and kept", which) for which, what in odd if which]
    return found.keep(range(len(found.items)), *notes)


def _alike(features: Tensor, y: list[int], threshold: float, progress: bool) -> tuple[NDArray[np.int64], pd.DataFrame]:
    if threshold > 1:
        empty = pd.DataFrame({"a": [0], "b": [0], "similarity": [0.0], "same_label": [True]}).iloc[:0]
        return np.arange(len(y)), empty
    sets, pairs, similarity = twins(features, threshold, progress=progress)
    label = np.asarray(y)
    table = pd.DataFrame({"a": pairs[:, 0].numpy(), "b": pairs[:, 1].numpy(), "similarity": similarity.numpy()})
    return sets, table.assign(same_label=label[table["a"]] == label[table["b"]])


def apart(checked: Check) -> int:
    """Nearly equal pairs with different labels."""
    return sum(not same for same in checked.alike["same_label"])


def across(checked: Check) -> int:
    """Nearly equal pairs on both sides of the given split."""
    splits = checked.scan.found.splits
    return sum(splits[a] != splits[b] for a, b in zip(checked.alike["a"], checked.alike["b"], strict=True))


def _together(found: Collection, sets: NDArray[np.int64]) -> NDArray[np.int64]:
    if not found.groups:
        return sets
    first = {group: i for i, group in reversed(list(enumerate(found.groups)))}
    return merged(sets, np.arange(len(sets)), np.array([first[group] for group in found.groups]))
