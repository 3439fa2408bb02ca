"""Data sets by name: embedded ones, any torchvision data set, any folder of labelled images."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from transferlib.datasets import digits, emoji, fashion, sentiment, vision
from transferlib.datasets.base import Dataset
from transferlib.errors import UserError, nearest

EMBEDDED: dict[str, Callable[..., Dataset]] = {
    "fashion-mnist": fashion.load,
    "emoji": emoji.load,
    "digits": digits.load,
    "sentiment": sentiment.load,
}


def _folder(address: str, split: str, **options: Any) -> Dataset:
    # Imported when asked for: how a reader's own folder is read decides no number of the book, and no key of one.
    found: Dataset = import_module("transferlib.datasets.folder").load(address, split, **options)
    return found


ADDRESSED: dict[str, Callable[..., Dataset]] = {"torchvision": vision.load, "folder": _folder}


def load(name: str, split: str = "train", **options: Any) -> Dataset:
    """Load one split of a data set.

    ``name``: ``fashion-mnist``, ``emoji`` (options ``style``, ``label``), ``digits``, ``sentiment``
    (option ``domain``), ``torchvision:CIFAR10`` (options ``root``, ``size``, ``limit``) or ``folder:PATH``
    (option ``size``). ``split``: ``train`` or ``test``.

    Returns a :class:`Dataset`: ``x`` uint8 images (N, C, H, W) or a list of texts, ``y`` (N,), names, table.

    Raises:
        UserError: unknown name, split or option, a damaged archive, data that cannot be read.
    """
    if not isinstance(name, str):
        raise UserError(f"The data set {name!r} is no name: give a text such as 'emoji' or 'folder:photos'.")
    if split not in ("train", "test"):
        raise UserError(f"Split {split!r} of {name!r} is unknown: {nearest(str(split), ['train', 'test'])}")
    kind, _, address = name.partition(":")
    known = [*EMBEDDED, *(f"{kind}:…" for kind in ADDRESSED)]
    if name not in EMBEDDED and (kind not in ADDRESSED or not address):
        raise UserError(f"Unknown data set {name!r}: {nearest(name, known)}")
    try:
        return EMBEDDED[name](split, **options) if name in EMBEDDED else ADDRESSED[kind](address, split, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise UserError(f"Data set {name!r} does not know the option {str(error).rsplit(' ', 1)[-1]}.") from None
