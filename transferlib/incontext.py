"""Learning in the prompt: no weight changes, the examples stand in the text and the answer is scored.

``model(input_ids=…, attention_mask=…)`` is a causal language model with ``.logits`` (B, L, V); ``tokenizer.encode(text,
add_special_tokens=False)`` gives token ids, as in the transformers library.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.errors import UserError


def few_shot_prompt(demonstrations: Sequence[tuple[str, str]], query: str, template: str = "{x} ->{y}\n") -> str:
    """The demonstrations, then the query with its answer left open: ``"hot -> cold\\nbig ->"``.

    ``template`` holds {x} and {y}, {y} after {x}; give answers their leading space, as in ``("hot", " cold")``:
    language models read a space as part of the word behind it. Raises ``UserError`` for another template.
    """
    if template.count("{x}") != 1 or template.count("{y}") != 1 or template.index("{x}") > template.index("{y}"):
        raise UserError(f"The template {template!r} needs {{x}} once and, after it, {{y}} once.")
    before, rest = template.split("{x}")
    between, after = rest.split("{y}")
    return "".join(before + x + between + y + after for x, y in demonstrations) + before + query + between


@torch.no_grad()
def score_labels(
    model: nn.Module, tokenizer: Any, prompts: Sequence[str], labels: Sequence[str], batch_size: int = 16
) -> Tensor:
    """log p(label | prompt) = Σ_t log p(label token t | prompt, label tokens before t): (prompts, labels), in nats.

    Prompt and label are tokenised apart, so that every label continues the same prompt tokens. Labels that share a
    prompt and have one token are read from one forward pass. Nothing is divided by a label's length: the sum is the
    probability of the word; compare labels of unlike length with ``calibrate``.

    Raises ``UserError`` for fewer than two labels, a label without a token, labels alike, an empty prompt, and NaN.
    """
    tokens = [list(tokenizer.encode(label, add_special_tokens=False)) for label in labels]
    if len(labels) < 2 or len({tuple(t) for t in tokens}) < len(labels):
        raise UserError(f"Scoring needs at least two different label words: got {list(labels)}.")
    if not all(tokens):
        raise UserError(f"The label {labels[tokens.index([])]!r} has no token: use a word.")
    heads = [list(tokenizer.encode(prompt, add_special_tokens=False)) for prompt in prompts]
    if not all(heads):
        raise UserError(f"Prompt {heads.index([])} is empty: a language model needs at least one token to start from.")
    # A row is a prompt and all but the last token of a label: labels of one token share the bare prompt.
    stems = sorted({tuple(t[:-1]) for t in tokens})
    rows = [(p, stem) for p in range(len(prompts)) for stem in stems]
    scores = torch.empty(len(prompts), len(labels))
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        texts = [heads[p] + list(stem) for p, stem in part]
        longest = max(map(len, texts))
        ids = torch.tensor([t + [0] * (longest - len(t)) for t in texts])  # padded on the right: causal, never seen
        mask = torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in texts])
        logits = model(input_ids=ids, attention_mask=mask).logits.float()  # (B, L, V)
        if not torch.isfinite(logits[mask.bool()]).all():
            raise UserError("The language model gave NaN or infinity: load it in float32.")
        for row, (p, stem) in enumerate(part):
            logp = F.log_softmax(logits[row, len(heads[p]) - 1 : len(texts[row])], dim=-1)  # (len(stem) + 1, V)
            for c, label in enumerate(tokens):
                if tuple(label[:-1]) == stem:
                    scores[p, c] = logp[torch.arange(len(label)), label].sum()
    return scores


@torch.no_grad()
def score_after(model: nn.Module, tokenizer: Any, prefix: str, queries: Sequence[str], labels: Sequence[str]) -> Tensor:
    """:func:`score_labels` for prompts that begin alike: log p(label | prefix + query), (queries, labels), in nats.

    The demonstrations are read once: their keys and values are kept, and each query continues them. ``prefix`` and
    queries are tokenised apart. ``model`` takes ``cache`` and returns ``past_key_values`` as in transformers.

    Raises ``UserError`` as ``score_labels`` does.
    """
    if not prefix:
        return score_labels(model, tokenizer, queries, labels)
    tokens = [list(tokenizer.encode(label, add_special_tokens=False)) for label in labels]
    heads = [list(tokenizer.encode(query, add_special_tokens=False)) for query in queries]
    if len(labels) < 2 or not all(tokens) or not all(heads):
        raise UserError(f"Scoring needs two or more label words and no empty query or label: got {list(labels)}.")
    shown = torch.tensor([list(tokenizer.encode(prefix, add_special_tokens=False))])  # (1, P)
    past = model(input_ids=shown, use_cache=True).past_key_values
    rows = [(q, stem) for q in range(len(queries)) for stem in sorted({tuple(t[:-1]) for t in tokens})]
    texts = [heads[q] + list(stem) for q, stem in rows]
    longest = max(map(len, texts))
    ids = torch.tensor([t + [0] * (longest - len(t)) for t in texts])  # (B, L), padded on the right
    mask = torch.tensor([[1] * (shown.shape[1] + len(t)) + [0] * (longest - len(t)) for t in texts])  # (B, P + L)
    past.batch_repeat_interleave(len(rows))
    logits = model(input_ids=ids, attention_mask=mask, cache=past).logits  # (B, L, V)
    scores = torch.empty(len(queries), len(labels))
    for row, (q, stem) in enumerate(rows):
        logp = F.log_softmax(logits[row, len(heads[q]) - 1 : len(texts[row])].float(), dim=-1)  # (len(stem) + 1, V)
        if not torch.isfinite(logp).all():
            raise UserError("The language model gave NaN or infinity: load it in float32.")
        for c, label in enumerate(tokens):
            if tuple(label[:-1]) == stem:
                scores[q, c] = logp[torch.arange(len(label)), label].sum()
    return scores


def calibrate(scores: Tensor, content_free: Tensor) -> Tensor:
    """Contextual calibration: log (p_c / p_cf,c), normalised; scores (N, C) and content_free (M, C) → log-probs (N, C).

    ``content_free`` are the scores of prompts whose query says nothing ("N/A", "[MASK]", ""); their mean probability
    p_cf is the bias of prompt and label words alone. Raises ``UserError`` when the label counts differ.
    Zhao et al. 2021, arXiv:2102.09690.
    """
    if content_free.dim() != 2 or scores.shape[1] != content_free.shape[1]:
        raise UserError(
            f"Calibration got {tuple(scores.shape)} scores and {tuple(content_free.shape)} content-free ones."
        )
    bias = content_free.softmax(1).mean(0).log()  # (C,)
    return (scores.log_softmax(1) - bias).log_softmax(1)
