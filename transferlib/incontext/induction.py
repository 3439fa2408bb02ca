"""Heads that copy: find them on repeated random tokens, and switch them off.

An induction head at the token *a* looks back to an earlier *a* and then at what followed it, and says that again.
Source: Olsson et al. 2022, arXiv:2209.11895.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.errors import UserError

Head = tuple[int, int]  # (layer, number of the head), both from 0


def repeated(vocabulary: int, length: int, count: int, seed: int) -> Tensor:
    """Random token ids, each sequence said twice: (count, 2 · length). Nothing but copying foretells the second half.

    >>> ids = repeated(100, 3, 2, seed=0)
    >>> ids.shape, bool((ids[:, :3] == ids[:, 3:]).all())
    (torch.Size([2, 6]), True)
    """
    first = torch.randint(vocabulary, (count, length), generator=torch.Generator().manual_seed(seed))
    return torch.cat([first, first], dim=1)


@torch.no_grad()
def induction_scores(model: Any, ids: Tensor) -> Tensor:
    """How much each head looks at the token *after* the earlier copy of the present one: (layers, heads), 0 to 1.

        score = mean over t ≥ T of attention[t, t − T + 1]          ids (B, 2T), as :func:`repeated` makes them

    ``model`` is of the transformers library; its attention is computed the plain way meanwhile, because the fused one
    keeps no weights. Raises ``UserError`` where the halves differ.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> model = LlamaForCausalLM(LlamaConfig(vocab_size=10, **sizes))
    >>> induction_scores(model, repeated(10, 4, 2, seed=0)).round(decimals=2)  # untrained, it looks everywhere alike
    tensor([[0.1600, 0.1600]])
    """
    half = ids.shape[1] // 2
    if not torch.equal(ids[:, :half], ids[:, half:]):
        raise UserError("Induction scores need sequences whose second half repeats the first: use repeated(...).")
    before = model.config._attn_implementation
    with modes_kept(model):
        model.set_attn_implementation("eager")
        try:
            layers = model.eval()(input_ids=ids, output_attentions=True).attentions  # each (B, heads, 2T, 2T)
        finally:
            model.set_attn_implementation(before)
    # the diagonal that begins at row T − 1, column 0 holds attention[t, t − T + 1]; its first entry is not yet a copy
    return torch.stack([a.diagonal(1 - half, 2, 3)[..., 1:].mean((0, 2)) for a in layers])


@contextmanager
def heads_off(model: nn.Module, heads: Iterable[Head]) -> Iterator[None]:
    """Inside of ``with``, these heads add nothing: their columns of what enters ``o_proj`` are zero.

    ``model`` names its output projections ``…layers.<i>.self_attn.o_proj``, as Llama does in the transformers library.
    Raises ``UserError`` for a layer or a head that is not there.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> model, ids = LlamaForCausalLM(LlamaConfig(vocab_size=10, **sizes)).eval(), torch.tensor([[1, 2, 3]])
    >>> plain = model(ids).logits
    >>> with heads_off(model, [(0, 1)]):
    ...     torch.equal(model(ids).logits, plain)
    False
    >>> torch.equal(model(ids).logits, plain)  # outside of with, the head is back
    True
    """
    found = {n.split(".")[-3]: m for n, m in model.named_modules() if n.endswith("self_attn.o_proj")}
    width, count = model.config.head_dim, model.config.num_attention_heads  # type: ignore[union-attr]
    columns: dict[str, list[int]] = {}
    for layer, head in heads:
        if str(layer) not in found or not 0 <= head < count:  # type: ignore[operator]
            raise UserError(f"There is no head ({layer}, {head}): the model has {len(found)} layers of {count} heads.")
        columns.setdefault(str(layer), []).extend(range(head * width, (head + 1) * width))  # type: ignore[operator]

    def silenced(own: list[int]) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            x = inputs[0].clone()  # (B, L, heads · width)
            x[..., own] = 0
            return (x, *inputs[1:])

        return hook

    hooks = [found[layer].register_forward_pre_hook(silenced(own)) for layer, own in columns.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
