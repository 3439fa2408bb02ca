"""peft reads what we write, we read what peft writes, and both compute the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

from transferlib.errors import UserError
from transferlib.peft.interchange import load_peft, save_peft
from transferlib.peft.lora import add_lora, lora_layers
from transferlib.peft.variants import DoRA, PiSSA

IDS = torch.arange(1, 11).view(2, 5)
BERT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "initializer_range": 0.3,
}


def bert() -> nn.Module:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(vocab_size=40, **BERT)).eval()


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=40,
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=16,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=1,
    )
    return GPT2LMHeadModel(config).eval()


def images() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5)).eval()


def out(model: nn.Module) -> torch.Tensor:
    inner = model.base_model.model if isinstance(model, PeftModel) else model
    if isinstance(inner, nn.Sequential):
        return model(torch.linspace(-1, 1, 96).view(2, 3, 4, 4))
    return model(input_ids=IDS).logits


def shaken(model: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for p in model.parameters():
        if p.requires_grad:
            p.data += 0.1 * torch.randn_like(p)
    return model.eval()


CASES: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
    "bert with its head": (bert, ["query", "output.dense"], {}, {"modules_to_save": ["classifier"]}),
    "rank-stabilised": (bert, ["query", "value"], {"rank_stabilised": True, "heads": ()}, {"use_rslora": True}),
    "dora": (bert, ["query", "value"], {"kind": DoRA, "heads": ()}, {"use_dora": True}),
    "gpt2": (gpt2, ["c_attn", "mlp.c_fc"], {}, {"fan_in_fan_out": True}),
    "gpt2 dora": (gpt2, ["c_attn"], {"kind": DoRA}, {"fan_in_fan_out": True, "use_dora": True}),
    "convolution": (images, ["0", "3"], {}, {}),
    "convolution dora": (images, ["0", "3"], {"kind": DoRA}, {"use_dora": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_peft_reads_ours(case: str, tmp_path: Path) -> None:
    make, target, ours, _ = CASES[case]
    model = shaken(add_lora(make(), 4, 6, target, **ours))
    save_peft(model, tmp_path)
    theirs = PeftModel.from_pretrained(make(), str(tmp_path)).eval()
    torch.testing.assert_close(out(theirs), out(model), atol=1e-5, rtol=1e-5)  # two orders of float32 sums
    assert (out(model) - out(make())).abs().max() > 1e-3, "or nothing was learned that could be lost"
    again = make()
    load_peft(again, tmp_path)
    assert torch.equal(out(again), out(model))


@pytest.mark.parametrize("case", CASES)
def test_we_read_pefts(case: str, tmp_path: Path) -> None:
    make, target, _, options = CASES[case]
    theirs = shaken(get_peft_model(make(), LoraConfig(r=4, lora_alpha=6, target_modules=target, **options)))
    theirs.save_pretrained(str(tmp_path))
    model = make()
    assert load_peft(model, tmp_path, "task") == "task"
    torch.testing.assert_close(out(model), out(theirs), atol=1e-5, rtol=1e-5)  # two orders of float32 sums


def test_pissa_leaves_as_a_plain_correction_of_twice_the_rank(tmp_path: Path) -> None:
    model = shaken(add_lora(bert(), 4, 6, "query", kind=PiSSA, heads=()))
    save_peft(model, tmp_path)
    theirs = PeftModel.from_pretrained(bert(), str(tmp_path)).eval()
    torch.testing.assert_close(out(theirs), out(model), atol=1e-5, rtol=1e-5)


def test_layers_of_unlike_rank_and_alpha(tmp_path: Path) -> None:
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["query", "value"], rank_pattern={"value": 2},
                        alpha_pattern={"layer.1.attention.self.value": 9})  # fmt: skip
    theirs = shaken(get_peft_model(bert(), config))
    theirs.save_pretrained(str(tmp_path / "theirs"))
    model = bert()
    load_peft(model, tmp_path / "theirs")
    torch.testing.assert_close(out(model), out(theirs), atol=1e-5, rtol=1e-5)  # two orders of float32 sums
    save_peft(model, tmp_path / "ours")
    back = PeftModel.from_pretrained(bert(), str(tmp_path / "ours")).eval()
    torch.testing.assert_close(out(back), out(theirs), atol=1e-5, rtol=1e-5)  # two orders of float32 sums


def written(tmp_path: Path, **changes: Any) -> Path:
    save_peft(shaken(add_lora(bert(), 2, 4, "query", heads=())), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | changes))
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "holds a IA3, not a LORA"),
        ({"use_qalora": True}, "uses use_qalora, which is not read here"),
        ({"init_lora_weights": "pissa"}, "started as 'pissa', which changes the base"),
    ],
)
def test_what_peft_can_and_we_cannot_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_peft(bert(), written(tmp_path, **changes))


def test_other_bad_input_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no adapter_config.json in .*name the folder"):
        load_peft(bert(), tmp_path)
    folder = written(tmp_path)
    with pytest.raises(UserError, match=r"corrects '.*query', which this model does not have"):
        load_peft(images(), folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    first = next(key for key in tensors if "lora_B" in key)
    save_file(tensors | {first: tensors[first] * torch.nan}, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"has NaN or infinity in .*lora_B"):
        load_peft(bert(), folder)
    save_file(tensors | {first: tensors[first][:3]}, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"'b' of shape \(3, 2\), but this model has it as \(16, 2\)"):
        load_peft(bert(), folder)
    with pytest.raises(UserError, match="no adapter 'x' to save"):
        save_peft(add_lora(bert(), 2, 4, "query"), tmp_path, "x")
    grouped = add_lora(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), 1, 2, "0")
    with pytest.raises(UserError, match="0 is a convolution in groups"):
        save_peft(grouped, tmp_path)
    assert lora_layers(grouped)
