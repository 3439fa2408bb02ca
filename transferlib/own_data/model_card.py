"""A card that goes with a saved model: what it learned from, how good it was found to be, and where that ends."""

import platform
from importlib.metadata import PackageNotFoundError, version

from transferlib.backbones.weights import MANIFEST
from transferlib.own_data.cautions import cautions
from transferlib.own_data.checks import Check
from transferlib.own_data.choice import Choice
from transferlib.own_data.compare import Compared
from transferlib.own_data.mistakes import Mistakes
from transferlib.own_data.summary import answer, calibrated, facts
from transferlib.own_data.ways import shape_of

LIBRARIES = ("transferlib", "torch", "timm", "transformers")


def plain(words: str) -> str:
    """A name or sentence as Markdown that shows it as it is.

    >>> plain("a|b *c* <i>")
    'a\\\\|b \\\\*c\\\\* &lt;i&gt;'
    """
    words = " ".join(words.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#~$" else letter for letter in words)


def licence(backbone: str) -> str:
    """Where a backbone's weights come from, and under which licence they are given."""
    if backbone in ("small-cnn", "words"):
        return "trained here from the data alone, so no other licence applies to its weights"
    entry = MANIFEST.get(backbone.partition("@")[0])
    return f"weights under {entry['licence']}" if entry else "weights of its own source: see the licence there"


def model_card(
    name: str, checked: Check, compared: Compared, choice: Choice, wrong: Mistakes, learned: int, seed: int,
    backbone: str = "",
) -> str:  # fmt: skip
    """The Markdown of ``MODEL_CARD.md``; ``name`` of the data, ``learned`` examples that the kept model saw.

    ``backbone``: the name that the model was saved with, where it ends at a layer that was chosen.
    """
    found, way = checked.scan.found, choice.decision.strategy
    usual, seen = shape_of(way, found.kind, checked.scan.size)
    backbone = backbone or usual
    images, (decision, basis) = found.kind == "images", answer(compared, choice)
    split = ("the given split" if found.splits else f"{len(compared.draws.test)} random splits, drawn again for each "
             "seed; nearly equal examples stay on one side")  # fmt: skip
    groups = ", and so do the given groups" if found.groups and not found.splits else ""
    counts = "\n".join(f"| {plain(name)} | {count} |" for name, count in checked.counts.itertuples(index=False))
    said = "\n".join(f"- {plain(sentence)}" for sentence in facts(checked))
    limits = "\n".join(f"- {plain(sentence)}" for sentence in cautions(checked, compared, choice, wrong))
    return f"""# Model card: {plain(name)}

## Model

- Task: one of {len(found.classes)} classes for each {"picture" if images else "text"}.
- Way: {compared.names[way]}.
- Backbone: {backbone}, {licence(backbone)}. It sees {seen} {"pixels a side" if images else "tokens"}.
- Learned from {learned} examples, seed {seed}. The accuracy below is of models that learned from no more.
- Probabilities: softmax of the scores times {wrong.factor:.4g}.

## Data

{said}

| class | examples |
|---|---|
{counts}

Split: {split}{groups}.

## Accuracy

{plain(basis)}

{plain(decision)}

{plain(calibrated(wrong))}

## Limits

{limits}
- It knows these classes only: whatever it is shown gets one of them.
- Nothing was measured on data of another source, time or place.

## Versions

{", ".join(f"{library} {found}" for library, found in versions().items())}.
"""


def versions() -> dict[str, str]:
    """Python's version, and that of each library that the answers depend on and that is installed."""
    found = {"Python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
