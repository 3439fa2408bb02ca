"""What one task adds to a shared model, on disk: a few tensors and the fingerprint of the model they belong to."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from transferlib.errors import UserError, nearest
from transferlib.peft.lora import lora_layers, wrap_lora


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes: equal for equal weights, different after any training step."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)  # (…) → (bytes,)
    return digest.hexdigest()


def save_delta(file: str | Path, tensors: Mapping[str, Tensor], base: str, **facts: str) -> int:
    """Write what one task adds to a base model as safetensors; ``base`` is the base's fingerprint. Returns bytes."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    facts["base"] = base
    save_file(kept, str(file), metadata={**facts, "seal": _seal(kept, facts)})
    return Path(file).stat().st_size


def _seal(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """One digest of all that a file says: safetensors checks its header, and no byte of the numbers."""
    return hashlib.sha256(f"{fingerprint(tensors)} {sorted(facts.items())}".encode()).hexdigest()


def load_delta(file: str | Path, base: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read ``save_delta``'s file back: tensors by name, and the facts stored with them.

    Raises:
        UserError: the file is missing or damaged, or was made for a model with another fingerprint.
    """
    if not Path(file).is_file():
        raise UserError(f"There is no file {str(file)!r} to load an adapter from: check the path.")
    try:
        with safe_open(str(file), framework="pt") as archive:
            facts = dict(archive.metadata() or {})
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}
    except SafetensorError as error:
        raise UserError(
            f"{str(file)!r} is not a complete safetensors file ({error}): save the adapter again."
        ) from error
    seal = facts.pop("seal", None)
    sealed = seal is not None or not facts.keys() <= {"base", "name"}  # 0.1.0 wrote these two and no seal
    if sealed and seal != _seal(tensors, facts):
        raise UserError(f"{str(file)!r} is damaged: what it holds is not what was saved; save the adapter again.")
    if facts.get("base") != base:
        raise UserError(
            f"{str(file)!r} was trained on another base model (fingerprint {facts.get('base', 'none')[:8]}, this model "
            f"has {base[:8]}): load it into the model it was trained on, prepared in the same way."
        )
    return tensors, facts


def base_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of the model before LoRA was added: original names, original weights."""
    state = dict(model.state_dict())
    for name, layer in lora_layers(model).items():
        state = {key: tensor for key, tensor in state.items() if not key.startswith(f"{name}.")}
        state |= {f"{name}.{key}": tensor for key, tensor in layer.base.state_dict().items()}
        if layer.original is not None:
            state[f"{name}.weight"] = layer.original
    return state


def save_lora(model: nn.Module, file: str | Path, name: str = "default") -> int:
    """Write adapter ``name`` as safetensors, with the fingerprint of its base model. Returns the bytes written.

    Raises:
        UserError: the model has no adapter of that name.
    """
    layers = {n: layer for n, layer in lora_layers(model).items() if name in layer.a}
    if not layers:
        known = {adapter for layer in lora_layers(model).values() for adapter in layer.a}
        raise UserError(f"This model has no adapter {name!r} to save: {nearest(name, known)}")
    tensors = {f"{n}.a": layer.a[name] for n, layer in layers.items()}
    tensors |= {f"{n}.b": layer.b[name] for n, layer in layers.items()}
    tensors |= {f"{n}.alpha": torch.tensor(layer.alpha[name]) for n, layer in layers.items()}
    return save_delta(file, tensors, fingerprint(base_state(model)), name=name)


def load_lora(model: nn.Module, file: str | Path, name: str | None = None) -> str:
    """Put a saved adapter on its base model and switch to it; returns its name (``name`` renames it).

    Raises:
        UserError: no such file, a damaged file, or an adapter trained on another base model.
    """
    tensors, facts = load_delta(file, fingerprint(base_state(model)))
    name = name or facts["name"]
    layers = [key.removesuffix(".a") for key in tensors if key.endswith(".a")]
    wrap_lora(model, {n: (len(tensors[f"{n}.a"]), float(tensors[f"{n}.alpha"])) for n in layers}, name)
    for n, layer in lora_layers(model).items():
        if name in layer.a:
            layer.a[name].data.copy_(tensors[f"{n}.a"])
            layer.b[name].data.copy_(tensors[f"{n}.b"])
    return name
