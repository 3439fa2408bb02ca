"""Adapters, BitFit and (IA)³: nothing changes at first, only what should learns, and it comes back from disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from peft import IA3Config, get_peft_model
from torch import nn
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, LlamaConfig, LlamaModel

from transferlib.backbones.modules import count_parameters
from transferlib.errors import UserError
from transferlib.peft.adapters import Adapter, add_adapters
from transferlib.peft.bitfit import bitfit
from transferlib.peft.files import load_trainable, save_trainable
from transferlib.peft.ia3 import ia3

D, INNER, LAYERS = 16, 32, 2


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def bert() -> BertModel:
    torch.manual_seed(1)
    size = {"hidden_size": D, "intermediate_size": INNER, "num_attention_heads": 2, "num_hidden_layers": LAYERS}
    return BertModel(BertConfig(vocab_size=40, **size), add_pooling_layer=False).eval()


def vectors(model: nn.Module) -> torch.Tensor:
    return model(torch.arange(1, 15).view(2, 7)).last_hidden_state


def train(model: nn.Module, out: Callable[[], torch.Tensor]) -> None:
    model.train()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(2):  # down gets its first gradient once up is not zero any more
        optimiser.zero_grad()
        (out() * torch.linspace(-1, 1, out().numel()).view(out().shape)).sum().backward()
        optimiser.step()
    model.eval()


WAYS: dict[str, tuple[Callable[[nn.Module], nn.Module], int]] = {
    "houlsby": (lambda m: add_adapters(m, 3), LAYERS * 2 * (2 * D * 3 + 3 + D) + (2 * LAYERS + 1) * 2 * D),
    "no norms": (lambda m: add_adapters(m, 3, norms=False), LAYERS * 2 * (2 * D * 3 + 3 + D)),
    "bitfit": (bitfit, LAYERS * (3 * D + D + INNER + D + 2 * D) + D),
    "ia3": (lambda m: ia3(m, ["key", "value"], "layer.*.output.dense"), LAYERS * (2 * D + INNER)),
}


@pytest.mark.parametrize("way", WAYS)
def test_identity_at_the_start_then_only_the_new_part_learns_and_its_size_follows_the_formula(way: str) -> None:
    prepare, size = WAYS[way]
    model = bert()
    before = vectors(model)
    prepare(model)
    assert torch.equal(vectors(model), before), "exactly the pretrained model at the start"
    assert count_parameters(model)[0] == size
    old = {name: (p.requires_grad, p.clone()) for name, p in model.named_parameters()}
    train(model, lambda: vectors(model))
    for name, parameter in model.named_parameters():
        moves, value = old[name]
        # A key bias shifts every score of a query alike, so its gradient is exactly zero but for rounding.
        assert torch.equal(parameter, value) != moves or name.endswith("key.bias"), name
    assert not torch.allclose(vectors(model), before, atol=1e-3)


def test_the_adapter_is_its_formula() -> None:
    adapter = Adapter(nn.Linear(5, 4), 2)
    nn.init.normal_(adapter.up.weight)
    x = torch.randn(3, 7, 5)
    h = adapter.base(x)
    inner = nn.functional.gelu(h @ adapter.down.weight.T + adapter.down.bias)
    torch.testing.assert_close(adapter(x), h + inner @ adapter.up.weight.T + adapter.up.bias)


def test_a_feature_map_is_adapted_pixel_by_pixel() -> None:
    adapter = Adapter(nn.Conv2d(3, 4, 3, padding=1), 2)
    nn.init.normal_(adapter.up.weight)
    x = torch.randn(2, 3, 5, 6)
    conv = lambda layer: lambda h: nn.functional.conv2d(h, layer.weight[..., None, None], layer.bias)  # noqa: E731
    h = adapter.base(x)
    torch.testing.assert_close(adapter(x), h + conv(adapter.up)(nn.functional.gelu(conv(adapter.down)(h))))


@pytest.mark.parametrize(
    ("name", "target"), [("tf_efficientnet_lite0", "bn3"), ("vit_tiny_patch16_224", ["attn.proj", "mlp.fc2"])]
)
def test_timm_blocks_take_adapters_by_name_and_keep_their_statistics(name: str, target: str) -> None:
    size = {"img_size": 32, "depth": 2} if "vit" in name else {}
    model = timm.create_model(name, num_classes=0, **size).eval()
    x = torch.randn(2, 3, 32, 32)
    before, buffers = model(x), {n: b.clone() for n, b in model.named_buffers()}
    add_adapters(model, 4, target)
    torch.testing.assert_close(model(x), before, atol=0, rtol=0)
    train(model, lambda: model(x))
    after = {n.replace(".base.", "."): b for n, b in model.named_buffers()}
    assert all(torch.equal(after[n], b) for n, b in buffers.items())
    assert not torch.equal(model(x), before)


def test_ia3_equals_pefts() -> None:
    ours = ia3(bert(), ["key", "value"], "layer.*.output.dense")
    feedforward = [f"encoder.layer.{i}.output.dense" for i in range(LAYERS)]
    config = IA3Config(target_modules=["key", "value", *feedforward], feedforward_modules=feedforward)
    theirs = get_peft_model(bert(), config)
    mine = {n.removesuffix(".factor"): p for n, p in ours.named_parameters() if n.endswith(".factor")}
    named = ((n.removeprefix("base_model.model."), p) for n, p in theirs.named_parameters())
    peers = {n.split(".ia3_l.")[0]: p for n, p in named if ".ia3_l." in n}
    assert set(mine) == set(peers)
    for name, factor in mine.items():
        factor.data.uniform_(0.5, 2)
        peers[name].data.copy_(factor.view_as(peers[name]))
    torch.testing.assert_close(vectors(ours), vectors(theirs.eval()), atol=1e-5, rtol=1e-5)


def test_what_a_task_adds_comes_back_from_disk_on_its_own_base_only(tmp_path: Path) -> None:
    model, file = add_adapters(bert(), 3), tmp_path / "task.safetensors"
    train(model, lambda: vectors(model))
    assert save_trainable(model, file) == file.stat().st_size
    fresh = add_adapters(bert(), 3)
    load_trainable(fresh, file)
    assert torch.equal(vectors(fresh), vectors(model))
    other = bert()
    other.embeddings.word_embeddings.weight.data[3, 3] += 1
    with pytest.raises(UserError, match="trained on another base model"):
        load_trainable(add_adapters(other, 3), file)
    with pytest.raises(UserError, match="does not hold what this model trains"):
        load_trainable(add_adapters(bert(), 4), file)


def test_pytorchs_encoder_layers_call_the_adapter_also_on_their_fast_path() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model, x = nn.TransformerEncoder(layer, 2).eval(), torch.randn(2, 3, 8)
    padded = torch.tensor([[False, False, True], [False, False, False]])
    with torch.no_grad():
        before = model(x)
        add_adapters(model, 2, "linear2")
        torch.testing.assert_close(model(x), before, atol=1e-5, rtol=1e-5)
        for module in model.modules():
            if isinstance(module, Adapter):
                nn.init.normal_(module.up.weight)
        assert (model(x) - before).abs().max() > 0.1
        for mask in (None, padded):
            with torch.enable_grad():
                slow = model(x, src_key_padding_mask=mask)
            out = model(x, src_key_padding_mask=mask)
            real = torch.ones_like(padded) if mask is None else ~mask
            torch.testing.assert_close(out[real], slow[real], atol=1e-5, rtol=1e-5)
    for prepare in (lambda m: add_adapters(m, 2, "out_proj"), lambda m: ia3(m, "out_proj", "linear2")):
        with pytest.raises(UserError, match=r"out_proj is read by nn.MultiheadAttention"):
            prepare(nn.TransformerEncoderLayer(8, 2, 16))


def test_rms_norms_learn_as_layer_norms_do_under_every_name() -> None:
    llama = LlamaModel(LlamaConfig(vocab_size=40, hidden_size=D, intermediate_size=INNER, num_attention_heads=2, num_hidden_layers=2))  # fmt: skip # noqa: E501
    timms = timm.layers.RmsNorm(4)
    plain = nn.Sequential(nn.Linear(4, 4), nn.RMSNorm(4), timms, nn.BatchNorm1d(4))
    for model, target, norms in ((llama, ["o_proj", "down_proj"], 5), (plain, "0", 2)):
        add_adapters(model, 2, target)
        learning = {n for n, p in model.named_parameters() if p.requires_grad and ".down." not in n and ".up." not in n}
        assert len(learning) == norms, learning
    adapter = Adapter(nn.RMSNorm(4), 2)
    assert adapter.down.in_features == 4


def test_biases_of_attention_and_recurrent_layers_are_biases() -> None:
    model = bitfit(nn.ModuleList([nn.MultiheadAttention(4, 2, add_bias_kv=True), nn.LSTM(3, 4)]))
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    assert learning == {"0.in_proj_bias", "0.out_proj.bias", "0.bias_k", "0.bias_v", "1.bias_ih_l0", "1.bias_hh_l0"}


def test_gpt2s_transposed_layers_take_adapters_and_scales() -> None:
    make = lambda: GPT2Model(GPT2Config(vocab_size=40, n_embd=D, n_layer=2, n_head=2, n_positions=16)).eval()  # noqa: E731
    for model in (add_adapters(make(), 3, "c_proj"), ia3(make(), "c_attn", "mlp.c_proj")):
        before = vectors(model)
        train(model, lambda model=model: vectors(model))
        assert not torch.allclose(vectors(model), before, atol=1e-3)


def test_beside_half_precision_the_new_parts_are_float32() -> None:
    for prepare in (lambda m: add_adapters(m, 3), lambda m: ia3(m, ["key", "value"], "layer.*.output.dense")):
        model = prepare(bert().bfloat16())
        assert vectors(model).dtype == torch.bfloat16
        new = {p.dtype for n, p in model.named_parameters() if any(part in n for part in (".down.", ".up.", "factor"))}
        assert new == {torch.float32}


def test_a_module_used_twice_is_adapted_in_both_places() -> None:
    layer = nn.Linear(4, 4)
    model = add_adapters(nn.Sequential(layer, nn.Tanh(), layer), 2, "0")
    assert model[0] is model[2] and isinstance(model[0], Adapter)


@pytest.mark.parametrize("bottleneck", [0, D + 1])
def test_a_bottleneck_that_does_not_fit_is_refused(bottleneck: int) -> None:
    with pytest.raises(UserError, match=rf"bottleneck = {bottleneck} does not fit .*dense of width 16: use 1 to 16"):
        add_adapters(bert(), bottleneck)


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(UserError, match="closest names are"):
        add_adapters(bert(), 2, "mlp.fc2")
    with pytest.raises(UserError, match="has adapters already"):
        add_adapters(add_adapters(bert(), 2), 2)
    with pytest.raises(UserError, match="no biases"):
        bitfit(nn.Linear(3, 3, bias=False))
    with pytest.raises(UserError, match="matched by both outputs and inputs"):
        ia3(bert(), ["key", "output.dense"], "layer.*.output.dense")
