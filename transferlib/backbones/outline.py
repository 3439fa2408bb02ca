"""What can be known of a language model without its weights: its sizes, and how it cuts a text into tokens."""

from pathlib import Path
from typing import Any

import torch

from transferlib.backbones.texts import DEFAULT_LANGUAGE
from transferlib.backbones.weights import MANIFEST, path
from transferlib.errors import UserError, nearest, needs


def language_outline(name: str = DEFAULT_LANGUAGE) -> Any:
    """The model with every layer, shape and name of :func:`transferlib.backbones.texts.language_model`, and no numbers.

    Its parameters lie on the device ``meta``: they can be counted and adapted, and take no memory. Arguments and
    errors as there; reading the packaged file's head takes seconds, where its weights take a quarter of a minute.

    >>> language_outline("no such model")
    Traceback (most recent call last):
    ...
    transferlib.errors.UserError: Unknown language model 'no such model': Known: smollm2-135m. A local folder works too.
    """
    needs("transformers", "lm", "A language model")
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(**_place(name))
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config).eval()


def language_tokenizer(name: str = DEFAULT_LANGUAGE) -> Any:
    """The tokenizer of a language model, without the model.

    >>> language_tokenizer("no such model")
    Traceback (most recent call last):
    ...
    transferlib.errors.UserError: Unknown language model 'no such model': Known: smollm2-135m. A local folder works too.
    """
    needs("transformers", "lm", "A tokenizer")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(**_place(name))


def _place(name: str) -> dict[str, Any]:
    known = [n for n, entry in MANIFEST.items() if entry["kind"] == "language"]
    if name in known:
        file = path(name)
        return {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name, "local_files_only": True}
    if name in MANIFEST or not Path(name).is_dir():
        raise UserError(f"Unknown language model {name!r}: {nearest(name, known)} A local folder works too.")
    return {"pretrained_model_name_or_path": name, "local_files_only": True}
