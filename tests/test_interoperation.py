"""Every technique on everybody's models: each cell of the table works, or refuses in one sentence. Nothing is silent.

``python tests/test_interoperation.py`` writes the table of the book's reference.
"""

import copy
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import ResNet, VisionTransformer
from torchvision.models.resnet import BasicBlock
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from transferlib.backbones.freezing import freeze, is_frozen
from transferlib.backbones.modules import replace_module
from transferlib.continual.fisher import fisher
from transferlib.continual.penalties import EWC, snapshot
from transferlib.domains.tent import Tent
from transferlib.errors import UserError
from transferlib.peft.adapters import add_adapters
from transferlib.peft.bitfit import bitfit
from transferlib.peft.files import load_lora, save_lora
from transferlib.peft.ia3 import ia3
from transferlib.peft.lora import add_lora, lora_layers, merge_lora, unload_lora
from transferlib.peft.prompts import Prefix, SoftPrompt
from transferlib.tuning.learning_rates import layer_lrs

TABLE = Path(__file__).resolve().parents[1] / "book" / "reference" / "interoperation.md"
SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
WIDE = {"vocab_size": 24, "initializer_range": 0.3}  # so that attention looks somewhere
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 2, "decoder_start_token_id": 0}
VIT = {"depth": 2, "embed_dim": 16, "num_heads": 2}
RESNET = {"layers": [2, 1, 1, 1], "channels": [8, 8, 16, 16], "stem_width": 8}


def ids() -> Tensor:
    """Two texts of six tokens, on the device that a cell runs on."""
    return torch.arange(1, 13).view(2, 6)


class Model(NamedTuple):
    make: Callable[[], nn.Module]
    target: list[str]  # of LoRA and adapters
    twice: tuple[str, str]  # two layers of one shape
    kind: str  # what goes in: images, ids, or ids of an encoder and a decoder

    def fresh(self) -> nn.Module:
        torch.manual_seed(0)
        model = self.make().eval()
        for module in model.modules():  # a fresh BatchNorm knows nothing that could be lost
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.uniform_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
        for p in model.parameters():
            if p.ndim > 1 and not p.any():  # torchvision starts its head at zero, which scores all classes alike
                nn.init.normal_(p)
        return model

    def run(self, model: nn.Module) -> Tensor:
        """Scores: (N, C) of images and of BERT, (N, L, V) of language models."""
        if self.kind == "images":
            x = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
            return model(x.to(next(model.parameters()).dtype))
        decoder = {"decoder_input_ids": ids()} if self.kind == "two ids" else {}
        return model(input_ids=ids(), **decoder).logits


MODELS = {
    "timm ResNet": Model(
        lambda: timm.create_model("resnet10t", num_classes=3, **RESNET),
        ["conv2"], ("layer1.0.conv2", "layer1.1.conv2"), "images",
    ),
    "timm ViT": Model(
        lambda: timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=3, **VIT),
        ["attn.proj", "mlp.fc2"], ("blocks.0.attn.proj", "blocks.1.attn.proj"), "images",
    ),
    "torchvision ViT": Model(
        lambda: VisionTransformer(32, 16, 2, 2, 16, 32, num_classes=3), ["mlp.0", "mlp.3"],
        ("encoder.layers.encoder_layer_0.mlp.0", "encoder.layers.encoder_layer_1.mlp.0"), "images",
    ),
    "torchvision ResNet": Model(
        lambda: ResNet(BasicBlock, [2, 1, 1, 1], num_classes=3), ["conv2"],
        ("layer1.0.conv2", "layer1.1.conv2"), "images",
    ),
    "BERT": Model(
        lambda: BertForSequenceClassification(BertConfig(num_labels=3, **WIDE, **SIZE)), ["query", "output.dense"],
        ("bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.1.attention.self.query"), "ids",
    ),
    "Llama": Model(
        lambda: LlamaForCausalLM(LlamaConfig(**WIDE, **SIZE)), ["q_proj", "v_proj", "down_proj"],
        ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"), "ids",
    ),
    "GPT-2": Model(
        lambda: GPT2LMHeadModel(GPT2Config(**WIDE, **GPT2)), ["c_attn", "mlp.c_proj"],
        ("transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn"), "ids",
    ),
    "T5": Model(
        lambda: T5ForConditionalGeneration(T5Config(vocab_size=24, **T5)), ["q", "v", "wo"],
        ("encoder.block.0.layer.0.SelfAttention.q", "encoder.block.1.layer.0.SelfAttention.q"), "two ids",
    ),
}  # fmt: skip


class DoesNotApply(Exception):  # noqa: N818
    """This use has no meaning for this model."""


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a.float(), b.float(), atol=2e-5, rtol=2e-4)


def step(model: nn.Module, run: Callable[[nn.Module], Tensor], rate: float = 0.05) -> nn.Module:
    """Two steps of training that move everything that may move."""
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=rate)
    for _ in range(2):
        model.train()
        optimiser.zero_grad()
        scores = run(model).float()
        (scores * torch.linspace(-1, 1, scores.numel()).view(scores.shape)).sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in learning)
        optimiser.step()
    return model.eval()


def learns_only_the_new(case: Model, prepare: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """``prepare`` changes nothing at first; then what may move does, and no other tensor, buffers included."""
    model = case.fresh()
    before = case.run(model)
    prepare(model)
    close(case.run(model), before)
    moving = {id(p) for p in model.parameters() if p.requires_grad}
    held = {n: t.clone() for n, t in model.state_dict(keep_vars=True).items() if id(t) not in moving}
    assert moving and held
    step(model, case.run)
    assert all(torch.equal(t, held[n]) for n, t in model.state_dict().items() if n in held)
    assert (case.run(model) - before).abs().max() > 1e-3
    return model


def lora(model: nn.Module, case: Model) -> nn.Module:
    return add_lora(model, 2, 4, case.target)


def use_freeze(case: Model) -> None:
    model = case.fresh()
    kinds, before, state = [type(m) for m in model.modules()], case.run(model), copy.deepcopy(model.state_dict())
    still = case.run(freeze(model))
    assert is_frozen(model.train()) and kinds == [type(m) for m in model.modules()]
    assert torch.equal(case.run(model), still) and all(torch.equal(t, state[n]) for n, t in model.state_dict().items())
    close(still, before)  # attention computes in another order where nothing needs a gradient


def use_layer_lrs(case: Model) -> None:
    model = case.fresh()
    groups = layer_lrs(model, 1.0, 0.5)
    listed = [id(p) for g in groups for p in g["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters()) and len(groups) >= 4
    assert [g["lr"] for g in groups] == sorted((g["lr"] for g in groups), reverse=True)


def use_lora(case: Model) -> None:
    learns_only_the_new(case, lambda model: lora(model, case))


def use_adapters(case: Model) -> None:
    learns_only_the_new(case, lambda model: add_adapters(model, 2, case.target))


def use_bitfit(case: Model) -> None:
    learns_only_the_new(case, bitfit)


def use_ia3(case: Model) -> None:
    learns_only_the_new(case, lambda model: ia3(model, case.target[0], case.target[-1]))


def prompted(case: Model, kind: Any) -> None:
    if case.kind == "images":
        raise DoesNotApply
    wrapped = kind(case.fresh(), 3)
    run = lambda model: model(ids()).logits  # noqa: E731
    before = run(wrapped)
    step(wrapped, run)
    assert before.shape == case.run(wrapped.model).shape and not torch.allclose(run(wrapped), before)
    if case.kind == "ids" and hasattr(wrapped.model, "lm_head"):
        assert wrapped(ids(), labels=ids()).loss.isfinite()
        assert wrapped.generate(ids(), max_new_tokens=2, do_sample=False, eos_token_id=None).shape == (2, 8)


def use_soft_prompt(case: Model) -> None:
    prompted(case, SoftPrompt)


def use_prefix(case: Model) -> None:
    prompted(case, Prefix)


def use_save_and_load(case: Model) -> None:
    model, fresh = step(lora(case.fresh(), case), case.run), case.fresh()
    with tempfile.TemporaryDirectory() as folder:
        save_lora(model, Path(folder) / "task.safetensors")
        load_lora(fresh, Path(folder) / "task.safetensors")
    assert torch.equal(case.run(fresh.eval()), case.run(model))


def use_merge_and_unload(case: Model) -> None:
    model = step(lora(case.fresh(), case), case.run)
    tuned = case.run(model)
    merge_lora(model)
    unload_lora(model)
    close(case.run(model), tuned)
    assert list(model.state_dict()) == list(case.fresh().state_dict())
    again = case.fresh()
    if hasattr(model, "save_pretrained"):
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            again = type(model).from_pretrained(folder)
    else:
        again.load_state_dict(model.state_dict())
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in model.state_dict().items())
    close(case.run(again.eval()), tuned)


def use_deepcopy(case: Model) -> None:
    model = step(lora(case.fresh(), case), case.run)
    before, twin = case.run(model), copy.deepcopy(model)
    assert torch.equal(case.run(twin), before)
    held = {n: b.clone() for n, b in twin.named_buffers()}
    step(twin, case.run)
    assert torch.equal(case.run(model), before) and not torch.equal(case.run(twin), before)
    assert all(torch.equal(b, held[n]) for n, b in twin.named_buffers())


def use_compile(case: Model) -> None:
    model = step(lora(case.fresh(), case), case.run)
    wanted = case.run(model)
    torch._dynamo.reset()
    close(case.run(torch.compile(model, backend="eager")), wanted)


def use_checkpointing(case: Model) -> None:
    model = step(lora(case.fresh(), case), case.run).train()
    twin, calls = copy.deepcopy(model), 0
    if hasattr(twin, "gradient_checkpointing_enable"):
        twin.gradient_checkpointing_enable()

        def counted(run: Callable[..., Any], *args: Any) -> Any:
            nonlocal calls
            calls += 1
            return torch.utils.checkpoint.checkpoint(run, *args, use_reentrant=False)

        for part in twin.modules():
            if hasattr(part, "_gradient_checkpointing_func"):
                part._gradient_checkpointing_func = counted
    elif hasattr(twin, "set_grad_checkpointing"):
        twin.set_grad_checkpointing()
    else:
        raise DoesNotApply
    for net in (model, twin):
        torch.manual_seed(0)  # the head's dropout
        net.zero_grad()
        case.run(net).square().sum().backward()
    assert calls == {"images": 0, "ids": 2, "two ids": 4}[case.kind]
    grads = {n: p.grad for n, p in twin.named_parameters() if p.grad is not None}
    assert grads
    for name, p in model.named_parameters():
        if p.grad is not None:
            close(grads[name], p.grad)


def use_bf16(case: Model) -> None:
    model = lora(case.fresh().bfloat16(), case)
    before = case.run(model)
    step(model, case.run)
    corrections = [p for layer in lora_layers(model).values() for p in layer.own("default").values()]
    assert {p.dtype for p in corrections} == {torch.float32}
    assert before.dtype == torch.bfloat16 and not torch.equal(case.run(model), before)


def use_tied_weights(case: Model) -> None:
    model = case.fresh()
    words = getattr(model, "lm_head", None)
    if words is None or words.weight is not model.get_input_embeddings().weight:
        raise DoesNotApply
    add_lora(model, 2, 4, ["lm_head"])
    step(model, case.run)
    tuned = case.run(model)
    merge_lora(model)
    close(case.run(model), tuned)
    unload_lora(model)


def use_twice(case: Model) -> None:
    model = case.fresh()
    first, second = case.twice
    if first == second:
        raise DoesNotApply
    replace_module(model, second, model.get_submodule(first))
    before = case.run(model)
    add_lora(model, 2, 4, [second])
    close(case.run(model), before)
    step(model, case.run)
    assert len(lora_layers(model)) == 1 and model.get_submodule(first) is model.get_submodule(second)
    tuned = case.run(model)
    assert not torch.allclose(tuned, before)
    merge_lora(model)
    close(case.run(model), tuned)
    close(case.run(unload_lora(model)), tuned)


def use_ewc(case: Model) -> None:
    model = case.fresh()
    x = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32) if case.kind == "images" else ids()
    if case.kind == "two ids":
        raise DoesNotApply  # a model of two inputs
    ewc = EWC(model, fisher(model, x), snapshot(model), 1.0)
    assert ewc.penalty(model).item() == 0
    step(model, case.run)
    assert ewc.penalty(model).item() > 0


def use_tent(case: Model) -> None:
    if case.kind != "images":
        raise DoesNotApply
    model, x = case.fresh(), torch.linspace(-2, 2, 4 * 3 * 32 * 32).sin().view(4, 3, 32, 32)
    before = copy.deepcopy(model.state_dict())
    tent = Tent(model)
    first, again = tent.adapt(x), tent.adapt(x)
    assert again[1] < first[1]
    tent.restore()
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


USES: dict[str, Callable[[Model], None]] = {
    "freeze": use_freeze, "layer_lrs": use_layer_lrs, "LoRA": use_lora, "adapters": use_adapters, "BitFit": use_bitfit,
    "(IA)³": use_ia3, "soft prompt": use_soft_prompt, "prefix": use_prefix, "save → load": use_save_and_load,
    "merge → unload": use_merge_and_unload, "deepcopy": use_deepcopy, "torch.compile": use_compile,
    "gradient checkpointing": use_checkpointing, "bf16": use_bf16, "tied weights": use_tied_weights,
    "a layer used twice": use_twice, "Fisher and EWC": use_ewc, "TENT": use_tent,
}  # fmt: skip


@cache
def outcome(model: str, use: str, device: str = "cpu") -> str:
    """``works``, ``refuses: <the sentence>`` or ``does not apply``; anything else is an error of ours and raised."""
    with warnings.catch_warnings(), torch.device(device):
        warnings.simplefilter("ignore")
        try:
            USES[use](MODELS[model])
        except UserError as error:
            return f"refuses: {error}"
        except DoesNotApply:
            return "does not apply"
    return "works"


def table() -> str:
    """The outcomes as a Markdown table, a row a use; the sentences of refusals stand below it."""
    rows, notes = [], {}
    for use in USES:
        cells = []
        for model in MODELS:
            said = outcome(model, use)
            if said.startswith("refuses: "):
                said = f"refuses ({notes.setdefault(said.removeprefix('refuses: '), len(notes) + 1)})"
            cells.append({"works": "✓", "does not apply": "–"}.get(said, said))
        rows.append(f"| {use} | " + " | ".join(cells) + " |")
    head = [f"| use | {' | '.join(MODELS)} |", "|---" * (len(MODELS) + 1) + "|"]
    return "\n".join([*head, *rows, "", *(f"{i}. {note}" for note, i in notes.items())]) + "\n"


TEXTS, RESNETS = ("BERT", "Llama", "GPT-2", "T5"), ("timm ResNet", "torchvision ResNet")
IMAGES = [name for name in MODELS if name not in TEXTS]
# Every cell that is not "works": the model and the use, and what the sentence says.
REFUSES: dict[tuple[str, str], str] = {
    **{(model, "(IA)³"): "matches no Linear" for model in RESNETS},
    **{(model, "BitFit"): "has no biases to train" for model in ("Llama", "T5")},
    **{
        ("T5", use): "not an encoder or a causal language model with a fixed window"
        for use in ("soft prompt", "prefix")
    },
    **{(model, "tied weights"): "shares one weight between it and" for model in ("GPT-2", "T5")},
    **{(model, "Fisher and EWC"): "a Fisher needs logits (N, C)" for model in ("Llama", "GPT-2")},
}
NOT_APPLICABLE = {
    *((model, use) for model in IMAGES for use in ("soft prompt", "prefix", "tied weights")),
    *((model, "tied weights") for model in ("BERT", "Llama")),
    *((model, "gradient checkpointing") for model in ("torchvision ViT", "torchvision ResNet")),
    *((model, "TENT") for model in TEXTS),
    ("T5", "Fisher and EWC"),
}


def cells() -> Iterator[tuple[str, str]]:
    return ((model, use) for model in MODELS for use in USES)


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_GPU)])
@pytest.mark.parametrize(("model", "use"), cells())
def test_each_cell_works_or_refuses_in_a_sentence(model: str, use: str, device: str) -> None:
    said = outcome(model, use, device)
    if wanted := REFUSES.get((model, use)):
        assert said.startswith("refuses: ") and wanted in said and said.endswith("."), said
    else:
        assert said == ("does not apply" if (model, use) in NOT_APPLICABLE else "works")


def test_the_book_prints_this_table() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(), "run `python tests/test_interoperation.py`"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
