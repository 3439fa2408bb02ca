"""Adapters on disk: they come back bit by bit, and only on the model they were trained on."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from transferlib.errors import UserError
from transferlib.peft.files import base_state, load_lora, save_lora
from transferlib.peft.lora import activate_lora, add_lora, lora_layers, merge_lora
from transferlib.peft.sealed import check_base, fingerprint, read_delta, save_delta


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
