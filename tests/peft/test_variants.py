"""DoRA, PiSSA, LoRA+, rank-stabilised scaling, dropout and mixed batches, each against peft or written out."""

import copy
import math
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from transferlib.backbones.modules import count_parameters, find_modules, linear_kinds
from transferlib.errors import UserError
from transferlib.peft.adapters import add_adapters
from transferlib.peft.files import load_lora, save_lora
from transferlib.peft.ia3 import ia3
from transferlib.peft.lora import LoRA, activate_lora, add_lora, lora_layers, merge_lora, unload_lora
from transferlib.peft.prompts import Prefix, SoftPrompt
from transferlib.peft.variants import DoRA, PiSSA, lora_plus, per_row

SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
BASES = {
    "linear": lambda: nn.Sequential(nn.Linear(12, 20)),
    "without bias": lambda: nn.Sequential(nn.Linear(12, 20, bias=False)),
    "convolution": lambda: nn.Sequential(nn.Conv2d(4, 8, 3, padding=1)),
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def inputs(base: nn.Module) -> torch.Tensor:
    return torch.randn(2, 4, 9, 9) if isinstance(base[0], nn.Conv2d) else torch.randn(5, 12)


def twins(make: Any, **options: Any) -> tuple[nn.Module, Any, nn.Module]:
    """Ours and peft's on one base, with the same factors; and the base."""
    base = make()
    kind = DoRA if options.get("use_dora") else PiSSA if options.get("init_lora_weights") == "pissa" else None
    ours = add_lora(copy.deepcopy(base), 3, 6, "0", rank_stabilised=options.get("use_rslora", False),
                    **({"kind": kind} if kind else {}))  # fmt: skip
    theirs = get_peft_model(copy.deepcopy(base), LoraConfig(r=3, lora_alpha=6, target_modules=["0"], **options))
    return ours, theirs, base


def give(ours: nn.Module, theirs: Any) -> Any:
    """The same learned factors in both; returns peft's layer."""
    inner, own = theirs.base_model.model[0], ours[0].own("default")
    for part in ("a", "b"):
        peer = inner.lora_A if part == "a" else inner.lora_B
        own[part].data += 0.1 * torch.randn_like(own[part])
        peer["default"].weight.data.copy_(own[part].view_as(peer["default"].weight))
    return inner


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("options", [{"use_rslora": True}, {"use_dora": True}], ids=["rank-stabilised", "dora"])
def test_output_gradients_and_merged_weight_equal_pefts(base: str, options: dict[str, Any]) -> None:
    ours, theirs, plain = twins(BASES[base], **options)
    x = inputs(plain)
    torch.testing.assert_close(ours(x), plain(x), atol=1e-6, rtol=1e-6)
    inner = give(ours, theirs)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    own = ours[0].own("default")
    pairs = [(own["a"], inner.lora_A["default"].weight), (own["b"], inner.lora_B["default"].weight)]
    if "magnitude" in own:
        pairs.append((own["magnitude"], inner.lora_magnitude_vector["default"].weight))
    assert all(p.requires_grad for p, _ in pairs)
    for mine, peer in pairs:
        torch.testing.assert_close(mine.grad, peer.grad.view_as(mine), atol=2e-3, rtol=1e-4)
    out = ours(x)
    merge_lora(ours)
    torch.testing.assert_close(ours(x), out, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(unload_lora(ours)[0].weight, theirs.merge_and_unload()[0].weight, atol=1e-5, rtol=1e-5)


def test_rank_stabilised_divides_by_the_root_of_the_rank() -> None:
    layer = lora_layers(add_lora(nn.Sequential(nn.Linear(20, 20)), 9, 6, "0", rank_stabilised=True))["0"]
    assert layer.active["default"] == pytest.approx(6 / math.sqrt(9))


def test_pissa_starts_at_the_largest_singular_values_and_learns_as_pefts() -> None:
    ours, theirs, base = twins(BASES["linear"], init_lora_weights="pissa")
    x, layer = torch.randn(5, 12), ours[0]
    torch.testing.assert_close(ours(x), base(x), atol=1e-6, rtol=1e-6)
    values = torch.linalg.svdvals(base[0].weight.detach())
    start = 2 * layer.b["default"] @ layer.a["default"]
    torch.testing.assert_close(torch.linalg.svdvals(start.detach())[:3], values[:3], atol=1e-5, rtol=1e-5)
    inner = theirs.base_model.model[0]
    torch.testing.assert_close(2 * inner.lora_B["default"].weight @ inner.lora_A["default"].weight, start, atol=1e-5, rtol=1e-5)  # fmt: skip # noqa: E501
    assert torch.equal(layer.base.weight, base[0].weight) and not torch.equal(inner.base_layer.weight, base[0].weight)
    signs = (inner.lora_A["default"].weight * layer.a["default"]).sum(1).sign()  # of a singular vector nobody knows
    for x in torch.randn(3, 5, 12):
        for model in (ours, theirs):
            model.zero_grad()
            model(x).square().sum().backward()
            with torch.no_grad():
                for p in model.parameters():
                    if p.requires_grad:
                        p -= 0.01 * p.grad
    torch.testing.assert_close(layer.a["default"] * signs[:, None], inner.lora_A["default"].weight, atol=1e-4, rtol=1e-4)  # fmt: skip # noqa: E501
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)
    assert count_parameters(ours)[0] == 3 * (12 + 20), "the start itself does not learn"


@pytest.mark.parametrize("kind", [DoRA, PiSSA])
def test_the_forms_come_back_from_disk_and_merge_back_bit_by_bit(kind: Any, tmp_path: Any) -> None:
    base = nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 6))
    model, x = add_lora(copy.deepcopy(base), 3, 6, ["0", "2"], kind=kind), torch.randn(5, 12)
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p) if p.requires_grad else 0
    save_lora(model, tmp_path / "task.safetensors")
    fresh = copy.deepcopy(base)
    load_lora(fresh, tmp_path / "task.safetensors")
    assert torch.equal(fresh(x), model(x)) and type(fresh[0]) is kind
    assert not torch.allclose(model(x), base(x), atol=1e-3)
    merge_lora(model)
    activate_lora(model, None)
    assert torch.equal(model(x), base(x))
    with pytest.raises(UserError, match=f"0 has a {kind.__name__} already: a LoRA cannot stand beside it"):
        add_lora(model, 2, 4, "0", "plain")


def test_lora_plus_gives_the_rates_that_peft_gives() -> None:
    make = lambda: nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 2))  # noqa: E731
    ours = add_lora(make(), 2, 4, ["0", "2"])
    groups = lora_plus(ours, lr=1e-3, ratio=8)
    theirs = get_peft_model(make(), LoraConfig(r=2, target_modules=["0", "2"]))
    optimiser = create_loraplus_optimizer(theirs, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=8)
    peers = {tuple(p.shape): g["lr"] for g in optimiser.param_groups for p in g["params"]}
    mine = {tuple(p.shape): g["lr"] for g in groups for p in g["params"]}
    assert mine == pytest.approx(peers) and mine[2, 6] == 1e-3
    assert sum(len(g["params"]) for g in groups) == 4
    with pytest.raises(UserError, match="has no LoRA"):
        lora_plus(make())


def test_dropout_is_pefts_and_off_in_eval_mode() -> None:
    for make in BASES.values():
        base = make()
        ours = add_lora(copy.deepcopy(base), 3, 6, "0", dropout=0.5)
        theirs = get_peft_model(copy.deepcopy(base), LoraConfig(r=3, lora_alpha=6, target_modules=["0"], lora_dropout=0.5))  # fmt: skip # noqa: E501
        give(ours, theirs)
        x = inputs(base)
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), atol=1e-5, rtol=1e-5)
        outs = []
        for model in (ours.train(), theirs.train()):
            torch.manual_seed(3)
            outs.append(model(x))
        torch.testing.assert_close(*outs, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(outs[0], ours.eval()(x), atol=1e-3)


MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(vocab_size=40, **SIZE)),
    "bert": lambda: BertForSequenceClassification(BertConfig(vocab_size=40, **SIZE)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=16)),
}


@pytest.mark.parametrize("name", MODELS)
def test_all_linear_means_what_it_means_in_peft(name: str) -> None:
    model = MODELS[name]()
    task = "SEQ_CLS" if name == "bert" else "CAUSAL_LM"
    theirs = get_peft_model(copy.deepcopy(model), LoraConfig(target_modules="all-linear", task_type=task))
    assert set(theirs.targeted_module_names) == set(find_modules(model, "all-linear", linear_kinds()))
    ours = add_lora(model, 4, 8, "all-linear", name="a", heads=())
    assert set(lora_layers(ours)) == set(theirs.targeted_module_names)
    add_lora(ours, 2, 8, "all-linear", name="b")
    assert all(list(layer.a) == ["a", "b"] for layer in lora_layers(ours).values())


def test_rows_of_one_batch_go_through_their_own_adapters_as_in_peft() -> None:
    model = MODELS["llama"]().eval()
    theirs = get_peft_model(copy.deepcopy(model), LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]), "a")  # fmt: skip # noqa: E501
    theirs.add_adapter("b", LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"]))
    ours = add_lora(add_lora(model, 4, 8, ["q_proj", "v_proj"], "a"), 2, 8, ["q_proj", "v_proj"], "b")
    peers = dict(theirs.named_modules())
    for name, layer in lora_layers(ours).items():
        for adapter in "ab":
            nn.init.normal_(layer.b[adapter], std=0.3)
            peer = peers[f"base_model.model.{name}"]
            peer.lora_A[adapter].weight.data.copy_(layer.a[adapter])
            peer.lora_B[adapter].weight.data.copy_(layer.b[adapter])
    ids, names = torch.arange(1, 16).view(3, 5), ["b", None, "a"]
    with per_row(ours, names), torch.no_grad():
        mixed = ours(ids).logits
    wanted = theirs.eval()(input_ids=ids, adapter_names=["b", "__base__", "a"]).logits
    torch.testing.assert_close(mixed, wanted, atol=1e-5, rtol=1e-5)
    for row, name in enumerate(names):  # and each row is what the model says when all rows take that adapter
        activate_lora(ours, name)
        torch.testing.assert_close(mixed[row], ours(ids).logits[row], atol=1e-5, rtol=1e-5)
    activate_lora(ours, "a")
    before = ours(ids).logits
    with pytest.raises(UserError, match="2 names for a batch of 3 rows"), per_row(ours, ["a", "b"]):
        ours(ids)
    assert torch.equal(ours(ids).logits, before), "an error leaves the model as it was"
    with pytest.raises(UserError, match="no adapter 'c'"), per_row(ours, ["c"]):
        pass
    merge_lora(ours)
    with pytest.raises(UserError, match="cannot mix adapters in one batch: unmerge it"), per_row(ours, ["a"]):
        pass


def test_two_corrections_by_dora_are_not_added_up() -> None:
    model = add_lora(nn.Sequential(nn.Linear(6, 6)), 2, 4, "0", "a", kind=DoRA)
    add_lora(model, 2, 4, "0", "b", kind=DoRA)
    with pytest.raises(UserError, match="DoRA cannot be added up"):
        activate_lora(model, {"a": 0.5, "b": 0.5})


@pytest.mark.parametrize("default", ["device", "precision"])
def test_nothing_depends_on_pytorchs_defaults(default: str, tmp_path: Any) -> None:
    """What forgets its device lands on "meta", where there are no numbers; what forgets its precision is float64."""
    llama = MODELS["llama"]().eval()
    ids, x = torch.arange(1, 11).view(2, 5), torch.randn(5, 12)
    base = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 12))
    torch.set_default_device("meta") if default == "device" else torch.set_default_dtype(torch.float64)
    try:
        made = [SoftPrompt(llama, 2)(ids).logits, Prefix(llama, 2)(ids).logits]
        for kind in (LoRA, DoRA, PiSSA):
            model = add_lora(copy.deepcopy(base), 3, 6, ["0", "2"], kind=kind)
            save_lora(model, tmp_path / "task.safetensors")
            load_lora(again := copy.deepcopy(base), tmp_path / "task.safetensors")
            again.load_state_dict(model.state_dict())
            made += [model(x), again(x), *model.parameters()]
        mixed = add_lora(copy.deepcopy(base), 3, 6, ["0"])
        with per_row(mixed, ["default", None, None, "default", None]):
            made.append(mixed(x))
        made += [ia3(copy.deepcopy(base), "0", "2")(x), add_adapters(copy.deepcopy(base), 2, "0")(x)]
        made += list(add_adapters(copy.deepcopy(base), 2, "0").parameters())
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert {(t.device.type, t.dtype) for t in made} == {("cpu", torch.float32)}
