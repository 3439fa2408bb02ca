"""The parts of a report, from what was found and compared to headings and pieces of HTML."""

from pathlib import Path

import pandas as pd

from transferlib.course import figures
from transferlib.datasets.found import printable, shortened
from transferlib.own_data import plots
from transferlib.own_data.after import after
from transferlib.own_data.cautions import cautions
from transferlib.own_data.checks import Check
from transferlib.own_data.choice import Choice
from transferlib.own_data.compare import Compared
from transferlib.own_data.mistakes import Mistakes
from transferlib.own_data.next_steps import commands, next_steps
from transferlib.own_data.outside import outside
from transferlib.own_data.page import code, decided, listed, note, shown, table
from transferlib.own_data.plots import Drawn
from transferlib.own_data.saved import load_model
from transferlib.own_data.summary import (
    answer,
    budgets_table,
    calibrated,
    closest,
    confused,
    facts,
    gaps_table,
    hardest,
)
from transferlib.runs.files import write

FEW = 8  # classes whose counts fit beside each other
ENOUGH = 40  # examples for a curve of how sure against how right


def answered(compared: Compared, choice: Choice) -> str:
    """What the page begins with."""
    return decided(*answer(compared, choice))


def sections(
    checked: Check, compared: Compared, choice: Choice, wrong: Mistakes, prices: pd.DataFrame, learned: int,
    folder: Path, cost: str = "",
) -> list[tuple[str, list[str]]]:  # fmt: skip
    """(heading, pieces of HTML) of each part; figures are written to ``folder`` too, ``folder/model`` is loaded."""
    out = outside(compared, choice.decision.strategy, wrong.factor)
    return [
        ("What to do next", [listed(next_steps(checked, choice, out))]),
        ("What is in the data", _data(checked)),
        ("How many labels, and which way", _budgets(compared, folder)),
        ("The decision", [
            _drawn(plots.gaps(compared, choice), "gaps", folder),
            note("The differences behind the decision, draw by draw. An interval on both sides of 0 means: not told "
                 "apart. The last column is the smallest difference that this data would show four times out of five."),
            table(gaps_table(compared, choice), "differences"),
        ]),
        ("What it costs", [
            note(f"At {choice.n} labels per class, after reading. Wall time: the median run by the clock, while other "
                 "runs and programs shared the processor. Memory of a step: weights, gradients, averages and "
                 "activations of a batch of 32."),
            table(prices.rename(index=compared.names), "costs"),
        ]),
        ("Where it is wrong", _wrong(checked, wrong, folder)),
        *after(checked, out, cost),
        ("What to watch out for on this data", [listed(cautions(checked, compared, choice, wrong))]),
        ("Take it along", _model(checked, learned, folder / "model")),
    ]  # fmt: skip


def _drawn(drawn: Drawn, name: str, folder: Path) -> str:
    """A figure in the page, and beside it as a file of its own."""
    figure, alt, caption = drawn
    write(folder / "figures" / f"15-{name}.svg", figures.standalone(figure, alt))
    return figures.html(figure, alt, name, caption)


def _data(checked: Check) -> list[str]:
    counts = checked.counts.set_index("class")
    rows, captions = closest(checked)
    same = []
    if rows:
        same = [note("The closest pairs, and the cosine similarity of what the network sees in them."),
                shown(checked.scan.found, rows, captions)]  # fmt: skip
    return [listed(facts(checked)), table(counts.T if len(counts) <= FEW else counts, "examples of each class"), *same]


def _budgets(compared: Compared, folder: Path) -> list[str]:
    said = ("Balanced accuracy: the mean over classes of the share that was right, in %, with 95 % intervals; "
            "n labels per class at most.")  # fmt: skip
    return [_drawn(plots.budgets(compared), "budgets", folder), note(said), table(budgets_table(compared), "accuracy")]


def _wrong(checked: Check, wrong: Mistakes, folder: Path) -> list[str]:
    found, (rows, captions) = checked.scan.found, hardest(checked, wrong)
    matrix, sure = [], [listed(["No test example was wrong in any draw."])]
    if len(found.classes) <= plots.MOST_CLASSES:
        matrix = [_drawn(plots.confusion(wrong, found.classes), "confusion", folder)]
    if rows:
        sure = [note("Surest and wrong, on examples it did not learn from."), shown(found, rows, captions)]
    judged = int(wrong.after.size.sum())
    curve = [listed([f"{judged} examples are too few to say how far its probabilities can be trusted."])]
    if judged >= ENOUGH:
        curve = [_drawn(plots.calibration(wrong), "calibration", folder), listed([calibrated(wrong)])]
    return [*matrix, listed(confused(checked, wrong)), *sure, *curve]


def _model(checked: Check, learned: int, folder: Path) -> list[str]:
    found, images = checked.scan.found, checked.scan.found.kind == "images"
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    seen = f"{checked.scan.size} {'pixels' if images else 'tokens'}"
    saved = load_model(folder)
    first = [found.root / item if images else item for item in found.items[:3]]
    answers = saved.predict(first).iloc[:, :3].round(3)
    answers["item"] = [shortened(printable(item), 60) for item in found.items[:3]]
    new, backbone = ("new.jpg" if images else "a new text"), str(saved.about["backbone"])
    place = f"{folder.parent.name}/{folder.name}"
    there = len(found.y) - found.splits.count("test")
    drawn = f" of {there}, as even over the labels as can be" if learned < there else ""
    kind = f"{'pictures' if images else 'texts'}{drawn}"
    return [
        listed([f"Saved in model/: {size:.0f} MB, {len(found.classes)} labels, {seen}.",
                f"Learned from {learned} {kind}; MODEL_CARD.md says how it was judged."]),
        code(["from transferlib.own_data.saved import load_model", f"model = load_model('{place}')",
              f'print(model.predict(["{new}"]))']),
        note("Or from a shell:"),
        code(commands(found.kind, backbone, place)),
        table(answers.set_index("item"), "answers of the saved model"),
    ]  # fmt: skip
