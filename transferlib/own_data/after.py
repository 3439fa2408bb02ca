"""The parts of a report for what comes after the decision: labels to look at and to add, costs, and weak spots."""

import pandas as pd
import torch
from torch import Tensor

from transferlib.datasets.found import shortened
from transferlib.own_data.checks import Check
from transferlib.own_data.decision import balanced
from transferlib.own_data.label_errors import label_errors
from transferlib.own_data.next_labels import next_labels
from transferlib.own_data.outside import Outside
from transferlib.own_data.page import listed, note, shown, table
from transferlib.own_data.slices import slices
from transferlib.own_data.thresholds import best_threshold, cheapest, cost_matrix, mean_cost

SHOWN = 12
RATIOS = (1, 2, 5, 10)  # how many times as dear one error is as the other


def after(checked: Check, out: Outside, cost: str = "") -> list[tuple[str, list[str]]]:
    """(heading, pieces of HTML) of each part. ``cost`` as for :func:`transferlib.own_data.thresholds.cost_matrix`."""
    return [
        ("Where it fails, part by part", _slices(checked, out)),
        ("Labels that may be wrong", _errors(checked, out)),
        ("What to label next", _next(checked, out)),
        ("What errors cost", _costs(checked, out, cost)),
    ]


def _slices(checked: Check, out: Outside) -> list[str]:
    found, right = checked.scan.found, out.probability.argmax(1) == out.y
    parts = [("class", [found.classes[c] for c in out.y.tolist()])]
    if found.groups:
        parts.append(("group", [found.groups[row] for row in out.rows.tolist()]))
    said = (
        f"{len(out.y)} examples, each judged by models that did not learn from it, by the mean of their "
        "probabilities: the share of right answers in %, with 95 % Wilson intervals; of each kind the 20 worst parts."
    )
    tables = []
    for kind, names in parts:
        worst = slices(right, names).rename_axis(kind).head(20)
        tables.append(table(worst.round(1).astype({"tested": int}), f"right answers by {kind}"))
    return [note(said), *tables]


def _errors(checked: Check, out: Outside) -> list[str]:
    suspect = label_errors(out.probability, out.y)
    if balanced(out.probability.argmax(1), out.y) < 1.2 / len(checked.scan.found.classes):
        return [note("The model is hardly better than guessing: what it contradicts says nothing about the labels.")]
    if not len(suspect):
        return [listed([f"None of the {len(out.y)} examples that were judged has a label that the model contradicts."])]
    said = (f"{len(suspect)} of {len(out.y)} labels that were judged look wrong to models that did not learn from them "
            f"(confident learning), the most suspect first; {min(SHOWN, len(suspect))} are shown. Some are hard and "
            "rightly labelled: look before you change one.")  # fmt: skip
    return [note(said), _examples(checked, out, suspect[:SHOWN], "labelled {label}, rather {guess} ({sure} %)"),
            table(_named(checked, out, suspect), "labels that may be wrong")]  # fmt: skip


def _next(checked: Check, out: Outside) -> list[str]:
    chosen = next_labels(out.probability, checked.scan.features[out.rows], SHOWN)
    said = ("Every example here has a label already. These are the ones that the model, without having learned from "
            "them, was least sure of and that are unlike one another: if you can label more, begin with examples like "
            "them.")  # fmt: skip
    return [note(said), _examples(checked, out, chosen, "{label}; says {guess} ({sure} %)")]


def _costs(checked: Check, out: Outside, cost: str) -> list[str]:
    found, usual, rows = checked.scan.found, out.probability.argmax(1), []
    if cost:
        matrix = cost_matrix(cost, found.classes)
        called = cheapest(out.probability, matrix)
        before, now = mean_cost(usual, out.y, matrix), mean_cost(called, out.y, matrix)
        changed = int((called != usual).sum())
        rows.append(note(
            f"With the stated costs ({cost}; 1 for every other error), the likeliest class costs {before:.3f} an "
            f"example and the answer with the lowest expected cost {now:.3f}; {changed} of {len(out.y)} answers change."
        ))  # fmt: skip
    if len(found.classes) != 2:
        hint = ("State costs with --cost \"true:called=5\": errors that are not named cost 1. The answer that costs "
                "least is then compared with the likeliest class.")  # fmt: skip
        return rows or [note(hint)]
    first, second = found.classes
    lines = []
    for dear, cheap in [(1, r) for r in reversed(RATIOS)] + [(r, 1) for r in RATIOS[1:]]:
        best = best_threshold(out.probability[:, 1], out.y, torch.tensor([[0.0, cheap], [dear, 0]], dtype=torch.double))
        lines.append({f"{second} missed : {first} missed": f"{dear} : {cheap}", "threshold": f"{best.at:.2f}",
                      "cost": f"{best.cost:.3f}", "cost at 0.50": f"{best.usual:.3f}"})  # fmt: skip
    said = (f"Say {second} from the threshold on. It has the lowest mean cost on {len(out.y)} examples that were not "
            "learned from, and is fitted to them: on new ones it will save a little less.")  # fmt: skip
    return [*rows, note(said), table(pd.DataFrame(lines).set_index(next(iter(lines[0]))), "thresholds")]


def _examples(checked: Check, out: Outside, positions: Tensor, words: str) -> str:
    named = _named(checked, out, positions)
    captions = [words.format(label=row.label, guess=row.model, sure=row.sure) for row in named.itertuples()]
    return shown(checked.scan.found, out.rows[positions].tolist(), captions)


def _named(checked: Check, out: Outside, positions: Tensor) -> pd.DataFrame:
    """A row for each position: item, label, what the model says and how sure it is in %."""
    found, top = checked.scan.found, out.probability[positions].max(1)
    items = [shortened(found.items[row], 80) for row in out.rows[positions].tolist()]
    label, model = ([found.classes[c] for c in y.tolist()] for y in (out.y[positions], top.indices))
    sure = (100 * top.values).round().int().numpy()
    return pd.DataFrame({"label": label, "model": model, "sure": sure}, index=pd.Index(items, name="example"))
