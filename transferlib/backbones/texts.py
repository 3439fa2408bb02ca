"""Text models: an encoder that turns each sentence into one vector, and a small language model."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from transferlib.backbones.weights import MANIFEST, path, sha256
from transferlib.errors import UserError, nearest, needs
from transferlib.runs.cache import kept_dir
from transferlib.tensors import several

DEFAULT_TEXT = "all-MiniLM-L6-v2"
DEFAULT_LANGUAGE = "smollm2-135m"


class TextBackbone(nn.Module):
    """sentence vector = the mean of the last layer's token vectors over real tokens, scaled to length one.

    Arguments: ``body`` a transformers encoder, ``tokenizer`` the matching tokenizer, ``max_length`` in tokens.
    """

    def __init__(self, body: nn.Module, tokenizer: Any, out_features: int, max_length: int = 32) -> None:
        super().__init__()
        self.body, self.tokenizer, self.out_features, self.max_length = body, tokenizer, out_features, max_length

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Texts → token ids (N, L), padded with the tokenizer's pad id, at most ``max_length`` tokens each."""
        batch = self.tokenizer(
            several("texts", texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return batch["input_ids"]

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (N, L) → unit vectors (N, out_features)."""
        mask = ids != self.tokenizer.pad_token_id
        longest = int(mask.sum(1).max())
        ids, mask = ids[:, :longest], mask[:, :longest]  # (N, L) → (N, longest): padding costs time
        tokens = self.body(input_ids=ids, attention_mask=mask.long()).last_hidden_state  # (N, longest, D)
        weight = mask.unsqueeze(-1).to(tokens.dtype)  # (N, longest, 1)
        return F.normalize((tokens * weight).sum(1) / weight.sum(1), dim=-1)  # (N, D)


def text_backbone(name: str = DEFAULT_TEXT, pretrained: bool = True, max_length: int = 32) -> TextBackbone:
    """Build a text backbone by name: ``all-MiniLM-L6-v2`` (packaged) or any local transformers folder.

    ``pretrained=False`` keeps the architecture and the tokenizer and draws fresh random weights.
    Raises ``UserError`` for an unknown name.
    """
    needs("transformers", "lm", "A text model")
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging

    if name == DEFAULT_TEXT:
        folder = path(name)
    elif name not in MANIFEST and Path(name).is_dir():  # a folder does not hide a packaged model of its name
        folder = Path(name)
    else:
        raise UserError(f"Unknown text backbone {name!r}: {nearest(name, [DEFAULT_TEXT])} A local folder works too.")
    logging.disable_progress_bar()  # a bar for a quarter of a second is noise on a page
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if pretrained:
        body = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True)
    else:
        body = AutoModel.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    body.pooler = None  # the mean over tokens is the sentence vector; BERT's pooler is not used
    return TextBackbone(body, tokenizer, body.config.hidden_size, max_length)


def language_model(name: str = DEFAULT_LANGUAGE) -> tuple[Any, Any]:
    """A causal language model in eval mode, float32, and its tokenizer: (model, tokenizer).

    ``name``: ``smollm2-135m`` (packaged, 135 M parameters, Llama architecture: attention layers are called
    ``q_proj``, ``k_proj``, ``v_proj``, ``o_proj``) or any local transformers folder. The packaged file is
    quantised to four bits; the first call writes it out as safetensors (540 MB in the cache), the next ones
    read that in half a second. Attention is PyTorch's fused one, as transformers chooses by itself.

    Raises:
        UserError: unknown name, or weights that cannot be had.
    """
    needs("transformers", "lm", "A language model")
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    known = [n for n, entry in MANIFEST.items() if entry["kind"] == "language"]
    if name not in known and (name in MANIFEST or not Path(name).is_dir()):
        raise UserError(f"Unknown language model {name!r}: {nearest(name, known)} A local folder works too.")
    folder = _dequantised(name) if name in known else Path(name)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    return model.eval(), tokenizer


@torch.no_grad()
def sample(model: Any, ids: Tensor, tokens: int, temperature: float = 1.0, seed: int = 0) -> Tensor:
    """Go on from each prompt: ids (B, L) → (B, L + tokens), each next token drawn from softmax(logits / temperature).

    Nothing is cut off and no token is banned: a log-probability of logits / temperature is exactly that of the draw.
    (``generate`` may keep only the likeliest tokens.) Prompts have one length: there is no padding.

    Raises:
        UserError: logits that are not finite, a temperature of 0 or below.
    """
    if not temperature > 0:
        raise UserError(f"Sampling got temperature = {temperature}: use temperature > 0; 1 is the model's own.")
    needs("transformers", "lm", "Sampling")
    from transformers import DynamicCache

    generator, past, read = torch.Generator(ids.device).manual_seed(seed), DynamicCache(config=model.config), ids
    for n in range(tokens):
        logits = model(input_ids=read, cache=past, use_cache=True).logits[:, -1]
        probabilities = (logits / temperature).softmax(-1)  # (B, V)
        if not torch.isfinite(probabilities).all():
            raise UserError(
                f"The model's logits for new token {n + 1} hold NaN or infinity: "
                "lower the learning rate, or load the model in float32."
            )
        read = torch.multinomial(probabilities, 1, generator=generator)  # (B, 1): the cache holds the rest
        ids = torch.cat([ids, read], dim=1)
    return ids


def _dequantised(name: str) -> Path:
    """The folder with the float32 copy of a packaged gguf file, made on first use, whole or not at all."""
    needs("gguf", "lm", "A packaged language model")
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = kept_dir() / "converted" / f"{name}-{sha256(name)[:12]}"
    if folder.is_dir():
        return folder
    source = path(name)
    gguf: dict[str, Any] = {
        "pretrained_model_name_or_path": str(source.parent),
        "gguf_file": source.name,
        "local_files_only": True,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return folder  # another process made it while this one waited
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        loaded = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **gguf)
        # transformers refuses to save what it loaded from gguf, so a fresh model takes over the tensors.
        config = {k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"}
        with torch.device("meta"):  # no time spent on random weights
            fresh = LlamaForCausalLM(LlamaConfig(**config))
        fresh.load_state_dict(loaded.state_dict(), assign=True)
        fresh.tie_weights()
        fresh.save_pretrained(part)
        AutoTokenizer.from_pretrained(**gguf).save_pretrained(part)
        part.replace(folder)
    return folder
