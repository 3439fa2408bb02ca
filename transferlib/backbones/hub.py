"""A folder of the Hugging Face hub as frozen features: CLIP, SigLIP, ViT, DINOv2, BERT, GPT and their relatives.

A hub folder holds ``config.json``, the weights and how the input is prepared. What it can read follows from the
configuration: pictures, texts, or both in one space. A name such as ``openai/clip-vit-base-patch32`` is fetched where
the hub is reachable; a local folder of the same format needs no network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from transferlib.backbones.images import ImageBackbone
from transferlib.backbones.layer_features import layer_features
from transferlib.backbones.texts import TextBackbone, language_model, text_backbone
from transferlib.backbones.weights import MANIFEST
from transferlib.errors import UserError, needs
from transferlib.runs.cache import store
from transferlib.runs.provenance import digest, modules_key
from transferlib.tensors import several


class _Pictures(nn.Module):
    """Normalised pictures (N, 3, H, W) → features (N, D), the way each kind of model gives them."""

    def __init__(self, model: Any, patches: int) -> None:
        super().__init__()
        self.model, self.patches = model, patches

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self.model, "get_image_features"):  # CLIP, SigLIP: the space that is shared with texts
            return _pooled(self.model.get_image_features(pixel_values=x))
        z = self.model(pixel_values=x).last_hidden_state
        if z.ndim == 4:
            return z.mean((2, 3))  # ResNet: (N, D, H, W) → (N, D)
        return z[:, 0] if z.shape[1] > self.patches else z.mean(1)  # the class token, where there is one


class Words(nn.Module):
    """The text side of a model with two sides: texts to unit vectors in the space of its pictures.

    Arguments: ``model`` with ``get_text_features``, its ``tokenizer``, ``max_length`` in tokens.
    """

    def __init__(self, model: Any, tokenizer: Any, max_length: int) -> None:
        super().__init__()
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Texts → token ids (N, L). All are padded to the longest text there can be, as SigLIP was trained."""
        told = {"padding": "max_length", "truncation": True, "max_length": self.max_length, "return_tensors": "pt"}
        return self.tokenizer(several("texts", texts), **told)["input_ids"]

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (N, L) → unit vectors (N, D). Padding comes last, so CLIP, which looks back, never sees it."""
        return F.normalize(_pooled(self.model.get_text_features(input_ids=ids)), dim=-1)


def image_tower(name: str) -> ImageBackbone:
    """The pictures' side of a hub model, or a model that reads pictures only: uint8 images → features (N, D).

    Size, mean and spread are the model's own; a picture is resized to a square, not cropped.
    Raises ``UserError`` for a folder or name that cannot be opened, and for a model that reads no pictures.
    """
    config, model = _opened(name)
    part = getattr(config, "vision_config", config)
    if not hasattr(part, "num_channels"):
        raise UserError(f"The model {name!r} ({config.model_type}) reads no pictures: use text_tower({name!r}).")
    from transformers import AutoImageProcessor

    told = _load(AutoImageProcessor, name, "preprocessor_config.json")
    size = getattr(part, "image_size", None) or (told.crop_size or told.size)["height"]
    patch = getattr(part, "patch_size", size)
    body = _Pictures(model, (size // patch) ** 2)
    with torch.no_grad():
        width = body(torch.zeros(1, 3, size, size)).shape[1]
    plain = not getattr(told, "do_normalize", True)
    mean, std = ((0.0,) * 3, (1.0,) * 3) if plain else (tuple(told.image_mean), tuple(told.image_std))
    return ImageBackbone(body, width, size, mean, std).eval()


def text_tower(name: str, max_length: int = 64) -> TextBackbone | Words:
    """The texts' side of a hub model, or a model that reads texts only: texts → unit vectors (N, D).

    A model with two sides answers in the space of its pictures. Of any other, BERT or GPT, the sentence vector is the
    mean of the last layer's token vectors. Packaged models are known by their names, the language model too.
    Raises ``UserError`` for a folder or name that cannot be opened, and for a model that reads no texts.
    """
    kind = MANIFEST[name]["kind"] if name in MANIFEST else ""
    if kind == "language":
        model, tokenizer = language_model(name)
        return TextBackbone(model.model, tokenizer, model.config.hidden_size, max_length).eval()
    if kind:
        return text_backbone(name, max_length=max_length).eval()
    config, model = _opened(name)
    part = getattr(config, "text_config", config)
    if not hasattr(part, "vocab_size"):
        raise UserError(f"The model {name!r} ({config.model_type}) reads no texts: use image_tower({name!r}).")
    from transformers import AutoTokenizer

    tokenizer = _load(AutoTokenizer, name, "tokenizer.json")
    longest = min(max_length, part.max_position_embeddings)
    if hasattr(model, "get_text_features"):
        return Words(model, tokenizer, longest).eval()
    if tokenizer.pad_token is None:  # GPT was never padded: what stands behind a text is masked anyway
        tokenizer.pad_token = tokenizer.eos_token
    if hasattr(model, "pooler"):
        model.pooler = None  # the mean over tokens is the sentence vector
    return TextBackbone(model, tokenizer, part.hidden_size, longest).eval()


def cached_text_layers(name: str, x: Sequence[str], max_length: int = 32) -> dict[str, Tensor]:
    """Layer → the mean of its token vectors (N, D), of a packaged text or language model; computed once and kept.

    Raises ``UserError`` for a name that is not packaged: what a folder holds may change without its name.
    """
    if name not in MANIFEST:
        raise UserError(f"Only packaged models are kept by name, got {name!r}: use layer_features(text_tower(...), x).")
    texts = several("texts", x)
    key = digest(joblib.hash(texts), modules_key("transferlib.backbones.hub"))
    found = store("text_layers").cache(_text_layers, ignore=["x"])(key, name, texts, max_length)
    return {layer: torch.from_numpy(value) for layer, value in found.items()}


def _text_layers(key: str, name: str, x: list[str], max_length: int) -> dict[str, NDArray[np.float32]]:
    return {layer: value.numpy() for layer, value in layer_features(text_tower(name, max_length), x).items()}


def _opened(name: str) -> tuple[Any, Any]:
    """The configuration and the model, float32, in eval mode."""
    needs("transformers", "lm", "A model of the hub")
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    config = _load(AutoConfig, name, "config.json")
    return config, _load(AutoModel, name, "model.safetensors", dtype=torch.float32, use_safetensors=True).eval()


def _load(kind: Any, name: str, file: str, **options: Any) -> Any:
    here = Path(name).is_dir()
    try:
        return kind.from_pretrained(name, local_files_only=here, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        fix = f"check its {file}" if here else "give a local folder, or the full name of a model where the hub answers"
        where = "folder" if here else "model"
        raise UserError(f"The {where} {name!r} cannot be opened ({type(error).__name__}: {reason}): {fix}.") from error


def _pooled(out: Any) -> Tensor:
    return out if isinstance(out, Tensor) else out.pooler_output
