"""The fast way to score prompts that begin alike: the examples are read once, the questions side by side.

p(label | prefix + query), as :func:`transferlib.incontext.scoring.score_labels` gives it for whole prompts
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.errors import needs
from transferlib.incontext.scoring import collect, device_of, read, tokens_of
from transferlib.tensors import several

PACKED = 256  # tokens of questions that are read side by side


def score_after(model: nn.Module, tokenizer: Any, prefix: str, queries: Sequence[str], labels: Sequence[str]) -> Tensor:
    """:func:`score_labels` for prompts that begin alike: log p(label | prefix + query), (queries, labels), in nats.

    ``prefix`` and queries are tokenised apart. The prefix is read once; see :func:`score_along`.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> class Letters:
    ...     def encode(self, text, add_special_tokens):
    ...         return [ord(c) % 50 for c in text]
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> model = LlamaForCausalLM(LlamaConfig(vocab_size=50, **sizes))
    >>> score_after(model, Letters(), "hot -> cold ", ["wet ->", "in ->", "big ->"], [" dry", " out"]).shape
    torch.Size([3, 2])
    """
    return next(score_along(model, tokenizer, [prefix], queries, labels))


def score_along(
    model: nn.Module, tokenizer: Any, pieces: Sequence[str], queries: Sequence[str], labels: Sequence[str]
) -> Iterator[Tensor]:
    """The scores (queries, labels) after the first piece of a prompt, after the first two, and so on, in nats.

    Each piece is read once: its keys and values are kept. The questions are read side by side as one text, in which a
    mask lets each see the pieces and itself, and only the last positions meet the vocabulary. ``model`` is of the
    transformers library, with an attention that takes a mask of numbers (``sdpa`` or ``eager``). An empty first piece
    asks without examples.

    Raises ``UserError`` as :func:`score_labels` does.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from transferlib.incontext.scoring import score_labels
    >>> class Letters:
    ...     def encode(self, text, add_special_tokens):
    ...         return [ord(c) % 50 for c in text]
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> model, labels = LlamaForCausalLM(LlamaConfig(vocab_size=50, **sizes)), [" dry", " out"]
    >>> one, both = score_along(model, Letters(), ["hot -> cold ", "in -> out "], ["wet ->"], labels)
    >>> whole = score_labels(model, Letters(), ["hot -> cold in -> out wet ->"], labels)
    >>> torch.allclose(both, whole, atol=1e-4)  # as if the whole prompt were read anew
    True
    """
    heads, tokens, rows = read(tokenizer, queries, labels)
    texts = [heads[q] + list(stem) for q, stem in rows]
    needs("transformers", "lm", "A prompt that is read once")
    from transformers import DynamicCache

    cache, device = DynamicCache(config=model.config), device_of(model)  # type: ignore[arg-type]
    for piece in several("pieces", pieces):
        scores = torch.empty(len(heads), len(tokens), dtype=torch.float32, device=device)
        with torch.no_grad(), modes_kept(model):
            model.eval()
            if ids := tokens_of(tokenizer, piece):
                model(input_ids=torch.tensor([ids], device=device), cache=cache, use_cache=True, logits_to_keep=1)
            for part in _packs(texts):
                logits = _side_by_side(model, cache, [texts[i] for i in part], [len(rows[i][1]) + 1 for i in part])
                for i, own in zip(part, logits, strict=True):
                    collect(scores, own, *rows[i], tokens)
        yield scores


def _side_by_side(model: nn.Module, cache: Any, texts: list[list[int]], last: list[int]) -> tuple[Tensor, ...]:
    """For each text the logits (last, V) of its last positions; the cache is left as it was found."""
    device, before = device_of(model), cache.get_seq_length()
    lengths = torch.tensor([len(t) for t in texts], device=device)
    owner = torch.repeat_interleave(torch.arange(len(texts), device=device), lengths)  # (Q,)
    place = torch.arange(len(owner), device=device)
    sees = (owner[:, None] == owner[None]) & (place[:, None] >= place[None])  # (Q, Q): itself, and nothing later
    sees = F.pad(sees, (before, 0), value=True)  # (Q, before + Q)
    dtype = next(model.parameters()).dtype
    mask = torch.zeros(sees.shape, dtype=dtype, device=device).masked_fill(~sees, torch.finfo(dtype).min)
    ends = lengths.cumsum(0)
    keep = torch.cat([torch.arange(int(e) - n, int(e), device=device) for e, n in zip(ends, last, strict=True)])
    logits = model(
        input_ids=torch.tensor([[i for t in texts for i in t]], device=device),
        attention_mask=mask[None, None],  # (1, 1, Q, before + Q)
        position_ids=(before + place - (ends - lengths)[owner])[None],
        cache=cache, use_cache=True, logits_to_keep=keep,
    ).logits  # (1, Σ last, V)  # fmt: skip
    cache.crop(-len(owner))
    return logits[0].split(last)


def _packs(texts: list[list[int]]) -> Iterator[list[int]]:
    """Numbers of texts that together have at most ``PACKED`` tokens."""
    part: list[int] = []
    for i, text in enumerate(texts):
        if part and sum(len(texts[j]) for j in part) + len(text) > PACKED:
            yield part
            part = []
        part.append(i)
    yield part
