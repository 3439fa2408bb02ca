"""The outline of a language model: its shapes, sizes and tokens, without its weights."""

import pytest

from transferlib.backbones.outline import language_outline, language_tokenizer
from transferlib.backbones.texts import language_model
from transferlib.errors import UserError


def test_the_outline_has_the_model_s_shapes_and_the_tokenizer_its_tokens() -> None:
    model, tokenizer = language_model()
    outline = language_outline()
    shapes = {name: p.shape for name, p in model.named_parameters()}
    assert {name: p.shape for name, p in outline.named_parameters()} == shapes
    assert all(p.is_meta for p in outline.parameters())
    assert outline.config.max_position_embeddings == model.config.max_position_embeddings
    read, told = language_tokenizer(), "An ending, 3 words:\n naïve ⏎"
    assert read(told)["input_ids"] == tokenizer(told)["input_ids"]
    assert read.decode(read(told)["input_ids"]) == tokenizer.decode(tokenizer(told)["input_ids"])


def test_an_unknown_model_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"'smollm3'.*smollm2-135m"):
        language_outline("smollm3")
