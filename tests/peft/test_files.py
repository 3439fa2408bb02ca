"""Adapters on disk: they come back bit by bit, and only on the model they were trained on."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from transferlib.backbones.images import image_backbone
from transferlib.errors import UserError
from transferlib.peft.files import base_state, load_lora, load_trainable, save_lora, save_trainable
from transferlib.peft.lora import activate_lora, add_lora, lora_layers, merge_lora
from transferlib.peft.sealed import check_base, fingerprint, read_delta, save_delta
from transferlib.tuning.strategies import partial_fine_tune


def base(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).eval()


def adapted(name: str = "task", alpha: float = 8) -> nn.Module:
    model = add_lora(base(), 2, alpha, ["0", "2"], name=name)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.b[name])
    return model


def test_an_adapter_comes_back_on_a_fresh_base_bit_by_bit(tmp_path: Path) -> None:
    model, x = adapted(alpha=5), torch.randn(4, 6)
    size = save_lora(model, tmp_path / "task.safetensors", "task")
    assert size == (tmp_path / "task.safetensors").stat().st_size < 2000
    fresh = base()
    assert load_lora(fresh, tmp_path / "task.safetensors") == "task"
    assert torch.equal(fresh(x), model(x))
    assert load_lora(fresh, tmp_path / "task.safetensors", name="again") == "again"
    assert torch.equal(fresh(x), model(x))
    activate_lora(fresh, None)
    assert torch.equal(fresh(x), base()(x))


def test_a_merged_model_still_knows_its_base(tmp_path: Path) -> None:
    model = adapted()
    merge_lora(model)
    save_lora(model, tmp_path / "task.safetensors", "task")
    load_lora(base(), tmp_path / "task.safetensors")
    assert fingerprint(base_state(model)) == fingerprint(base().state_dict())


@pytest.mark.parametrize("change", ["weights", "buffer", "shape"])
def test_another_base_model_is_refused_in_one_sentence(tmp_path: Path, change: str) -> None:
    save_lora(adapted(), tmp_path / "task.safetensors", "task")
    other = base(1) if change == "weights" else base()
    if change == "buffer":
        other[1].running_mean[0] += 1e-6
    if change == "shape":
        other[2] = nn.Linear(8, 4)
    with pytest.raises(UserError, match=r"task.safetensors' was trained on another base model \(finger.* [0-9a-f]{8},"):
        load_lora(other, tmp_path / "task.safetensors")
    assert not lora_layers(other)


def test_missing_and_damaged_files_and_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        load_lora(base(), tmp_path / "none.safetensors")
    save_lora(adapted(), tmp_path / "task.safetensors", "task")
    whole = (tmp_path / "task.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a complete safetensors file"):
        load_lora(base(), tmp_path / "half.safetensors")
    with pytest.raises(UserError, match="no adapter 'tasks' to save: did you mean 'task'"):
        save_lora(adapted(), tmp_path / "x.safetensors", "tasks")


def test_the_fingerprint_sees_names_shapes_types_and_the_last_bit() -> None:
    tensors = {"a": torch.ones(2, 3), "b": torch.zeros(1)}
    print_of = fingerprint(tensors)
    assert fingerprint(dict(reversed(tensors.items()))) == print_of
    assert fingerprint({"a": torch.ones(3, 2), "b": torch.zeros(1)}) != print_of
    assert fingerprint({"c": torch.ones(2, 3), "b": torch.zeros(1)}) != print_of
    assert fingerprint({"a": torch.ones(2, 3), "b": torch.zeros(1, dtype=torch.int32)}) != print_of
    assert fingerprint({"a": torch.ones(2, 3), "b": torch.full((1,), 1e-45)}) != print_of
    assert fingerprint({"s": torch.tensor(3)}) != fingerprint({"s": torch.tensor(4)})


def test_any_tensors_can_be_kept_with_facts(tmp_path: Path) -> None:
    own = base().state_dict()
    save_delta(tmp_path / "p.safetensors", {"prompt": torch.arange(6.0).view(2, 3).T}, own, tokens="3")
    tensors, facts = read_delta(tmp_path / "p.safetensors")
    check_base("p.safetensors", facts, own)
    assert torch.equal(tensors["prompt"], torch.arange(6.0).view(2, 3).T)
    assert facts["tokens"] == "3"


def test_a_file_of_version_0_1_without_a_seal_is_still_read_and_a_broken_seal_is_not(tmp_path: Path) -> None:
    file, model = tmp_path / "task.safetensors", adapted()
    save_lora(model, file, "task")
    with safe_open(str(file), framework="pt") as archive:
        known, tensors = archive.metadata(), {name: archive.get_tensor(name) for name in archive.keys()}
    facts = {"base": known["base"], "name": known["name"]}
    save_file(tensors, file, metadata=facts)
    assert load_lora(base(), file) == "task"
    tensors["0.a"][0, 0] += 1e-6
    save_file(tensors, file, metadata={**facts, "seal": "0" * 64})
    with pytest.raises(UserError, match="is damaged"):
        load_lora(base(), file)


class Probe(nn.Module):
    """A backbone and a head with BatchNorm."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
        torch.manual_seed(seed)
        self.head = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x))


def trained(model: nn.Module, steps: int = 3) -> nn.Module:
    torch.manual_seed(1)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(steps):
        model.train()
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(torch.randn(9, 6)), torch.arange(9) % 3).backward()
        optimiser.step()
    return model.eval()


def test_a_head_that_learns_is_saved_with_the_adapter_and_replaces_a_fresh_one(tmp_path: Path) -> None:
    file, x = tmp_path / "task.safetensors", torch.randn(4, 6)
    model = trained(add_lora(Probe(), 2, 4, ["backbone.0", "backbone.2"]))
    save_lora(model, file)
    with safe_open(str(file), framework="pt") as archive:
        names = set(archive.keys())
    assert {"head.0.running_mean", "head.1.weight", "backbone.0.a", "backbone.0.alpha"} <= names
    assert "backbone.1.running_mean" not in names, "the frozen statistics belong to the base"
    fresh = Probe(seed=7).eval().requires_grad_(False)
    load_lora(fresh, file)
    assert torch.equal(fresh(x), model(x))
    again = tmp_path / "again.safetensors"
    save_lora(fresh, again)
    (tensors, facts), (old, known) = read_delta(again), read_delta(file)
    assert facts == known and fingerprint(tensors) == fingerprint(old), "what was loaded is what is saved"
    with pytest.raises(UserError, match=r"brings its own 'head\.[01]\.\w+', which the adapters of this model use"):
        load_lora(fresh, file, name="second")
    assert list(lora_layers(fresh)["backbone.0"].a) == ["default"]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_an_adapter_fits_its_base_in_another_precision_and_no_other_base(tmp_path: Path, kind: torch.dtype) -> None:
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_lora(adapted(), full, "task")
    model = base().to(kind)
    load_lora(model, full)
    assert lora_layers(model)["0"].a["task"].dtype == torch.float32
    save_lora(model, half, "task")
    back = base()
    load_lora(back, half)
    x = torch.randn(4, 6)
    assert torch.equal(back(x), adapted()(x))
    torch.testing.assert_close(model(x.to(kind)).float(), back(x), atol=0.1, rtol=0.1)
    other = base()
    other[0].weight.data[0, 0] *= 1.1
    for wrong, file in ((other, full), (copy.deepcopy(other).to(kind), full), (other, half)):
        with pytest.raises(UserError, match="trained on another base model"):
            load_lora(wrong, file)


def test_nan_is_neither_saved_nor_loaded(tmp_path: Path) -> None:
    file, model = tmp_path / "task.safetensors", adapted()
    lora_layers(model)["0"].b["task"].data[0, 0] = torch.nan
    with pytest.raises(UserError, match=r"What would go into .* has NaN or infinity in '0.b'"):
        save_lora(model, file, "task")
    save_lora(adapted(), file, "task")
    with safe_open(str(file), framework="pt") as archive:
        known, tensors = archive.metadata(), {name: archive.get_tensor(name) for name in archive.keys()}
    tensors["2.a"][0, 0] = torch.inf
    save_file(tensors, file, metadata={"base": known["base"], "name": "task"})
    with pytest.raises(UserError, match=r"task.safetensors' has NaN or infinity in '2.a'"):
        load_lora(base(), file)


def test_another_rank_or_architecture_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "task.safetensors"
    save_trainable(add_lora(base(), 2, 4, ["0"]), file)
    with pytest.raises(UserError, match=r"'0.a.default' of shape \(2, 6\), but this model has it as \(1, 6\)"):
        load_trainable(add_lora(base(), 1, 4, ["0"]), file)
    with pytest.raises(UserError, match="trained on another base model"):
        load_trainable(add_lora(base(), 2, 8, ["0"]), file)  # another alpha is another function
    save_lora(adapted(), file, "task")
    with pytest.raises(UserError, match="trained on another base model"):
        load_lora(nn.Sequential(nn.Linear(6, 8)), file)


@pytest.mark.parametrize("live", [True, False])
def test_partial_fine_tuning_comes_back_with_live_statistics_and_without(tmp_path: Path, live: bool) -> None:
    file, x = tmp_path / "task.safetensors", torch.rand(8, 3, 16, 16)
    make = lambda: partial_fine_tune(3, image_backbone("small-cnn", False, 16), train_last=1, live_batch_norm=live)  # noqa: E731
    torch.manual_seed(0)
    model = make()
    fresh = copy.deepcopy(model)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(2):
        nn.functional.cross_entropy(model.train()(x), torch.arange(8) % 3).backward()
        optimiser.step()
    save_trainable(model, file)
    load_trainable(fresh, file)
    assert torch.equal(fresh.eval()(x), model.eval()(x))
