"""Text backbones: a transformer encoder that turns sentences into one vector each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.errors import UserError, nearest
from transferlib.weights import path

DEFAULT_TEXT = "all-MiniLM-L6-v2"


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
            list(texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
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
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging

    if name == DEFAULT_TEXT:
        folder = path(name)
    elif Path(name).is_dir():
        folder = Path(name)
    else:
        raise UserError(f"Unknown text backbone {name!r}: {nearest(name, [DEFAULT_TEXT])} A local folder works too.")
    logging.disable_progress_bar()  # a bar for a quarter of a second is noise on a page
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if pretrained:
        body = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    else:
        body = AutoModel.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    body.pooler = None  # the mean over tokens is the sentence vector; BERT's pooler is not used
    return TextBackbone(body, tokenizer, body.config.hidden_size, max_length)
