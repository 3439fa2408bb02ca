"""How likely is each answer after a prompt? The plain way; :mod:`~transferlib.incontext.prefixes` is the fast one.

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
from transferlib.tensors import several

Row = tuple[int, tuple[int, ...]]  # number of a prompt, and the tokens of a label but its last


@torch.no_grad()
def score_labels(
    model: nn.Module, tokenizer: Any, prompts: Sequence[str], labels: Sequence[str], batch_size: int = 16
) -> Tensor:
    """log p(label | prompt) = Σ_t log p(label token t | prompt, label tokens before t): (prompts, labels), in nats.

    Prompt and label are tokenised apart, so that every label continues the same prompt tokens. Labels that share a
    prompt and have one token are read from one forward pass. Nothing is divided by a label's length: the sum is the
    probability of the word. The model runs in eval mode, on the device it is on; the scores are float32 and on that
    device.

    Raises ``UserError`` for fewer than two labels, a label without a token, labels alike, an empty prompt, and NaN.

    >>> from types import SimpleNamespace
    >>> class Even(nn.Module):  # a language model of 128 letters that has no preference
    ...     def forward(self, input_ids, attention_mask):
    ...         return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 128))
    >>> letters = SimpleNamespace(encode=lambda text, add_special_tokens: list(text.encode()))
    >>> score_labels(Even(), letters, ["Is it hot? "], ["y", "no"])  # −log 128, and twice that
    tensor([[-4.8520, -9.7041]])
    """
    heads, tokens, rows = read(tokenizer, prompts, labels)
    device = device_of(model)
    scores = torch.empty(len(heads), len(tokens), dtype=torch.float32, device=device)
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        texts = [heads[p] + list(stem) for p, stem in part]
        longest = max(map(len, texts))
        # padded on the right: (B, L); a causal model never sees what comes later
        ids = torch.tensor([t + [0] * (longest - len(t)) for t in texts], device=device)
        mask = torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in texts], device=device)
        with modes_kept(model):
            logits = model.eval()(input_ids=ids, attention_mask=mask).logits  # (B, L, V)
        for row, (p, stem) in enumerate(part):
            collect(scores, logits[row, len(heads[p]) - 1 : len(heads[p]) + len(stem)], p, stem, tokens)
    return scores


def device_of(model: nn.Module) -> torch.device:
    """Where the model is."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def tokens_of(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text that is a part of a longer one."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def read(
    tokenizer: Any, prompts: Sequence[str], labels: Sequence[str]
) -> tuple[list[list[int]], list[list[int]], list[Row]]:
    """Token ids of prompts and labels, and the rows to run: a prompt and all but the last token of a label."""
    prompts, labels = several("prompts", prompts), several("labels", labels)
    tokens, heads = (
        [tokens_of(tokenizer, label) for label in labels],
        [tokens_of(tokenizer, prompt) for prompt in prompts],
    )
    if len(labels) < 2 or len({tuple(t) for t in tokens}) < len(labels):
        raise UserError(f"Scoring needs at least two different label words: got {labels}.")
    if not all(tokens):
        raise UserError(f"The label {labels[tokens.index([])]!r} has no token: use a word.")
    if not all(heads):
        raise UserError(f"Prompt {heads.index([])} is empty: a language model needs at least one token to start from.")
    stems = sorted({tuple(t[:-1]) for t in tokens})  # labels of one token share the bare prompt
    return heads, tokens, [(p, stem) for p in range(len(heads)) for stem in stems]


def collect(scores: Tensor, logits: Tensor, p: int, stem: tuple[int, ...], tokens: list[list[int]]) -> None:
    """Write the sums of log-probabilities of the labels that go on from ``stem`` into row p of ``scores``, in place."""
    own = logits.float()  # (len(stem) + 1, V)
    if bool(own.isnan().any()) or bool(own.isposinf().any()):
        raise UserError("The language model gave NaN or infinity: load it in float32.")
    logp = F.log_softmax(own, dim=-1)
    for c, label in enumerate(tokens):
        if tuple(label[:-1]) == stem:
            scores[p, c] = logp[torch.arange(len(label), device=logp.device), label].sum()
