"""LoRA against peft, against its own merged weight, and against the bits it must not touch."""

import copy
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from transferlib.backbones.modules import count_parameters
from transferlib.errors import UserError
from transferlib.peft.files import base_state
from transferlib.peft.lora import LoRA, activate_lora, add_lora, lora_layers, merge_lora, unload_lora, unmerge_lora

CONVS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_size": 3, "padding": 1},
    "stride": {"kernel_size": 5, "stride": 2},
    "one-by-one": {"kernel_size": 1},
    "dilation": {"kernel_size": 3, "dilation": 2, "padding": 2},
    "same": {"kernel_size": 3, "dilation": 2, "padding": "same"},
    "reflect": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    "circular": {"kernel_size": 3, "padding": 2, "padding_mode": "circular"},
    "groups": {"kernel_size": 3, "padding": 1, "groups": 2},
    "depthwise": {"kernel_size": 3, "padding": 1, "groups": 8},
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def bert() -> BertModel:
    size = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    return BertModel(BertConfig(vocab_size=40, max_position_embeddings=12, **size)).eval()


def llama() -> LlamaForCausalLM:
    size = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, num_key_value_heads=1, tie_word_embeddings=True, **size)).eval()


def shake(model: nn.Module, name: str = "default") -> None:
    """Pretend that training happened: B is no longer zero."""
    for layer in lora_layers(model).values():
        if name in layer.b:
            nn.init.normal_(layer.b[name], std=0.5)


def bits(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in base_state(model).items()}


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def step(model: nn.Module, x: torch.Tensor, lr: float = 0.1) -> None:
    model.train()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)
    model(x).square().mean().backward()
    optimiser.step()
    model.eval()


# --- peft as the oracle


@pytest.mark.parametrize("make", [lambda: nn.Linear(12, 20), lambda: nn.Linear(12, 20, bias=False), lambda: nn.Conv2d(4, 8, 3, padding=1), lambda: nn.Conv2d(4, 8, 3, stride=2)])  # fmt: skip # noqa: E501
def test_output_gradient_and_merged_weight_equal_pefts(make: Any) -> None:
    base = nn.Sequential(make())
    ours = add_lora(copy.deepcopy(base), rank=3, alpha=6, target="0")
    theirs = get_peft_model(copy.deepcopy(base), LoraConfig(r=3, lora_alpha=6, target_modules=["0"]))
    shake(ours)
    inner = theirs.base_model.model[0]
    inner.lora_A["default"].weight.data.copy_(ours[0].a["default"].view_as(inner.lora_A["default"].weight))
    inner.lora_B["default"].weight.data.copy_(ours[0].b["default"].view_as(inner.lora_B["default"].weight))
    x = torch.randn(5, 12) if isinstance(base[0], nn.Linear) else torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    for mine, peer in ((ours[0].a, inner.lora_A), (ours[0].b, inner.lora_B)):
        grad = peer["default"].weight.grad.view_as(mine["default"])
        torch.testing.assert_close(mine["default"].grad, grad, atol=1e-3, rtol=1e-5)
    merge_lora(ours)
    merged = theirs.merge_and_unload()[0].weight
    torch.testing.assert_close(ours[0].base.weight, merged, atol=1e-5, rtol=1e-5)


def test_a_is_drawn_as_peft_draws_it_and_b_is_zero() -> None:
    layer = LoRA(nn.Linear(400, 30), rank=20, alpha=1)
    assert count_parameters(layer) == (20 * 430, 20 * 430 + 12030), "the layer itself is frozen"
    assert layer.a["default"].detach().abs().max() <= 1 / 400**0.5
    assert layer.a["default"].detach().var() == pytest.approx(1 / (3 * 400), rel=0.05)
    assert not layer.b["default"].any()


def test_the_published_snippet_counts_what_we_count() -> None:
    theirs = get_peft_model(llama(), LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]))
    ours = add_lora(llama(), rank=8, alpha=16, target=["q_proj", "v_proj"])
    assert count_parameters(ours) == theirs.get_nb_trainable_parameters()


# --- every convolution: what runs is what is merged


@pytest.mark.parametrize("kind", CONVS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_convolution_with_lora_is_the_convolution_with_the_written_out_weight(kind: str, channels_last: bool) -> None:
    base = nn.Conv2d(8, 8, **CONVS[kind])
    weight = base.weight.detach().clone()
    layer = LoRA(base, rank=2, alpha=3)
    nn.init.normal_(layer.b["default"])
    x = torch.randn(2, 8, 9, 9)
    if channels_last:
        layer, x = layer.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    plain = nn.Conv2d(8, 8, **CONVS[kind])
    delta = torch.einsum("or,ri->oi", layer.b["default"], layer.a["default"]) * 1.5  # alpha / rank
    plain.weight.data = weight + delta.detach().reshape(weight.shape)
    plain.bias = base.bias
    out = layer(x)
    torch.testing.assert_close(out, plain(x), atol=1e-5, rtol=1e-5)
    layer.merge()
    torch.testing.assert_close(layer(x), out, atol=1e-5, rtol=1e-5)
    layer.unmerge()
    assert torch.equal(layer.base.weight, weight)


@pytest.mark.parametrize("kind", ["plain", "depthwise"])
def test_the_correction_has_the_rank_it_was_given(kind: str) -> None:
    layer = LoRA(nn.Conv2d(8, 8, **CONVS[kind]), rank=2, alpha=1)
    nn.init.normal_(layer.b["default"])
    delta = (layer.weight - layer.base.weight).detach()
    assert torch.linalg.matrix_rank(delta.reshape(8, -1), tol=1e-5) == 2


# --- what must not change


@pytest.mark.parametrize("target", ["query", "layer.*.output.dense", ["query", "intermediate.dense"]])
def test_nothing_changes_at_the_start(target: Any) -> None:
    model, ids = bert(), torch.randint(0, 40, (3, 7))
    before = model(ids).last_hidden_state
    assert torch.equal(add_lora(model, 4, 8, target)(ids).last_hidden_state, before)


def test_merge_and_unmerge_a_hundred_times_return_the_original_bits_and_keep_tied_weights_tied() -> None:
    model, ids = llama(), torch.randint(0, 40, (2, 5))
    before, plain = bits(model), model(ids).logits
    add_lora(model, 4, 8, ["lm_head", "q_proj"])
    shake(model)
    tuned = model(ids).logits
    assert not torch.allclose(tuned, plain)
    for _ in range(100):
        merge_lora(model)
        unmerge_lora(model)
    assert same_bits(bits(model), before)
    merge_lora(model)
    merge_lora(model)  # a second merge adds nothing
    torch.testing.assert_close(model(ids).logits, tuned, atol=1e-5, rtol=1e-5)
    assert same_bits(bits(model), before), "the base is known while it is merged, the embedding did not move"
    unmerge_lora(model)
    assert model.lm_head.base.weight is model.model.embed_tokens.weight
    activate_lora(model, None)
    assert torch.equal(model(ids).logits, plain)


def test_frozen_weights_and_batchnorm_buffers_keep_their_bits_while_the_adapter_learns() -> None:
    model = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    before = bits(model)
    add_lora(model, 2, 4, ["conv_pw", "conv_dw", "conv_pwl"])
    x = torch.randn(2, 3, 32, 32)
    plain = model.eval()(x)
    step(model, x)
    assert same_bits(bits(model), before)
    assert not torch.equal(model(x), plain)


def test_timm_transformers_work_by_pattern() -> None:
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=0).eval()
    x = torch.randn(2, 3, 32, 32)
    before = model(x)
    add_lora(model, 4, 8, ["blocks.*.attn.qkv", "mlp.fc1"])
    assert torch.equal(model(x), before)
    assert count_parameters(model)[0] == 2 * 4 * ((192 + 576) + (192 + 768))


def test_trainable_parameters_follow_the_formula() -> None:
    model = nn.Sequential(nn.Linear(12, 20), nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
    add_lora(model, 3, 6, ["0", "1", "2"])
    assert count_parameters(model)[0] == 3 * (12 + 20) + 3 * (4 * 9 + 8) + 3 * (9 + 8)


# --- several adapters on one backbone


def test_two_adapters_switch_without_leaking_and_compose() -> None:
    model, ids = bert(), torch.randint(0, 40, (3, 7))
    run = lambda: model(ids).last_hidden_state  # noqa: E731
    plain = run()
    add_lora(model, 4, 8, ["query", "value"], name="a")
    shake(model, "a")
    only_a = run()
    add_lora(model, 2, 8, ["value", "key"], name="b")
    assert torch.equal(run(), plain), "a new adapter is the active one, and starts from the plain model"
    shake(model, "b")
    only_b = run()
    trained = count_parameters(model)[0]
    assert trained == 2 * 2 * 2 * 32
    for name, expected in (("a", only_a), ("b", only_b), (None, plain), ("a", only_a)):
        activate_lora(model, name)
        assert torch.equal(run(), expected)
    activate_lora(model, {"a": 0.5, "b": 2.0})
    layers, base = lora_layers(model), base_state(model)
    for name, layer in layers.items():
        shares = ((n, share) for n, share in (("a", 0.5), ("b", 2.0)) if n in layer.a)
        delta = sum(share * 8 / len(layer.a[n]) * layer.b[n] @ layer.a[n] for n, share in shares)
        torch.testing.assert_close(layer.weight, base[f"{name}.weight"] + delta)
    both = run()
    merge_lora(model)
    torch.testing.assert_close(run(), both, atol=1e-5, rtol=1e-5)
    activate_lora(model, "b")  # switching while merged must not mix the two
    assert torch.equal(run(), only_b)


def test_training_one_adapter_leaves_the_other_bit_identical() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    add_lora(model, 2, 4, ["0", "2"], name="a")
    shake(model, "a")
    add_lora(model, 2, 4, ["0", "2"], name="b")
    before = {n: p.clone() for n, p in model.named_parameters() if ".a.a" in n or ".b.a" in n}
    assert len(before) == 4
    step(model, torch.randn(8, 6))
    after = dict(model.named_parameters())
    assert all(torch.equal(after[n], p) for n, p in before.items())
    assert after["0.b.b"].any()


# --- taking it off again


@pytest.mark.parametrize("merged", [True, False])
def test_unloading_gives_the_plain_model_back_which_saves_and_loads_as_such(merged: bool, tmp_path: Path) -> None:
    plain, ids = llama(), torch.randint(0, 40, (2, 5))
    model = add_lora(copy.deepcopy(plain), 4, 8, ["q_proj", "v_proj"])
    shake(model)
    wanted = model(ids).logits if merged else plain(ids).logits
    if merged:
        merge_lora(model)
    assert unload_lora(model) is model
    assert list(model.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(model(ids).logits, wanted, atol=1e-5, rtol=1e-5)
    model.save_pretrained(tmp_path)
    again = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert not llama().load_state_dict(model.state_dict()).missing_keys
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_after_unloading_only_one_copy_of_each_weight_is_in_memory() -> None:
    model = add_lora(llama(), 4, 8, "q_proj")
    before = weakref.ref(model.model.layers[0].self_attn.q_proj.base.weight)
    merge_lora(model)
    assert before() is not None, "kept for the way back"
    unload_lora(model)
    gc.collect()
    assert before() is None


def test_a_merged_weight_that_the_plain_model_shares_is_not_unloaded() -> None:
    model = add_lora(llama(), 4, 8, ["lm_head", "q_proj"])
    shake(model)
    merge_lora(model)
    with pytest.raises(UserError, match=r"weight of lm_head would be lost.* and model.embed_tokens: unmerge"):
        unload_lora(model)
    assert len(lora_layers(model)) == 3
    unmerge_lora(model)
    assert list(unload_lora(model).state_dict()) == list(llama().state_dict())


# --- a module, or a weight, in two places


def shared() -> nn.Sequential:
    torch.manual_seed(3)
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(6, 2))


@pytest.mark.parametrize("target", ["0", "2", ["0", "2", "3"]])
def test_a_module_used_twice_is_corrected_in_both_places(target: Any) -> None:
    if isinstance(target, list):
        with pytest.raises(UserError, match="both match the module '0'"):
            add_lora(shared(), 2, 4, target)
        return
    model, x = add_lora(shared(), 2, 4, target), torch.randn(5, 6)
    shake(model)
    assert model[0] is model[2] and isinstance(model[0], LoRA)
    by_hand = shared()
    by_hand[0].weight.data = model[0].weight.detach()
    out = model(x)
    torch.testing.assert_close(out, by_hand(x), atol=1e-6, rtol=1e-6)
    assert same_bits(bits(model), dict(shared().state_dict()))
    merge_lora(model)
    torch.testing.assert_close(model(x), out, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(unload_lora(model)(x), out, atol=1e-6, rtol=1e-6)
    assert model[0] is model[2] and list(model.state_dict()) == list(shared().state_dict())


# --- half precision, alpha, heads, other layers


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("base", [nn.Linear(16, 8), nn.Conv2d(4, 8, 3)], ids=["linear", "convolution"])
def test_beside_half_precision_the_correction_is_float32_as_in_peft(kind: torch.dtype, base: nn.Module) -> None:
    ours = add_lora(nn.Sequential(copy.deepcopy(base)).to(kind), 4, 8, "0")
    theirs = get_peft_model(nn.Sequential(copy.deepcopy(base)).to(kind), LoraConfig(r=4, lora_alpha=8, target_modules=["0"]))  # fmt: skip # noqa: E501
    shake(ours)
    inner, layer = theirs.base_model.model[0], ours[0]
    for mine, peer in ((layer.a, inner.lora_A), (layer.b, inner.lora_B)):
        peer["default"].weight.data.copy_(mine["default"].view_as(peer["default"].weight))
        assert mine["default"].dtype == peer["default"].weight.dtype == torch.float32
    x = torch.randn(5, 16) if isinstance(base, nn.Linear) else torch.randn(2, 4, 5, 5)
    out, peers = ours(x.to(kind)), theirs(x.to(kind))
    assert out.dtype == kind
    torch.testing.assert_close(out, peers, atol=0.02, rtol=0.01)
    merge_lora(ours)
    torch.testing.assert_close(ours(x.to(kind)), out, atol=0.05, rtol=0.02)


def test_fp16_trains_through_its_first_steps() -> None:
    torch.manual_seed(0)
    model = add_lora(nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4)).half(), 4, 8, ["0", "2"])
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)  # its ε is 0 in fp16
    x, losses = torch.randn(64, 32).half(), []
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(x).float(), torch.arange(64) % 4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.01


def test_alpha_travels_in_the_state_dict() -> None:
    model, x = add_lora(nn.Sequential(nn.Linear(6, 6)), 2, 12, "0"), torch.randn(3, 6)
    shake(model)
    other = add_lora(copy.deepcopy(unload_lora(copy.deepcopy(model))), 2, 4, "0")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))


class Probe(nn.Module):
    """A backbone and a new head, as the strategies build it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = nn.Sequential(nn.Linear(6, 6), nn.Tanh()), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x))


def test_a_new_head_learns_beside_lora_unless_told_otherwise() -> None:
    model = add_lora(Probe(), 2, 4, "backbone.0")
    start = model.head.weight.clone()
    step(model, torch.randn(8, 6))
    assert not torch.equal(model.head.weight, start)
    assert count_parameters(add_lora(Probe(), 2, 4, "backbone.0", heads=()))[0] == 2 * 12
    assert count_parameters(add_lora(Probe(), 2, 4, "backbone.0", heads="head"))[0] == 2 * 12 + 21
    with pytest.raises(UserError, match=r"'head.weight' learned with the first adapter.* 'b' would change it"):
        add_lora(model, 2, 4, "backbone.0", name="b")
    add_lora(model, 2, 4, "backbone.0", name="b", heads=())
    assert not model.head.weight.requires_grad


def test_gpt2s_transposed_layers_equal_pefts() -> None:
    size = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16}
    base, ids = GPT2LMHeadModel(GPT2Config(vocab_size=40, **size)).eval(), torch.arange(10).view(2, 5)
    ours = add_lora(copy.deepcopy(base), 4, 8, ["c_attn", "mlp.c_proj"])
    theirs = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True))  # fmt: skip # noqa: E501
    shake(ours)
    peers = dict(theirs.named_modules())
    for name, layer in lora_layers(ours).items():
        peers[f"base_model.model.{name}"].lora_A["default"].weight.data.copy_(layer.a["default"])
        peers[f"base_model.model.{name}"].lora_B["default"].weight.data.copy_(layer.b["default"])
    out = ours(ids).logits
    torch.testing.assert_close(out, theirs.eval()(ids).logits, atol=1e-5, rtol=1e-5)
    merge_lora(ours)
    torch.testing.assert_close(unload_lora(ours)(ids).logits, out, atol=1e-5, rtol=1e-5)


def test_pytorchs_attention_reads_the_corrected_weight_and_takes_no_dropout() -> None:
    torch.manual_seed(0)
    model, x = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), torch.randn(2, 3, 8)
    add_lora(model, 2, 4, ["self_attn.out_proj", "linear1"])
    shake(model)
    with torch.no_grad():
        fast = model(x)
        merge_lora(model)
        torch.testing.assert_close(unload_lora(model)(x), fast, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match=r"self_attn.out_proj is read by nn.MultiheadAttention and never called"):
        add_lora(model, 2, 4, "out_proj", dropout=0.1)


# --- bad input


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"target": "q_proj"}, r"'q_proj' matches no LoRA or Linear or Conv2d.*closest names are"),
        ({"target": ["query", "self.query"]}, "both match"),
        ({"target": "LayerNorm"}, "is a LayerNorm"),
        ({"rank": 0, "target": "query"}, r"rank = 0 does not fit .*layer\.0.*query, a 16 × 16 matrix: use 1 ≤"),
        ({"rank": 17, "target": "query"}, "use 1 ≤ rank ≤ 16"),
        ({"target": "query", "name": "a.b"}, "cannot be called 'a.b'"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(kwargs: dict[str, Any], message: str) -> None:
    model = bert()
    with pytest.raises(UserError, match=message):
        add_lora(model, **({"rank": 4} | kwargs))
    assert not lora_layers(model)
    assert all(p.requires_grad for p in model.parameters()), "a refused call freezes nothing"


@pytest.mark.parametrize("second", [{"rank": 3, "name": "b"}, {"rank": 2, "name": "a", "target": ["1", "0"]}])
def test_a_second_adapter_that_is_refused_leaves_the_first_one_alone(second: dict[str, Any]) -> None:
    model = add_lora(nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2)), 2, 4, "0", name="a")
    before = {name: (list(layer.a), dict(layer.active)) for name, layer in lora_layers(model).items()}
    with pytest.raises(UserError):
        add_lora(model, **({"target": ["0", "1"]} | second))
    assert {name: (list(layer.a), layer.active) for name, layer in lora_layers(model).items()} == before
    assert count_parameters(add_lora(model, 2, 4, ["0", "1"], name="b"))[0] == 2 * (12 + 8)


def test_a_layer_that_does_not_fit_refuses_the_layers_before_it_too() -> None:
    fresh = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2))
    with pytest.raises(UserError, match="rank = 3 does not fit 1"):
        add_lora(fresh, 3, 4, ["0", "1"])
    assert all(p.requires_grad for p in fresh.parameters()), "layer 0 fits, but the call was refused"
    model = add_lora(add_lora(fresh, 2, 4, "0", name="a"), 2, 4, "1", name="b")
    with pytest.raises(UserError, match="'b'"):
        add_lora(model, 2, 4, ["0", "1"], name="b")
    assert {name: list(layer.a) for name, layer in lora_layers(model).items()} == {"0": ["a"], "1": ["b"]}


def test_names_that_are_taken_or_unknown() -> None:
    model = add_lora(bert(), 4, 8, "query", name="tweets")
    with pytest.raises(UserError, match="cannot be called 'tweets'"):
        add_lora(model, 4, 8, "query", name="tweets")
    with pytest.raises(UserError, match="no adapter 'tweet': did you mean 'tweets'"):
        activate_lora(model, "tweet")


@pytest.mark.parametrize(("optimiser", "stabilised"), [(torch.optim.Adam, False), (torch.optim.SGD, True)])
def test_the_first_drop_of_the_loss_is_the_same_for_every_rank(optimiser: Any, stabilised: bool) -> None:
    """Adam with alpha / rank; plain gradient descent with alpha / √rank. Chapter 06 derives both."""
    gradient, drops, sizes = torch.randn(96, 96, generator=torch.Generator().manual_seed(0)), {}, {}
    for rank in (1, 4, 16, 64):
        drops[rank], sizes[rank] = [], []
        for seed in range(60 // rank + 4):
            torch.manual_seed(seed)
            net = add_lora(nn.Sequential(nn.Linear(96, 96)), rank, 8, "0", rank_stabilised=stabilised, heads=())
            layer, before = net[0], net[0].weight.detach().clone()
            (gradient * layer.weight).sum().backward()
            optimiser(layer.b.parameters(), lr=1e-3).step()
            change = layer.weight.detach() - before
            drops[rank].append(float(-(gradient * change).sum()))
            sizes[rank].append(float(change.norm()))
    drop, size = ({rank: sum(v) / len(v) for rank, v in table.items()} for table in (drops, sizes))
    for rank in (4, 16, 64):
        assert drop[rank] == pytest.approx(drop[1], rel=0.1)
        if not stabilised:  # the pieces stand nearly at right angles: their sum grows as the root of the rank
            assert size[rank] == pytest.approx(size[1] / rank**0.5, rel=0.25)
