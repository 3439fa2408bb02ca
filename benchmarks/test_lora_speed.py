"""Our LoRA beside peft's and beside full fine-tuning: one training step, its memory, merged inference, taking it off.

The same random networks for all; steps of the ways alternate, so that a busy machine slows all alike.
Processor seconds on one thread.
"""

import copy
import statistics
import time
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from pairs import alternate, seconds
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

from transferlib.peft.lora import add_lora, merge_lora, unload_lora
from transferlib.tuning.cost import step_bytes

ROUNDS, BATCH, LENGTH = 12, 16, 24


NAMES = {
    "bert": "MiniLM-size BERT",
    "vit": "ViT-tiny at 96 pixels",
    "convolutions": "four 3 × 3 convolutions",
}


class Classifier(nn.Module):
    """A BERT body, the mean of its token vectors, and a head."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(384, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.body(input_ids=ids).last_hidden_state.mean(1))


class Patches(nn.Module):
    """A vision transformer, its pooled vector, and a head."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(192, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Pictures(nn.Module):
    """A stack of 3 × 3 convolutions, the mean over pixels, and a head."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


def bert() -> nn.Module:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    return BertModel(config, add_pooling_layer=False).eval()


def vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", img_size=96, num_classes=0).eval()


def convolutions() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*(m for i in range(4) for m in (nn.Conv2d(3 if i == 0 else 64, 64, 3, padding=1), nn.ReLU())))


def ways(kind: str) -> tuple[dict[str, nn.Module], Tensor]:
    if kind == "bert":
        make, wrap, target, x = bert, Classifier, ["query", "value"], torch.randint(1000, 30000, (BATCH, LENGTH))
    elif kind == "vit":
        make, wrap, target, x = vit, Patches, ["qkv", "fc1", "fc2"], torch.randn(BATCH, 3, 96, 96)
    else:
        make, wrap, target, x = convolutions, Pictures, ["2", "4", "6"], torch.randn(BATCH, 3, 24, 24)
    theirs = get_peft_model(make(), LoraConfig(r=8, lora_alpha=16, target_modules=target))
    models = {"ours": add_lora(make(), 8, 16, target), "peft": theirs, "full": make()}
    return {name: wrap(body) for name, body in models.items()}, x


def stepper(model: nn.Module, x: Tensor) -> Callable[[], None]:
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    y = torch.arange(len(x)) % 2

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimiser.step()

    return step


@pytest.mark.parametrize("kind", ["bert", "vit", "convolutions"])
def test_a_step_of_ours_against_peft_and_full(benchmark, tell, beside, kind):
    models, x = ways(kind)
    steps = {name: stepper(model, x) for name, model in models.items()}
    spent = alternate(steps, ROUNDS)
    y = torch.arange(len(x)) % 2
    held = {name: step_bytes(model, x, y) for name, model in models.items()}
    benchmark.pedantic(steps["ours"], rounds=3)
    piece = f"LoRA step, rank 8, {NAMES[kind]}"
    beside(piece, spent, "ours", "peft", "peft", at_most=1.0)
    bytes_of = {name: f"{count / 1e6:.1f} MB" for name, count in held.items()}
    more = held["ours"] / held["peft"]
    tell(f"{piece}: memory", f"peft, {bytes_of['peft']}", more, "× their bytes", bytes_of["ours"], at_most=1.0)
    beside(piece, spent, "ours", "full", "full fine-tuning")
    assert held["ours"] <= held["peft"]


def test_merged_inference_against_the_plain_model(benchmark, beside):
    plain = Classifier(bert()).eval()
    merged = copy.deepcopy(plain)
    add_lora(merged.body, 8, 16, ["query", "value"])
    merge_lora(merged.body)
    x = torch.randint(1000, 30000, (BATCH, LENGTH))
    with torch.no_grad():
        spent = alternate({"merged": lambda: merged(x), "plain": lambda: plain(x)}, 3 * ROUNDS)
        benchmark.pedantic(lambda: merged(x), rounds=3)
    piece = "inference with LoRA merged, MiniLM-size BERT"
    beside(piece, spent, "merged", "plain", "the plain model", at_most=1.02)


def test_taking_lora_off(benchmark, tell):
    """A merged LoRA on every linear layer of a 135-million-parameter model, until the plain model is back."""
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    spent = []

    def merged() -> None:
        add_lora(model, 8, 16, "all-linear")
        merge_lora(model)

    def unload() -> None:
        start = time.process_time()
        unload_lora(model)
        spent.append(time.process_time() - start)

    benchmark.pedantic(unload, setup=merged, rounds=3)
    piece = f"unload a merged LoRA, {millions:.0f} million parameters"
    tell(piece, "one second", statistics.median(spent), "s", seconds(spent), at_most=1.0)
