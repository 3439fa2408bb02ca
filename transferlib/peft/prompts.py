"""Prompts that are learned: vectors before the text, or keys and values in every attention layer. The model is frozen.

Prompt tuning: [p_1 … p_t, e_1 … e_L] goes in where [e_1 … e_L] went in.  Lester et al., 2021, arXiv:2104.08691.
Prefix tuning: a layer attends to [P_k; K] and [P_v; V] where it had K and V.  Li & Liang, 2021, arXiv:2101.00190.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import freeze
from transferlib.backbones.modules import heads_of
from transferlib.errors import UserError, needs


class SoftPrompt(nn.Module):
    """Prompt tuning: ``tokens`` learned vectors stand before the embedded text; the model itself is frozen.

    For encoders and language models of transformers. ``prompt`` (tokens, d) starts as the vectors of words drawn from
    the vocabulary. The output is that of the text alone: the positions of the prompt are cut off.

    >>> from transformers import BertConfig, BertModel
    >>> bert = BertModel(BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1))
    >>> soft = SoftPrompt(bert, tokens=3)
    >>> soft.prompt.shape, soft(torch.tensor([[1, 2]])).last_hidden_state.shape
    (torch.Size([3, 4]), torch.Size([1, 2, 4]))

    Raises:
        UserError: ``tokens`` below 1, a model without a text embedding or without a fixed window (T5), or, in
            ``forward``, a text that does not fit into the model's window together with the prompt.
    """

    def __init__(self, model: nn.Module, tokens: int = 10, seed: int = 0) -> None:
        super().__init__()
        words, self.window = _words(model, tokens).weight, _window(model)
        self.model = freeze(model, but=heads_of(model))
        generator = torch.Generator("cpu").manual_seed(seed)
        drawn = torch.randint(len(words), (tokens,), generator=generator, device="cpu").to(words.device)
        self.prompt = nn.Parameter(words.detach()[drawn].clone().to(torch.promote_types(words.dtype, torch.float32)))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Any:
        """Ids and mask (N, L) → the model's output, with L positions. ``labels`` (N, L) and token types as usual."""
        tokens = len(self.prompt)
        inputs = self._prepend(input_ids, attention_mask)
        if "position_ids" in kwargs:
            raise UserError("position_ids cannot be given beside a prompt, which shifts them: leave them out.")
        if (types := kwargs.get("token_type_ids")) is not None:
            kwargs["token_type_ids"] = _longer(types, input_ids, tokens, 0)
        labels = kwargs.get("labels")
        if labels is not None and labels.shape == input_ids.shape and not labels.is_floating_point():
            kwargs["labels"] = _longer(labels, input_ids, tokens, -100)  # -100: no loss at the prompt's own positions
        output = self.model(**inputs, **kwargs)
        for name in ("last_hidden_state", "logits"):
            if name in output and output[name].ndim == 3:  # a classifier's (N, C) has no positions
                output[name] = output[name][:, tokens:]  # (N, t + L, …) → (N, L, …)
        return output

    def generate(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Ids (N, L) → (N, L + new): the text and what the model says after the prompt and the text.

        ``kwargs``: those of ``generate`` in transformers, such as ``max_new_tokens``.
        """
        model: Any = self.model
        said = model.generate(**self._prepend(input_ids, attention_mask), **kwargs)
        return torch.cat([input_ids.repeat_interleave(len(said) // len(input_ids), 0), said], dim=1)

    def _prepend(self, ids: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        """The prompt and the embedded text (N, t + L, d), and the mask (N, t + L)."""
        length, tokens = ids.shape[1], len(self.prompt)
        if tokens + length > self.window:
            raise UserError(
                f"A prompt of {tokens} and a text of {length} tokens need {tokens + length} positions, the model has "
                f"{self.window}: cut the text to {max(0, self.window - tokens)} tokens."
            )
        text = _words(self.model, tokens)(ids)  # (N, L, d)
        whole = torch.cat([self.prompt.expand(len(ids), -1, -1).to(text), text], dim=1)  # (N, t + L, d)
        return {"inputs_embeds": whole, "attention_mask": _longer(mask, ids, tokens)}


class Prefix(nn.Module):
    """Prefix tuning: every attention layer sees ``tokens`` learned keys and values before its own; the rest is frozen.

    ``keys`` and ``values`` (layers, heads, tokens, d_head). The text keeps its positions 0 … L − 1, the prefix has
    none. Start: small random numbers, so that the prefix draws attention away from the first step on.

    >>> from transformers import BertConfig, BertModel
    >>> bert = BertModel(BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1))
    >>> prefix = Prefix(bert, tokens=3)
    >>> prefix.keys.shape, prefix(torch.tensor([[1, 2]])).last_hidden_state.shape
    (torch.Size([1, 1, 3, 4]), torch.Size([1, 2, 4]))

    Raises:
        UserError: ``tokens`` below 1, not an encoder or causal model of transformers, or a text longer than the
            model's window.
    """

    def __init__(self, model: nn.Module, tokens: int = 10, std: float = 0.02, seed: int = 0) -> None:
        super().__init__()
        words, self.window = _words(model, tokens).weight, _window(model)
        self.model, self.tokens = freeze(model, but=heads_of(model)), tokens
        config: Any = model.config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.kind = words.dtype
        shape = (2, config.num_hidden_layers, heads, tokens, width)
        start = std * torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), device="cpu")
        kind = torch.promote_types(words.dtype, torch.float32)
        self.keys, self.values = (nn.Parameter(part.to(words.device, kind)) for part in start)
        # transformers 5.24 renamed the argument.
        self.cache_name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Any:
        """Ids and mask (N, L) → the model's output, with L positions."""
        n, length = input_ids.shape
        if length > self.window:
            raise UserError(f"A text of {length} tokens is longer than the model's window: cut it to {self.window}.")
        positions = torch.arange(length, device=input_ids.device).expand(n, -1)  # (L,) → (N, L)
        mask = _longer(attention_mask, input_ids, self.tokens)
        kwargs |= {self.cache_name: self._cache(n)}
        return self.model(input_ids=input_ids, attention_mask=mask, position_ids=positions, **kwargs)

    def generate(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Ids (N, L) → (N, L + new): the text and what the model says after it. ``kwargs``: those of transformers."""
        model: Any = self.model
        (n, length), device = input_ids.shape, input_ids.device
        # transformers takes the cached positions for read: ids that nobody looks at stand in front for them.
        whole = _longer(input_ids, input_ids, self.tokens, 0)
        mask = _longer(attention_mask, input_ids, self.tokens)
        own = torch.arange(length, device=device).expand(n, -1)  # (L,) → (N, L)
        positions = _longer(own, input_ids, self.tokens, 0)
        kwargs |= {self.cache_name: self._cache(n), "position_ids": positions}
        return model.generate(whole, attention_mask=mask, **kwargs)[:, self.tokens :]

    def _cache(self, n: int) -> Any:
        """The learned keys and values as transformers' cache, for ``n`` texts."""
        needs("transformers", "lm", "A prefix")
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            own = (part.to(self.kind).expand(n, -1, -1, -1) for part in (keys, values))
            cache.update(*own, layer)  # (heads, t, d) → (N, heads, t, d)
        return cache


def _longer(row: Tensor | None, ids: Tensor, tokens: int, value: int = 1) -> Tensor:
    """A row a text (N, L), or all ones, behind ``tokens`` times ``value``: (N, tokens + L)."""
    row = torch.ones_like(ids) if row is None else row
    return torch.cat([row.new_full((len(row), tokens), value), row], dim=1)


def _words(model: nn.Module, tokens: int) -> nn.Embedding:
    """The model's word embedding."""
    if tokens < 1:
        raise UserError(f"A prompt of {tokens} tokens is not possible: use at least 1.")
    find: Any = getattr(model, "get_input_embeddings", lambda: None)
    embedding = find()
    if not isinstance(embedding, nn.Embedding):
        raise UserError(f"{type(model).__name__} has no word embedding to put a prompt before: use a text model.")
    return embedding


def _window(model: nn.Module) -> int:
    """How many positions the model has."""
    config: Any = getattr(model, "config", None)
    window = getattr(config, "max_position_embeddings", None)
    if window is None or getattr(config, "is_encoder_decoder", False):
        raise UserError(
            f"{type(model).__name__} is not an encoder or a causal language model with a fixed window: "
            "use one like BERT or Llama."
        )
    return int(window)
