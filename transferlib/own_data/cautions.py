"""What would fool the one who reads a report's numbers, in sentences."""

import numpy as np

from transferlib.own_data.checks import Check, across, apart
from transferlib.own_data.choice import Choice
from transferlib.own_data.compare import Compared
from transferlib.own_data.mistakes import Mistakes
from transferlib.own_data.ways import NAMES


def cautions(checked: Check, compared: Compared, choice: Choice, wrong: Mistakes) -> list[str]:
    """A sentence for each reason to doubt the numbers on this data; one that says so when there is none."""
    found, counts, said = checked.scan.found, checked.counts["examples"], []
    if counts.max() > 3 * counts.min():
        said.append(
            f"The classes are uneven ({counts.max()} against {counts.min()}). All count the same here; if the large "
            "one is as common in use, the model will call the small ones too often."
        )
    if counts.min() < 20:
        small = [found.classes[i] for i in np.flatnonzero(counts < 20)][:5]
        said.append(f"Fewer than 20 examples: {', '.join(small)}. Their share of right answers is nearly unknown.")
    if len(checked.alike):
        where = ", except across your own split." if found.splits and across(checked) else "."
        said.append(
            f"Nearly equal pairs: {len(checked.alike)}. A random split would test on what was learned. Here they stay "
            f"together{where}"
        )
    if apart(checked):
        said.append(f"Nearly equal pairs with different labels: {apart(checked)}. Look at them: are the labels right?")
    for way, (some, all_) in compared.blind.items():
        then = "it guesses there." if way in compared.names else "it is left out."
        why = "blank pictures" if found.kind == "images" else "texts without words, or cut off before they differ,"
        said.append(
            f"In {some} of {all_} draws, the {NAMES[found.kind][way]} had the same numbers for every example, as {why} "
            f"give: {then}"
        )
    if choice.accuracy.low < 100 / len(found.classes):
        said.append("The interval of the chosen way reaches down to guessing. Nothing has been shown to work yet.")
    if not choice.decision.certain:
        said.append("The ways are not told apart. The recommendation is the cheapest, not the proven best.")
    if wrong.after.error > wrong.after.luck:
        said.append("Probabilities stay off even with the factor. Do not put thresholds on them without checking.")
    if not found.groups and not found.splits:
        said.append(
            "There is no column 'group'. If several examples come from one person, place or day, add one: the numbers "
            "above may flatter."
        )
    largest = int(compared.draws.y[next(iter(compared.draws.train.values()))].bincount().max())
    if choice.most < largest:
        said.append(
            f"Compared and tested with at most {choice.most} labels per class; there are up to {largest}. PROFILE=gpu "
            "goes further."
        )
    return said or ["Nothing that this report can see."]
