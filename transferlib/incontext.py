"""Learning in the prompt: no weight changes, the examples stand in the text and the answer is scored.

``model(input_ids=…, attention_mask=…)`` is a causal language model with ``.logits`` (B, L, V); ``tokenizer.encode(text,
add_special_tokens=False)`` gives token ids, as in the transformers library.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.backbones.freezing import modes_kept
from transferlib.errors import UserError
from transferlib.tensors import at_least_single, several


def few_shot_prompt(demonstrations: Sequence[tuple[str, str]], query: str, template: str = "{x} ->{y}\n") -> str:
    """The demonstrations, then the query with its answer left open: ``"hot -> cold\\nbig ->"``.

    ``template`` holds {x} and {y}, {y} after {x}; give answers their leading space, as in ``("hot", " cold")``:
    language models read a space as part of the word behind it. Raises ``UserError`` for another template.

    >>> few_shot_prompt([("hot", " cold")], "big", template="{x} is the opposite of{y}. ")
    'hot is the opposite of cold. big is the opposite of'
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
    probability of the word; compare labels of unlike length with ``calibrate``. The model runs in eval mode, on the
    device it is on; the scores are float32 and on that device.

    Raises ``UserError`` for fewer than two labels, a label without a token, labels alike, an empty prompt, and NaN.

    >>> from types import SimpleNamespace
    >>> class Even(nn.Module):  # a language model of 128 letters that has no preference
    ...     def forward(self, input_ids, attention_mask):
    ...         return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 128))
    >>> letters = SimpleNamespace(encode=lambda text, add_special_tokens: list(text.encode()))
    >>> score_labels(Even(), letters, ["Is it hot? "], ["y", "no"])  # −log 128, and twice that
    tensor([[-4.8520, -9.7041]])
    """
    heads, tokens, rows = _read(tokenizer, prompts, labels)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    scores = torch.empty(len(heads), len(tokens), dtype=torch.float32, device=device)
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        ids, mask = _padded([heads[p] + list(stem) for p, stem in part], 0, device)
        with modes_kept(model):
            logits = model.eval()(input_ids=ids, attention_mask=mask).logits  # (B, L, V)
        _collect(scores, logits, heads, tokens, part)
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
    heads, tokens, rows = _read(tokenizer, queries, labels)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    shown = torch.tensor([_tokens(tokenizer, prefix)], device=device)  # (1, P)
    ids, mask = _padded([heads[q] + list(stem) for q, stem in rows], shown.shape[1], device)
    with modes_kept(model):
        past = model.eval()(input_ids=shown, use_cache=True).past_key_values
        past.batch_repeat_interleave(len(rows))
        logits = model(input_ids=ids, attention_mask=mask, cache=past).logits  # (B, L, V)
    scores = torch.empty(len(heads), len(tokens), dtype=torch.float32, device=device)
    _collect(scores, logits, heads, tokens, rows)
    return scores


Row = tuple[int, tuple[int, ...]]


def _tokens(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _read(
    tokenizer: Any, prompts: Sequence[str], labels: Sequence[str]
) -> tuple[list[list[int]], list[list[int]], list[Row]]:
    """Token ids of prompts and labels, and the rows to run: a prompt and all but the last token of a label."""
    prompts, labels = several("prompts", prompts), several("labels", labels)
    tokens, heads = [_tokens(tokenizer, label) for label in labels], [_tokens(tokenizer, prompt) for prompt in prompts]
    if len(labels) < 2 or len({tuple(t) for t in tokens}) < len(labels):
        raise UserError(f"Scoring needs at least two different label words: got {labels}.")
    if not all(tokens):
        raise UserError(f"The label {labels[tokens.index([])]!r} has no token: use a word.")
    if not all(heads):
        raise UserError(f"Prompt {heads.index([])} is empty: a language model needs at least one token to start from.")
    stems = sorted({tuple(t[:-1]) for t in tokens})  # labels of one token share the bare prompt
    return heads, tokens, [(p, stem) for p in range(len(heads)) for stem in stems]


def _padded(texts: list[list[int]], before: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids (B, L), padded on the right: causal, never seen. The mask (B, before + L) has ``before`` ones in front."""
    longest = max(map(len, texts))
    ids = torch.tensor([t + [0] * (longest - len(t)) for t in texts], device=device)
    mask = torch.tensor([[1] * (before + len(t)) + [0] * (longest - len(t)) for t in texts], device=device)
    return ids, mask


def _collect(scores: Tensor, logits: Tensor, heads: list[list[int]], tokens: list[list[int]], rows: list[Row]) -> None:
    """Write the sums of log-probabilities of the labels that ``rows`` spell out into ``scores``, in place."""
    for row, (p, stem) in enumerate(rows):
        own = logits[row, len(heads[p]) - 1 : len(heads[p]) + len(stem)].float()  # (len(stem) + 1, V)
        if bool(own.isnan().any()) or bool(own.isposinf().any()):
            raise UserError("The language model gave NaN or infinity: load it in float32.")
        logp = F.log_softmax(own, dim=-1)
        for c, label in enumerate(tokens):
            if tuple(label[:-1]) == stem:
                scores[p, c] = logp[torch.arange(len(label), device=logp.device), label].sum()


def calibrate(scores: Tensor, content_free: Tensor) -> Tensor:
    """Contextual calibration: log (p_c / p_cf,c), normalised; scores (N, C) and content_free (M, C) → log-probs (N, C).

    ``content_free`` are the scores of prompts whose query says nothing ("N/A", "[MASK]", ""); their mean probability
    p_cf is the bias of prompt and label words alone. Raises ``UserError`` when the label counts differ.
    Zhao et al. 2021, arXiv:2102.09690.

    >>> calibrate(torch.tensor([[0.6, 0.4]]).log(), torch.tensor([[0.7, 0.3]]).log()).exp()  # the answer flips
    tensor([[0.3913, 0.6087]])
    """
    if scores.dim() != 2 or content_free.dim() != 2 or scores.shape[1] != content_free.shape[1]:
        raise UserError(
            f"Calibration got {tuple(scores.shape)} scores and {tuple(content_free.shape)} content-free ones."
        )
    scores, content_free = at_least_single(scores), at_least_single(content_free)
    bias = content_free.softmax(1).mean(0).log()  # (C,)
    return (scores.log_softmax(1) - bias).log_softmax(1)
