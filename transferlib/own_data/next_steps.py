"""What to do after reading a report, in the order in which it pays."""

import numpy as np

from transferlib.own_data.checks import Check
from transferlib.own_data.choice import Choice
from transferlib.own_data.decision import MARGIN
from transferlib.own_data.label_errors import label_errors
from transferlib.own_data.outside import Outside


def next_steps(checked: Check, choice: Choice, out: Outside) -> list[str]:
    """A sentence for each step: labels to look at, what would settle the choice, what to label, what to state."""
    found, suspect, steps = checked.scan.found, len(label_errors(out.probability, out.y)), []
    works = choice.accuracy.low > 100 / len(found.classes)
    if not works:
        steps.append(
            "Nothing has been shown to beat guessing yet. Get more labelled examples, or ask whether the classes can "
            "be seen in them at all, before you use any of this."
        )
    if suspect and works:
        steps.append(
            f"Look at the {suspect} labels that may be wrong (listed below), correct what is wrong in all parts of the "
            "data, and run the same command again: only what changed is read again."
        )
    if not choice.decision.certain:
        settle = "Use the recommended way for now."
        if np.isfinite(choice.needed) and choice.needed > 1:
            wanted = round(choice.needed * len(found.y), -1)
            settle += (
                f" To see a difference of {100 * MARGIN:.0f} points between it and the nearest other way, you would "
                f"need about {choice.needed:.2g} times as many labelled examples ({wanted:,.0f} in all). More draws "
                "of the same examples would not do."
            )
        steps.append(settle)
    if choice.doubling.low > 0:
        steps.append(
            "More labels still help. The saved model can choose them from your examples without labels "
            "(transferlib next-labels, below). Keep what it chose out of the test part: it is harder than the rest."
        )
    elif choice.doubling.high < 100 * MARGIN / 2:
        steps.append("More labels of the same kind bring little: look at the mistakes, and at what the classes mean.")
    if not found.groups and not found.splits:
        steps.append("If several examples come from one person, place or day, say so in a column 'group' of a table.")
    return [*steps, "Before anybody relies on the model, measure it once on new examples that no report has seen."]


def commands(kind: str, backbone: str, model: str = "report/model") -> list[str]:
    """The lines that use the saved model in the folder ``model``, with a word for what each one does.

    >>> print(commands("texts", "words")[1])
    # a row for each file of a folder, or row of a table
    transferlib predict report/model new_texts --csv answers.csv
    """
    images = kind == "images"
    new = "new.jpg" if images else '"a new text"'
    form = "-F file=@new.jpg" if images else """--json '{"text": "a new text"}'"""
    lines = [
        (f"transferlib predict {model} {new}", "one answer"),
        (f"transferlib predict {model} new_{'photos' if images else 'texts'} --csv answers.csv",
         "a row for each file of a folder, or row of a table"),
        (f"transferlib next-labels {model} unlabelled", "which ones to label first"),
        (f"transferlib export {model} --onnx model.onnx", "a file that runs without PyTorch"),
        (f"transferlib serve {model}", "answers over HTTP, on this machine"),
        (f"curl 127.0.0.1:8000/predict {form}", "asked from another window"),
    ]  # fmt: skip
    lines = [line for line in lines if backbone != "words" or "export" not in line[0]]  # ONNX has no step for words
    return [f"# {what}\n{line}" for line, what in lines]
