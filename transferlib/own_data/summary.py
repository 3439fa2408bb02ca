"""What a comparison says: its numbers with their names, its sentences, its tables; the same in report and chapter."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from transferlib.course.claims import number, spelled
from transferlib.course.intervals import Interval
from transferlib.datasets.found import said as counted
from transferlib.own_data.checks import Check, across, apart
from transferlib.own_data.choice import MORE, Choice
from transferlib.own_data.compare import Compared
from transferlib.own_data.mistakes import Mistakes
from transferlib.own_data.splits import torn
from transferlib.own_data.ways import price

Value = tuple[str, Interval | float | int | str, str]


def measured(checked: Check, compared: Compared, choice: Choice, wrong: Mistakes) -> Iterator[Value]:
    """(name, value, unit) of every number that is kept."""
    found, counts = checked.scan.found, checked.counts["examples"].tolist()
    yield "examples", len(found.y), ""
    yield "classes", len(found.classes), ""
    yield from ((f"examples of {name}", count, "") for name, count in zip(found.classes, counts, strict=True))
    yield "alike", len(checked.alike), ""
    yield "alike_apart", apart(checked), ""
    for way in compared.names:
        yield from ((f"{way}_at_{n}", compared.accuracy(way, n), "%") for n in compared.budgets(way))
    yield "chosen", compared.names[choice.decision.strategy], ""
    yield "compared_at", choice.n, ""
    yield "certain", str(choice.decision.certain), ""
    yield "accuracy", choice.accuracy, "%"
    yield "doubling", choice.doubling, "points"
    yield "labels", choice.labels, ""
    yield "hundred", choice.hundred, "points"
    yield "visible", choice.visible, "points"
    yield from ((f"{way}_minus_chosen", gap.scaled(100), "points") for way, gap in choice.decision.gaps.items())
    yield "ece_before", 100 * wrong.before.error, "points"
    yield "ece_after", 100 * wrong.after.error, "points"
    yield "ece_luck", 100 * wrong.after.luck, "points"


def facts(checked: Check) -> list[str]:
    """What is in the data, and what was left out of it."""
    found, counts = checked.scan.found, checked.counts["examples"]
    what = "pictures" if found.kind == "images" else "texts"
    most, least = counts.max(), counts.min()
    said = [
        f"{len(found.y)} {what} of {len(found.classes)} classes can be used.",
        f"The largest class has {most}, the smallest {least}: {most / least:.1f} to 1.",
        f"Pairs that look nearly the same: {len(checked.alike)}. With different labels: {apart(checked)}.",
    ]
    if found.groups and not found.splits:
        said.append(f"They are of {len(set(found.groups))} groups, each on one side of every split.")
    if found.splits:
        said.append(f"Your split is kept. Nearly equal pairs on both sides of it: {across(checked)}.")
    if both := torn(found):
        said.append(counted(len(both), "groups lie on both sides of your split, so that it flatters", both))
    return said + found.notes


def closest(checked: Check) -> tuple[list[int], list[str]]:
    """Rows and captions of the pairs that look most alike, one pair after the other."""
    found, pairs = checked.scan.found, list(checked.alike.head(6).itertuples())
    rows = [int(row) for pair in pairs for row in (pair.a, pair.b)]
    return rows, [f"{found.classes[found.y[row]]} ({pairs[i // 2].similarity:.2f})" for i, row in enumerate(rows)]


def written(span: Interval) -> str:
    """``81.2 [79.0, 83.4]``."""
    return f"{number(span.mean)} [{number(span.low)}, {number(span.high)}]"


def budgets_table(compared: Compared) -> pd.DataFrame:
    """Balanced accuracy in %, a row for each way, a column for each budget."""

    def cell(way: str, n: int) -> str:
        return written(compared.accuracy(way, n)) if n in compared.budgets(way) else ""

    names = compared.names.items()
    return pd.DataFrame({f"n = {n}": {name: cell(way, n) for way, name in names} for n in compared.draws.grid})


def gaps_table(compared: Compared, choice: Choice) -> pd.DataFrame:
    """Every other way minus the chosen one, in points."""
    names, column = compared.names, f"minus {compared.names[choice.decision.strategy]} (points)"
    gaps = choice.decision.gaps.items()
    rows = [{"way": names[way], column: written(gap.scaled(100)), "runs": gap.seeds,
             "smallest difference in sight": f"{100 * gap.detectable:.1f}"} for way, gap in gaps]  # fmt: skip
    return pd.DataFrame(rows).set_index("way")


def prices_table(checked: Check, compared: Compared, choice: Choice, seed: int = 0) -> pd.DataFrame:
    """What each way costs at the budget of the decision, a row for each; indexed by way, not by its printed name.

    The wall time of one run, the median of its runs, with other runs beside it on the same processor.
    """
    rows = compared.draws.rows(choice.n, seed)
    seconds = {way: np.median(compared.values(way, choice.n, "seconds")) for way in compared.names}
    costs = {way: {"wall time (s)": f"{s:.2f}", **price(checked, way, rows, seed)} for way, s in seconds.items()}
    return pd.DataFrame(costs).T


def answer(compared: Compared, choice: Choice) -> tuple[str, str]:
    """The decision, and what it rests on."""
    classes, chosen = int(compared.draws.y.max()) + 1, named(compared, choice.decision.strategy)
    return choice.decision.sentence, " ".join([
        f"Balanced accuracy of {chosen} with {choice.most} labels per class: {spelled(choice.accuracy, '%')}; "
        f"guessing gives {100 / classes:.0f} %. Compared at {choice.n} labels per class.",
        in_sight(compared, choice), next_labels_bring(choice),
    ])  # fmt: skip


def named(compared: Compared, way: str) -> str:
    """A way in a sentence: "the linear probe", and "fine-tuning" without an article."""
    return compared.names[way] if way in ("fine_tune", "lora") else f"the {compared.names[way]}"


def in_sight(compared: Compared, choice: Choice) -> str:
    """How small a difference between the chosen way and the nearest this data could have shown."""
    if not np.isfinite(choice.visible):
        return ""
    return (
        f"Between {named(compared, choice.decision.strategy)} and {named(compared, choice.nearest)}, these examples "
        f"show a difference of {choice.visible:.1f} points four times out of five; a smaller one can hide."
    )


def next_labels_bring(choice: Choice) -> str:
    """What the last doublings of the labels brought, and what a hundred more would bring."""
    if choice.low >= choice.most:
        return ""
    then = (
        f"If the curve goes on like that, {MORE} labels more, after {choice.labels}, bring "
        f"{spelled(choice.hundred, 'points')}."
    )
    if choice.doubling.low <= 0:
        then += " They may also bring nothing."
    return (
        f"From {choice.low} to {choice.most} labels per class, each doubling brought "
        f"{spelled(choice.doubling, 'points')}. {then}"
    )


def confused(checked: Check, wrong: Mistakes) -> list[str]:
    """The classes that are taken for one another."""
    classes = checked.scan.found.classes
    said = [f"{classes[i]} is taken for {classes[j]} in {share:.0f} % of the cases." for i, j, share in wrong.mixed]
    return said or ["Nothing was confused with anything."]


def hardest(checked: Check, wrong: Mistakes) -> tuple[list[int], list[str]]:
    """Rows and captions of the surest mistakes."""
    found = checked.scan.found
    said = [f"{found.classes[found.y[one.row]]}, taken for {found.classes[one.guess]} ({100 * one.sure:.0f} %)"
            for one in wrong.hardest.itertuples()]  # fmt: skip
    return wrong.hardest["row"].tolist(), said


def calibrated(wrong: Mistakes) -> str:
    """What the factor on the scores changes."""
    return (
        f"The gap between sure and right is {100 * wrong.before.error:.1f} points without the factor and "
        f"{100 * wrong.after.error:.1f} with it; up to {100 * wrong.after.luck:.1f} would be luck."
    )
