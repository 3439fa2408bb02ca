"""Adapters, BitFit and (IA)³: nothing changes at first, only what should learns, and it comes back from disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from peft import IA3Config, get_peft_model
from torch import nn
from transformers import BertConfig, BertModel

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
