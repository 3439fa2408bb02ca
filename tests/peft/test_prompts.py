"""Soft prompts and prefixes against attention written out by hand."""

import math

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from transferlib.errors import UserError
from transferlib.peft.prompts import Prefix, SoftPrompt

SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
IDS = torch.tensor([[5, 8, 13, 21, 2], [7, 9, 4, 0, 0]])
MASK = (IDS != 0).long()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def bert() -> BertModel:
    return BertModel(BertConfig(vocab_size=40, max_position_embeddings=12, **SIZE), add_pooling_layer=False).eval()


def llama() -> LlamaForCausalLM:
    config = LlamaConfig(vocab_size=40, max_position_embeddings=12, num_key_value_heads=2, **SIZE)
    return LlamaForCausalLM(config).eval()


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v over the allowed keys; (N, heads, L, d) → (N, L, heads · d)."""
    scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(~allowed, -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def heads(x: Tensor, width: int = 4) -> Tensor:
    return x.unflatten(-1, (-1, width)).transpose(1, 2)  # (N, L, h · d) → (N, h, L, d)


def prepended(k: Tensor, prefix: Tensor) -> Tensor:
    return torch.cat([prefix.expand(len(k), -1, -1, -1), k], dim=2)


def bert_by_hand(model: BertModel, prefix: Prefix, ids: Tensor, mask: Tensor) -> Tensor:
    h = model.embeddings(ids)
    seen = torch.cat([torch.ones(len(ids), prefix.tokens), mask], dim=1).bool()[:, None, None, :]
    for i, layer in enumerate(model.encoder.layer):
        own = layer.attention.self
        k, v = prepended(heads(own.key(h)), prefix.keys[i]), prepended(heads(own.value(h)), prefix.values[i])
        h = layer.attention.output(attend(heads(own.query(h)), k, v, seen), h)
        h = layer.output(layer.intermediate(h), h)
    return h


def llama_by_hand(model: LlamaForCausalLM, prefix: Prefix, ids: Tensor, mask: Tensor) -> Tensor:
    h, length = model.model.embed_tokens(ids), ids.shape[1]
    cos, sin = model.model.rotary_emb(h, position_ids=torch.arange(length)[None])
    causal = torch.ones(length, length).tril().bool() & mask.bool()[:, None, None, :]
    seen = torch.cat([torch.ones(len(ids), 1, length, prefix.tokens).bool(), causal], dim=-1)
    for i, layer in enumerate(model.model.layers):
        own, x = layer.self_attn, layer.input_layernorm(h)
        q, k = apply_rotary_pos_emb(heads(own.q_proj(x)), heads(own.k_proj(x)), cos, sin)
        k, v = prepended(k, prefix.keys[i]), prepended(heads(own.v_proj(x)), prefix.values[i])
        k, v = k.repeat_interleave(2, dim=1), v.repeat_interleave(2, dim=1)  # two queries share a key
        h = h + own.o_proj(attend(q, k, v, seen))
        h = h + layer.mlp(layer.post_attention_layernorm(h))
    return model.lm_head(model.model.norm(h))


# --- prefix tuning


def test_a_prefix_on_bert_is_attention_with_its_keys_and_values_prepended() -> None:
    model = bert()
    prefix = Prefix(model, tokens=3, std=1.0)
    out = prefix(IDS, MASK).last_hidden_state
    torch.testing.assert_close(out, bert_by_hand(model, prefix, IDS, MASK), atol=1e-5, rtol=1e-5)
    assert out.shape == (2, 5, 16)


def test_a_prefix_on_llama_is_attention_with_its_keys_and_values_prepended() -> None:
    model = llama()
    prefix = Prefix(model, tokens=3, std=1.0)
    real = MASK.bool()  # what a padded position says is nobody's business
    out, hand = prefix(IDS, MASK).logits, llama_by_hand(model, prefix, IDS, MASK)
    torch.testing.assert_close(out[real], hand[real], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [bert, llama])
def test_a_prefix_is_the_only_thing_that_learns_and_all_of_it_does(make: type) -> None:
    model = make()
    before = {n: p.clone() for n, p in model.state_dict().items()}
    prefix = Prefix(model, tokens=3, std=1.0)
    prefix.train()
    out = prefix(IDS, MASK)
    (out.logits if "logits" in out else out.last_hidden_state).square().sum().backward()
    assert [n for n, p in prefix.named_parameters() if p.requires_grad] == ["keys", "values"]
    assert sum(p.numel() for p in (prefix.keys, prefix.values)) == 2 * 2 * prefix.keys.shape[1] * 3 * 4
    assert prefix.keys.grad.abs().amin((1, 2, 3)).min() > 0
    assert prefix.values.grad.abs().amin((1, 2, 3)).min() > 0
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


# --- prompt tuning


@pytest.mark.parametrize("make", [bert, llama])
def test_a_soft_prompt_made_of_real_words_is_those_words_typed_in(make: type) -> None:
    model = make()
    soft = SoftPrompt(model, tokens=3)
    words = torch.tensor([17, 3, 30])
    soft.prompt.data = model.get_input_embeddings().weight[words].clone()
    typed = model(torch.cat([words.expand(2, -1), IDS], 1), torch.cat([torch.ones(2, 3).long(), MASK], 1))
    name = "logits" if "logits" in typed else "last_hidden_state"
    torch.testing.assert_close(soft(IDS, MASK)[name], typed[name][:, 3:], atol=1e-6, rtol=1e-6)


def test_a_soft_prompt_starts_as_words_and_is_all_that_learns() -> None:
    model = bert()
    words = model.embeddings.word_embeddings.weight
    soft = SoftPrompt(model, tokens=4)
    assert all((row == words).all(1).any() for row in soft.prompt)
    assert [n for n, p in soft.named_parameters() if p.requires_grad] == ["prompt"]
    soft(IDS, MASK).last_hidden_state.square().sum().backward()
    assert soft.prompt.grad.abs().amin() > 0
    assert words.grad is None


def test_no_mask_means_every_token_counts() -> None:
    for wrapped in (SoftPrompt(bert(), 2), Prefix(bert(), 2)):
        a, b = wrapped(IDS), wrapped(IDS, torch.ones_like(IDS))
        torch.testing.assert_close(a.last_hidden_state, b.last_hidden_state)


# --- as the model is used elsewhere


def test_labels_are_those_of_the_text_the_prompt_itself_has_no_loss() -> None:
    model = llama()
    soft = SoftPrompt(model, tokens=3)
    words = torch.tensor([17, 3, 30])
    soft.prompt.data = model.get_input_embeddings().weight[words].clone()
    labels = IDS.masked_fill(MASK == 0, -100)
    out = soft(IDS, MASK, labels=labels)
    assert out.logits.shape == (2, 5, 40)
    whole = torch.cat([words.expand(2, -1), IDS], 1)
    typed = model(whole, torch.cat([torch.ones(2, 3).long(), MASK], 1)).logits
    wanted = torch.cat([torch.full((2, 3), -100), labels], 1)
    loss = nn.functional.cross_entropy(typed[:, :-1].flatten(0, 1), wanted[:, 1:].flatten())
    torch.testing.assert_close(out.loss, loss, atol=1e-6, rtol=1e-6)
    loss = nn.functional.cross_entropy(Prefix(model, 3)(IDS, MASK, labels=labels).logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())  # fmt: skip # noqa: E501
    torch.testing.assert_close(Prefix(model, 3)(IDS, MASK, labels=labels).loss, loss)


def test_token_types_and_labels_of_whole_texts_and_a_head_that_learns() -> None:
    model = BertForSequenceClassification(BertConfig(vocab_size=40, max_position_embeddings=12, **SIZE)).eval()
    types = (IDS > 8).long()
    for wrapped in (SoftPrompt(model, 3), Prefix(model, 3)):
        out = wrapped(IDS, MASK, token_type_ids=types, labels=torch.tensor([0, 1]))
        torch.testing.assert_close(out.loss, nn.functional.cross_entropy(out.logits, torch.tensor([0, 1])))
        assert not torch.equal(out.logits, wrapped(IDS, MASK).logits)
        assert {n for n, p in wrapped.named_parameters() if p.requires_grad} >= {"model.classifier.weight"}


@pytest.mark.parametrize("kind", [SoftPrompt, Prefix])
def test_generation_goes_on_as_the_forward_pass_says(kind: type) -> None:
    model = llama()
    model.generation_config.eos_token_id = None
    wrapped = kind(model, 3, **({"std": 1.0} if kind is Prefix else {}))
    ids = IDS[:, :3]
    wanted = ids
    for _ in range(4):
        wanted = torch.cat([wanted, wrapped(wanted).logits[:, -1:].argmax(-1)], 1)
    assert torch.equal(wrapped.generate(ids, max_new_tokens=4, do_sample=False), wanted)


@pytest.mark.parametrize("kind", [SoftPrompt, Prefix])
def test_beside_half_precision_the_prompt_is_float32(kind: type) -> None:
    wrapped = kind(llama().bfloat16(), 3)
    out = wrapped(IDS, MASK, labels=IDS)
    out.loss.backward()
    learning = [p for p in wrapped.parameters() if p.requires_grad]
    assert {p.dtype for p in learning} == {torch.float32} and all(p.grad.isfinite().all() for p in learning)
    assert out.logits.dtype == torch.bfloat16


# --- bad input


def test_a_text_that_does_not_fit_with_the_prompt_is_refused() -> None:
    long = torch.ones(1, 10, dtype=torch.long)
    assert SoftPrompt(bert(), 2)(long).last_hidden_state.shape == (1, 10, 16)
    with pytest.raises(UserError, match=r"prompt of 3 and a text of 10 tokens need 13 positions, .* has 12: .* 9 "):
        SoftPrompt(bert(), 3)(long)
    with pytest.raises(UserError, match=r"text of 13 tokens is longer than the model's window: cut it to 12"):
        Prefix(bert(), 3)(torch.ones(1, 13, dtype=torch.long))
    assert Prefix(bert(), 9)(torch.ones(1, 12, dtype=torch.long)).last_hidden_state.shape == (1, 12, 16)


@pytest.mark.parametrize("kind", [SoftPrompt, Prefix])
def test_other_bad_input(kind: type) -> None:
    with pytest.raises(UserError, match="prompt of 0 tokens"):
        kind(bert(), 0)
    if kind is SoftPrompt:
        with pytest.raises(UserError, match="position_ids cannot be given beside a prompt"):
            SoftPrompt(bert(), 2)(IDS, position_ids=torch.arange(5)[None])
    with pytest.raises(UserError, match="Linear has no word embedding"):
        kind(nn.Linear(2, 2), 3)
    size = {"d_model": 16, "d_kv": 4, "d_ff": 32, "num_heads": 4}
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=40, num_layers=1, **size))
    with pytest.raises(UserError, match="T5ForConditionalGeneration is not an encoder or a causal language model"):
        kind(t5, 3)
    assert all(p.requires_grad for p in t5.parameters()), "a refused model is left as it was"
