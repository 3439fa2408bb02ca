"""How much of a text a network reads: its tokens, up to as many as the model was made for."""

from typing import Any

from torch import nn


def tokens(backbone: nn.Module, text: str) -> int:
    """Tokens of the whole text; 0 where a network has none, as counted words."""
    tokenizer: Any = getattr(backbone, "tokenizer", None)
    return len(tokenizer(text, truncation=False, verbose=False)["input_ids"]) if tokenizer else 0


def cut(backbone: nn.Module, text: str, most: int) -> str:
    """What to say where only the first ``most`` tokens of a text are read, else nothing."""
    count = tokens(backbone, text)
    return f"only the first {most} of its {count} tokens are read" if count > most else ""
