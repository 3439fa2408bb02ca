"""What to label next, chosen by a saved model from examples that have no label yet: a folder, or a table of texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from transferlib.backbones.features import features
from transferlib.datasets.columns import LABEL
from transferlib.datasets.rows import MISSING
from transferlib.datasets.walk import files_below
from transferlib.errors import UserError
from transferlib.own_data.answers import BATCH, tried
from transferlib.own_data.item_tables import holding, whole
from transferlib.own_data.next_labels import next_labels
from transferlib.own_data.saved import SavedModel

Example = tuple[str, Path | str]  # a name to show, and a file or a text


def to_label(
    saved: SavedModel, source: str | Path, count: int = 20, text: str = "", progress: bool = False, encoding: str = ""
) -> tuple[pd.DataFrame, str]:
    """A row for each example to label, the first one first: ``label`` and ``probability`` are the model's guess.

    ``source``: a folder of pictures, or of text files; for a model of texts also a table, whose column ``text`` is
    read, and which has another ``encoding`` where it is not UTF-8. Where a table has labels, only its rows without one
    are looked at. Returns the rows and a sentence on what was
    looked at. The order is that of :func:`transferlib.own_data.next_labels.next_labels`.

    Raises ``UserError`` for a count below 1, and for a source in which there is nothing to choose from.
    """
    if count < 1:
        raise UserError(f"--count {count} chooses nothing: use a whole number from 1.")
    place = Path(source)
    examples = _files(place) if place.is_dir() else _rows(place, text, saved.about["kind"], encoding)
    names, p, seen, bad = _looked_at(saved, examples, progress)
    if not names:
        raise UserError(f"Nothing in {str(source)!r} can be read: {bad[0] if bad else 'there is nothing in it'}.")
    chosen = next_labels(p, seen, count)
    top = p[chosen].max(1)
    table = pd.DataFrame({"example": [names[i] for i in chosen.tolist()],
                          "label": [saved.about["classes"][c] for c in top.indices.tolist()],
                          "probability": top.values.numpy().round(4)})  # fmt: skip
    unread = f"; {len(bad)} could not be read: {', '.join(bad[:3])}" if bad else ""
    return table, f"{len(table)} of {len(names)} examples without a label, the most instructive first{unread}."


def _files(folder: Path) -> list[Example]:
    return [(str(file.relative_to(folder)), file) for file in sorted(files_below(folder, []))]


def _rows(path: Path, column: str, kind: str, encoding: str) -> list[Example]:
    """The texts of a table that have no label."""
    if kind == "images":
        raise UserError(f"{str(path)!r} is no folder, and the model reads pictures: give the folder that holds them.")
    table, _ = whole(path, encoding)
    found, known = holding(path, table, kind, column), {name.strip().lower(): name for name in table.columns}
    label = next((known[name] for name in LABEL if name in known), None)
    if label is not None:
        table = table[table[label].str.strip().isin(MISSING)]
    return [(text if text.strip() else f"row {row}", text) for row, text in table[found].items()]


def _looked_at(
    saved: SavedModel, examples: Sequence[Example], progress: bool
) -> tuple[list[str], torch.Tensor, torch.Tensor, list[str]]:
    """Names, probabilities (N, C) and features (N, D) of what can be read, and what cannot."""
    names, parts, bad, kind = [], [], [], saved.about["kind"]
    step = 8 * BATCH
    starts = range(0, len(examples), step)
    for start in tqdm(starts, "looking", disable=not progress, mininterval=1):
        held: list[Any] = []
        for name, item in examples[start : start + step]:
            x = tried(item, saved.about)
            if isinstance(x, ValueError):
                bad.append(f"{name} ({x})")
            else:
                held.append(x)
                names.append(name)
        if held:
            parts.append(features(saved.model.backbone, torch.stack(held) if kind == "images" else held))
    seen = torch.cat(parts) if parts else torch.zeros(0, 1)
    if not parts:
        return names, seen, seen, bad
    with torch.inference_mode():
        p = (saved.model.head(seen) * saved.about["temperature"]).softmax(1)
    return names, p, seen, bad
