"""The figures of a report: accuracy against labels, differences, who is taken for whom, and sure against right.

Each function returns a figure, its alternative text and its caption.
"""

import numpy as np
from matplotlib.figure import Figure

from transferlib.course import figures
from transferlib.own_data.choice import Choice
from transferlib.own_data.compare import Compared
from transferlib.own_data.decision import MARGIN
from transferlib.own_data.mistakes import Mistakes

Drawn = tuple[Figure, str, str]
TONES = {"probe": "probe", "best_layer": "f", "lite1": "e", "lite2": "g", "scratch_small": "scratch_small",
         "partial": "d", "lora": "e", "fine_tune": "fine_tune"}  # fmt: skip
MOST_CLASSES = 15  # of a confusion matrix that can be read


def budgets(compared: Compared) -> Drawn:
    """Balanced accuracy against labels per class, a band for each way."""
    figure, ax = figures.canvas(width=7.4, height=4)
    for way, name in compared.names.items():
        spans = [compared.accuracy(way, n) for n in compared.budgets(way)]
        figures.band(ax, compared.budgets(way), spans, name, TONES[way])
    guessing = 100 / (int(compared.draws.y.max()) + 1)
    ax.axhline(guessing, color=figures.INK, linewidth=0.8, linestyle=":")
    figures.log_ticks(ax, compared.draws.grid)
    ax.set(xlabel="labels per class, at most", ylabel="balanced test accuracy (%)")
    figure.legend(loc="outside lower center", ncols=3, fontsize=10)
    names = ", ".join(compared.names.values())
    return (
        figure,
        f"Balanced test accuracy against labels per class, for {names}. The table below has the numbers.",
        "Mean over draws of test examples and labels, with 95 % intervals that allow for overlapping splits; "
        "dotted: guessing.",
    )


def confusion(wrong: Mistakes, classes: list[str]) -> Drawn:
    """The confusion matrix, a tile the fuller the more often it happens."""
    edge = 2.6 + 0.42 * len(classes)
    figure, ax = figures.canvas(width=edge + 1.2, height=edge)
    for (i, j), share in np.ndenumerate(wrong.confusion):
        ax.add_patch(figures.tile(j, i, share / 100, "a" if i == j else "b"))
        if share >= 0.5:
            ax.text(j, i, f"{share:.0f}", ha="center", va="center", fontsize=9)
    labels = [name if len(name) <= 18 else f"{name[:17]}…" for name in classes]
    # A name is text: a dollar sign in it begins no formula.
    ax.set_xticks(range(len(classes)), labels, rotation=40, ha="right", fontsize=9, parse_math=False)
    ax.set_yticks(range(len(classes)), labels, fontsize=9, parse_math=False)
    ax.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5))
    ax.set(xlabel="what the model says", ylabel="what it is")
    ax.grid(False)
    return (
        figure,
        "Confusion matrix: for each true class, the percentage of test examples that got each label. "
        "The most confused pairs are listed below.",
        "Percent of each true class, over all draws of the test examples.",
    )


def calibration(wrong: Mistakes) -> Drawn:
    """How often it is right against how sure it is, before and after the factor."""
    figure, ax = figures.canvas(width=5.2, height=4)
    ax.plot([0, 100], [0, 100], color=figures.INK, linewidth=0.8, linestyle=":")
    for name, r, tone in (("scores as they are", wrong.before, "b"), ("with the factor", wrong.after, "a")):
        ax.plot(100 * r.sure, 100 * r.right, color=figures.TONES[tone], marker=figures.MARKERS[tone], label=name)
    ax.set(xlabel="how sure it is (%)", ylabel="how often it is right (%)", xlim=(0, 102), ylim=(0, 102))
    figure.legend(loc="outside lower center", ncols=2, fontsize=10)
    return (
        figure,
        "How often the model is right against how sure it is, before and after the factor; the diagonal is perfect.",
        "Groups of equal size, the least sure first; held-out examples; dotted: right exactly as often as it says.",
    )


def gaps(compared: Compared, choice: Choice) -> Drawn:
    """Every other way minus the chosen one, with the margin from which a difference would matter."""
    decision, names = choice.decision, compared.names
    figure, ax = figures.canvas(width=6.8, height=1.3 + 0.42 * len(decision.gaps))
    ax.axvspan(-100 * MARGIN, 100 * MARGIN, color=figures.INK, alpha=0.07, linewidth=0)
    ax.axvline(0, color=figures.INK, linewidth=0.8, linestyle=":")
    for row, (way, gap) in enumerate(decision.gaps.items()):
        span, tone = gap.scaled(100), TONES[way]
        ax.plot([span.low, span.high], [row, row], color=figures.TONES[tone], linewidth=2.4, solid_capstyle="round")
        ax.plot(span.mean, row, color=figures.TONES[tone], marker=figures.MARKERS[tone], markersize=7)
    ax.set_yticks(range(len(decision.gaps)), [names[way] for way in decision.gaps])
    ax.set(ylim=(len(decision.gaps) - 0.5, -0.5), xlabel=f"minus the {names[decision.strategy]} (points)")
    ax.grid(axis="y", visible=False)
    return (
        figure,
        f"Balanced accuracy of each other way minus that of the {names[decision.strategy]}, with intervals. A table "
        "has the numbers.",
        f"Paired differences at {choice.n} labels per class, 95 %. Grey: less than {100 * MARGIN:.0f} points, which "
        "would not matter. A line that leaves the grey on the right may hide a better way.",
    )
