"""A trained classifier as a folder: the weights as safetensors, and a JSON file that says how to use them.

>>> from transferlib.own_data.saved import load_model
>>> model = load_model("report/model")
>>> print(model.predict(["new.jpg"]))
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transferlib.backbones.word_counts import HashedWords
from transferlib.datasets.pictures import read
from transferlib.errors import UserError, nearest
from transferlib.own_data.depth import at_depth
from transferlib.own_data.window import cut
from transferlib.tuning.probes import Probe
from transferlib.tuning.strategies import Classifier
from transferlib.tuning.training import logits

WEIGHTS, ABOUT = "model.safetensors", "model.json"
NEEDED = ("kind", "backbone", "size", "classes", "temperature", "sha256")


@dataclass(frozen=True)
class SavedModel:
    """``model`` in eval mode, ``about`` the JSON file: kind, backbone, size, classes, temperature, sha256."""

    model: Classifier
    about: Mapping[str, Any]

    def predict(self, items: Sequence[str | Path] | str | Path) -> pd.DataFrame:
        """Image files, or texts → a row for each: ``item``, ``class``, ``probability``, then one column a class.

        One file, or one text, is taken as a list of one.
        probability = softmax(scores · temperature). An item that cannot be read has an empty class and the reason in
        the column ``problem``, which is there only then; a text that is longer than the model reads has its class, and
        says so there. Raises ``UserError`` for no item.
        """
        items = [items] if isinstance(items, (str, Path)) else list(items)
        if not items:
            raise UserError("There is nothing to predict: give one or more image files, or texts.")
        names = [str(item).encode("utf-8", "backslashreplace").decode() for item in items]  # bytes that are no text
        rows, x, problems = [], [], {}
        span = tuple(self.about["span"]) if self.about.get("span") else None
        for i, item in enumerate(items):
            try:
                x.append(read(Path(item), self.about["size"], span) if self.about["kind"] == "images" else names[i])
                rows.append(i)
            except Exception as error:  # a damaged file makes Pillow raise nearly anything
                problems[i] = f"{type(error).__name__}: {error}"
        table = pd.DataFrame({"item": names, "class": "", "probability": float("nan")})
        if x:
            data: Any = torch.stack(x) if self.about["kind"] == "images" else x  # type: ignore[arg-type]
            p = (logits(self.model, data) * self.about["temperature"]).softmax(1)  # (M, C)
            table.loc[rows, "class"] = [self.about["classes"][c] for c in p.argmax(1).tolist()]
            table.loc[rows, "probability"] = p.max(1).values.numpy()
            for c, name in enumerate(self.about["classes"]):
                table.loc[rows, f"p({name})"] = p[:, c].numpy()
        if self.about["kind"] == "texts":
            said = {i: cut(self.model.backbone, text, self.about["size"]) for i, text in enumerate(names)}
            problems |= {i: words for i, words in said.items() if words}
        if problems:
            table["problem"] = [problems.get(i, "") for i in range(len(items))]
        return table


def build(backbone: str, size: int, pretrained: bool = True) -> nn.Module:
    """``small-cnn`` or any image backbone, ``words`` or any text backbone, by name; ``size`` in pixels or tokens.

    A layer after ``@`` ends it there: see :mod:`transferlib.own_data.depth`.
    """
    if backbone == "words":
        return HashedWords()
    return at_depth(backbone, size, pretrained and backbone != "small-cnn")


def probe_classifier(backbone: nn.Module, probe: Probe) -> Classifier:
    """The backbone with a closed-form probe as its head: weight (D, C) → the linear layer's (C, D)."""
    head = nn.Linear(*probe.weight.shape)
    head.weight.data, head.bias.data = probe.weight.T.float().contiguous(), probe.bias.float()
    return Classifier(backbone, head).eval()


def temperature(scores: Tensor, y: Tensor) -> float:
    """The factor on held-out scores (N, C) that makes softmax(scores · factor) most likely for the labels ``y`` (N,).

    Guo et al. 2017, arXiv:1706.04599, where the factor is 1 / T. Between 1e-2 and 1e3, on a grid in equal ratios.
    """
    grid = torch.logspace(-2, 3, 201, dtype=torch.double)
    losses = [nn.functional.cross_entropy(scores.double() * t, y) for t in grid]
    return float(grid[int(torch.stack(losses).argmin())])


def save_model(
    folder: str | Path,
    model: Classifier,
    *,
    kind: str,
    backbone: str,
    size: int,
    classes: Sequence[str],
    temperature: float,
    span: tuple[float, float] | None = None,
) -> None:
    """Write ``model`` so that :func:`load_model` gives the same predictions. Raises ``UserError`` when it cannot.

    ``span``: black and white of pictures of more than 8 bits, where it learned from such.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        beside = place / f".{WEIGHTS}"
        save_file({name: t.contiguous().clone() for name, t in model.state_dict().items()}, beside)
        about = {"kind": kind, "backbone": backbone, "size": size, "classes": list(classes), "temperature": temperature,
                 **({"span": list(span)} if span else {}),
                 "sha256": hashlib.sha256(beside.read_bytes()).hexdigest()}  # fmt: skip
        beside.replace(place / WEIGHTS)
        (place / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"The model cannot be written to {str(place)!r} ({error}): free some space there.") from error


def load_model(folder: str | Path) -> SavedModel:
    """The model that :func:`save_model` wrote.

    Raises ``UserError`` when there is none, and when the weights are not the ones that the JSON file describes.
    """
    place = Path(folder)
    if not (place / ABOUT).is_file() or not (place / WEIGHTS).is_file():
        raise UserError(f"{str(place)!r} holds no saved model: give the folder with {ABOUT} and {WEIGHTS}.")
    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        missing = [name for name in NEEDED if name not in about]
    except (ValueError, TypeError) as error:
        raise UserError(f"{str(place / ABOUT)!r} is not a model description ({error}): save the model again.") from None
    if missing:
        raise UserError(f"{str(place / ABOUT)!r} lacks {missing[0]!r}: {nearest(missing[0], list(about))}")
    if hashlib.sha256((place / WEIGHTS).read_bytes()).hexdigest() != about["sha256"]:
        raise UserError(f"{str(place / WEIGHTS)!r} is damaged or of another model: save the model again.")
    net = build(about["backbone"], about["size"], pretrained=False)
    model = Classifier(net, nn.Linear(net.out_features, len(about["classes"])))  # type: ignore[arg-type]
    model.load_state_dict(load_file(place / WEIGHTS))
    return SavedModel(model.eval(), about)
