"""Text models: the sentence vector is the published one, and the language model's copy is exact."""

import math

import pytest
import torch
from packaged import weights_or_skip

from transferlib.backbones import texts as language
from transferlib.backbones.texts import language_model, sample, text_backbone
from transferlib.errors import UserError

TEXTS = ["A man is eating food.", "A man eats something.", "The stock market fell sharply on Tuesday morning."]


@pytest.fixture(scope="module")
def minilm():
    weights_or_skip("all-MiniLM-L6-v2")
    return text_backbone().eval()


def test_unit_vectors_in_which_like_meanings_are_close(minilm):
    with torch.no_grad():
        z = minilm(minilm.encode(TEXTS))
    assert z.shape == (3, minilm.out_features)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(3))
    similar, other = z[0] @ z[1], z[0] @ z[2]
    assert similar > 0.75
    assert other < 0.2


def test_the_vector_is_the_mean_over_real_tokens(minilm):
    with torch.no_grad():
        ids = minilm.encode(TEXTS[:1])
        tokens = minilm.body(input_ids=ids).last_hidden_state[0]
        torch.testing.assert_close(minilm(ids)[0], torch.nn.functional.normalize(tokens.mean(0), dim=0))


def test_padding_and_company_do_not_change_a_vector(minilm):
    with torch.no_grad():
        together, alone = minilm(minilm.encode(TEXTS)), [minilm(minilm.encode([t]))[0] for t in TEXTS]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-4)


def test_long_texts_are_cut_and_an_empty_one_still_has_a_vector(minilm):
    ids = minilm.encode(["word " * 500, ""])
    assert ids.shape == (2, 32)
    with torch.no_grad():
        assert minilm(ids).isfinite().all()


def test_random_weights_keep_the_architecture(minilm):
    torch.manual_seed(0)
    fresh = text_backbone(pretrained=False)
    shapes = {k: v.shape for k, v in minilm.state_dict().items()}
    assert {k: v.shape for k, v in fresh.state_dict().items()} == shapes
    name = "body.encoder.layer.3.attention.self.query.weight"
    assert not torch.equal(fresh.state_dict()[name], minilm.state_dict()[name])


def test_the_language_model_knows_a_capital_and_its_layers_have_the_published_names():
    weights_or_skip("smollm2-135m")
    model, tokenizer = language_model()
    with torch.no_grad():
        scores = model(tokenizer("The capital of France is", return_tensors="pt").input_ids).logits
    assert tokenizer.decode(scores[0, -1].argmax()) == " Paris"
    names = {n.rsplit(".", 1)[-1] for n, _ in model.named_modules()}
    assert {"q_proj", "v_proj"} <= names
    assert not model.training
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_the_copy_holds_exactly_the_tensors_of_the_gguf_file():
    """Against gguf's own dequantiser: an untouched matrix, and the first query matrix un-permuted per head."""
    gguf = pytest.importorskip("gguf")
    source = weights_or_skip("smollm2-135m")
    model, _ = language_model()
    tensors = {t.name: t for t in gguf.GGUFReader(source).tensors}

    def read(name):
        return torch.from_numpy(gguf.dequantize(tensors[name].data, tensors[name].tensor_type).copy())

    assert torch.equal(model.model.layers[4].mlp.up_proj.weight, read("blk.4.ffn_up.weight"))
    query = read("blk.0.attn_q.weight").reshape(9, 32, 2, 576).swapaxes(1, 2).reshape(576, 576)
    assert torch.equal(model.model.layers[0].self_attn.q_proj.weight, query)


def test_half_a_copy_is_never_found(tmp_path, monkeypatch):
    """An interrupted conversion leaves a folder under another name; the next call starts over."""
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(language, "path", lambda name: tmp_path / "no.gguf")
    with pytest.raises(OSError):
        language._dequantised("smollm2-135m")
    assert [p for p in (tmp_path / "converted").iterdir() if not p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: text_backbone("all-minilm-l6"), "did you mean 'all-MiniLM-L6-v2'"),
        (lambda: language_model("smollm-135m"), "did you mean 'smollm2-135m'"),
    ],
)
def test_unknown_names_suggest_the_nearest(call, message):
    with pytest.raises(UserError, match=message):
        call()


@pytest.fixture(scope="module")
def tiny():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=80, initializer_range=0.3, **size)).eval()


def test_sampling_draws_from_the_whole_softmax(tiny):
    ids = torch.tensor([[3, 5]])
    for temperature in (1.0, 3.0):
        with torch.no_grad():
            p = (tiny(input_ids=ids).logits[0, -1] / temperature).softmax(-1)
        drawn = sample(tiny, ids.expand(20_000, 2), 1, temperature, seed=1)[:, -1]
        counts = torch.bincount(drawn, minlength=80)
        expected = 20_000 * p
        kept = expected >= 5
        chi2 = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
        assert chi2 < kept.sum() + 4 * math.sqrt(2 * kept.sum())
        likely = p.topk(50).values.sum()  # generate would keep these fifty words only
        assert (counts.sum() - counts[p.topk(50).indices].sum()).item() == pytest.approx(
            20_000 * (1 - likely.item()), rel=0.15
        )


def test_sampling_goes_on_from_what_it_wrote(tiny):
    ids = torch.randint(80, (4, 3), generator=torch.Generator().manual_seed(0))
    together = sample(tiny, ids, 5, seed=2)
    generator, alone = torch.Generator().manual_seed(2), ids
    for _ in range(5):  # the same draws without a cache: the whole text is read again for every token
        with torch.no_grad():
            p = tiny(input_ids=alone, use_cache=False).logits[:, -1].softmax(-1)
        alone = torch.cat([alone, torch.multinomial(p, 1, generator=generator)], 1)
    assert torch.equal(together, alone)
    assert torch.equal(together[:, :3], ids)
    assert torch.equal(sample(tiny, ids, 5, seed=2), together)
    assert not torch.equal(sample(tiny, ids, 5, seed=3), together)


def test_sampling_says_what_is_wrong(tiny):
    ids = torch.tensor([[3, 5]])
    for temperature in (0, -1.0, math.nan):
        with pytest.raises(UserError, match=f"temperature = {temperature}"):
            sample(tiny, ids, 1, temperature)
    state = {k: v.clone() for k, v in tiny.state_dict().items()}
    try:
        tiny.lm_head.weight.data[7] = math.nan
        with pytest.raises(UserError, match="new token 1 hold NaN"):
            sample(tiny, ids, 2)
    finally:
        tiny.load_state_dict(state)
