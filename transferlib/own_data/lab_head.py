"""The head that the book's photo lab gives away, one JSON file, as a classifier.

>>> from transferlib.own_data.lab_head import load_head
>>> load_head("head.json").predict(["new.jpg"])
"""

import json
import math
from pathlib import Path
from typing import Any

import torch

from transferlib.errors import UserError, nearest
from transferlib.own_data.saved import SavedModel, build, probe_classifier
from transferlib.tuning.probes import Probe

NEEDED = ("kind", "backbone", "size", "classes", "temperature", "weight", "bias")


def load_head(file: str | Path) -> SavedModel:
    """The pretrained backbone that the file names, with the file's linear layer on top.

    The file holds ``weight`` (C, D), ``bias`` (C,), ``classes`` (C names), ``backbone``, ``size`` and ``temperature``.
    Raises ``UserError`` for a file that is no such head, and where the backbone cannot be had.
    """
    try:
        about = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{str(file)!r} is not the head of the photo lab ({error}): save it again.") from None
    if not isinstance(about, dict):
        raise UserError(f"{str(file)!r} is not the head of the photo lab: it holds a {type(about).__name__}.")
    missing = [name for name in NEEDED if name not in about]
    if missing:
        raise UserError(f"{str(file)!r} lacks {missing[0]!r}: {nearest(missing[0], list(about))}")
    problem = _problem(about)
    if problem:
        raise UserError(f"{str(file)!r} cannot be used, {problem}: save it again from the photo lab.")
    weight, bias = torch.tensor(about["weight"], dtype=torch.double), torch.tensor(about["bias"], dtype=torch.double)
    net = build(about["backbone"], about["size"])
    if weight.shape[1] != net.out_features:
        raise UserError(
            f"{str(file)!r} does not fit {about['backbone']!r}: it weighs {weight.shape[1]} features of "
            f"{net.out_features}."
        )
    return SavedModel(probe_classifier(net, Probe(weight.T, bias, about.get("lambda", 0.0))), about)


def _problem(about: dict[str, Any]) -> str:
    """What is wrong with the values, or nothing."""
    classes, weight, bias = about["classes"], about["weight"], about["bias"]
    if not isinstance(classes, list) or len(set(map(str, classes))) < max(2, len(classes)):
        return "its classes are not two or more different names"
    if not isinstance(weight, list) or not isinstance(bias, list) or {len(weight), len(bias)} != {len(classes)}:
        return f"it does not hold a row of weights and a bias for each of {len(classes)} classes"
    if not all(isinstance(row, list) and len(row) == len(weight[0]) > 0 for row in weight):
        return "its rows of weights are not equally long"
    if not all(_number(v) for row in [*weight, bias] for v in row):
        return "it holds what is no number"
    if about["kind"] != "images" or not isinstance(about["backbone"], str):
        return "it is not a head for images"
    if type(about["size"]) is not int or not 8 <= about["size"] <= 1024:
        return f"its size is {about['size']!r}, not 8 to 1024 pixels"
    if not _number(about["temperature"]) or about["temperature"] <= 0:
        return f"its temperature is {about['temperature']!r}, not a number above zero"
    return ""


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
