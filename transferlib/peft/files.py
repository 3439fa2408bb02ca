"""What one task adds to a shared model, on disk: a few tensors and the fingerprint of the model they belong to."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from transferlib.backbones.freezing import moving
from transferlib.errors import UserError, nearest
from transferlib.peft.lora import LoRA, extras, lora_layers, wrap_lora
from transferlib.peft.variants import KINDS

HALVES = (torch.bfloat16, torch.float16)
PARTS = ("a", "b", "alpha", "magnitude", "a0", "b0")  # of one layer's correction


def fingerprint(tensors: Mapping[str, Tensor], kind: torch.dtype | None = None) -> str:
    """SHA-256 over names, shapes and bytes: equal for equal weights, different after any training step.

    ``kind``: as if the model stood in this precision.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        tensor = tensor.to(kind) if kind and tensor.is_floating_point() else tensor
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)  # (…) → (bytes,)
    return digest.hexdigest()


def save_delta(file: str | Path, tensors: Mapping[str, Tensor], base: Mapping[str, Tensor], **facts: str) -> int:
    """Write what one task adds to a base model as safetensors; ``base`` is the base's own tensors. Returns bytes.

    Raises:
        UserError: a tensor with NaN or infinity.
    """
    kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    _check_finite(kept, f"What would go into {str(file)!r}")
    facts["base"] = fingerprint(base)
    facts |= {f"base {kind}": fingerprint(base, kind) for kind in HALVES}  # so that it fits the model in half precision
    save_file(kept, str(file), metadata={**facts, "seal": _seal(kept, facts)})
    return Path(file).stat().st_size


def _seal(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """One digest of all that a file says: safetensors checks its header, and no byte of the numbers."""
    return hashlib.sha256(f"{fingerprint(tensors)} {sorted(facts.items())}".encode()).hexdigest()


def read_delta(file: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read ``save_delta``'s file back: tensors by name, and the facts stored with them. See :func:`check_base`.

    Raises:
        UserError: the file is missing or damaged, or holds NaN or infinity.
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
    _check_finite(tensors, repr(str(file)))
    return tensors, facts


def _check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    bad = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise UserError(f"{what} has NaN or infinity in {bad[0]!r}: train again with a lower learning rate.")


def check_base(file: str | Path, facts: Mapping[str, str], base: Mapping[str, Tensor]) -> None:
    """Refuse a file that was made for a model with other tensors than ``base``, whatever precision either stands in."""
    own = fingerprint(base)
    if own in {facts.get(key) for key in ("base", *(f"base {kind}" for kind in HALVES))}:
        return
    # Trained beside half precision, loaded beside the full one: rounded, it is the same model.
    if not any(facts.get("base") == facts.get(f"base {kind}") == fingerprint(base, kind) for kind in HALVES):
        raise UserError(
            f"{str(file)!r} was trained on another base model (fingerprint {facts.get('base', 'none')[:8]}, this model "
            f"has {own[:8]}): load it into the model it was trained on, prepared in the same way."
        )


def base_state(model: nn.Module, keep_vars: bool = False) -> dict[str, Tensor]:
    """The state dict of the model before LoRA was added: original names, original weights."""
    state = dict(model.state_dict(keep_vars=keep_vars))
    for name, layer in model.named_modules(remove_duplicate=False):  # a layer used twice has two names
        if isinstance(layer, LoRA):
            state = {key: tensor for key, tensor in state.items() if not key.startswith(f"{name}.")}
            state |= {f"{name}.{key}": tensor for key, tensor in layer.base.state_dict(keep_vars=keep_vars).items()}
            if layer.original is not None:
                state[f"{name}.weight"] = layer.original
    return state


def save_lora(model: nn.Module, file: str | Path, name: str = "default") -> int:
    """Write adapter ``name``, and the head or whatever else learns beside it, as one safetensors file with a seal.

    The file holds each layer's factors and alpha and the fingerprint of the base model. Returns the bytes written.

    Raises:
        UserError: the model has no adapter of that name, or a tensor is NaN.
    """
    layers = {n: layer for n, layer in lora_layers(model).items() if name in layer.a}
    if not layers:
        known = {adapter for layer in lora_layers(model).values() for adapter in layer.a}
        raise UserError(f"This model has no adapter {name!r} to save: {nearest(name, known)}")
    own = {f"{n}.{part}": tensor for n, layer in layers.items() for part, tensor in layer.own(name).items()}
    own |= {f"{n}.alpha": torch.tensor(layer.alpha[name]) for n, layer in layers.items()}
    learning = {id(tensor) for tensor in moving(model).values()}
    base = base_state(model, keep_vars=True)
    heads = {key: tensor for key, tensor in base.items() if id(tensor) in learning}
    kind = type(next(iter(layers.values()))).__name__
    facts = {"name": name} if kind == "LoRA" else {"name": name, "kind": kind}
    return save_delta(file, own | heads, {key: t for key, t in base.items() if key not in heads}, **facts)


def load_lora(model: nn.Module, file: str | Path, name: str | None = None) -> str:
    """Put a saved adapter, and the head saved with it, on its base model and switch to it; returns its name.

    ``name`` renames it. The base may stand in another precision than the one the adapter was trained beside.

    Raises:
        UserError: no such file, a damaged file, or an adapter trained on another base model; a head that would
            replace one that belongs to another adapter.
    """
    tensors, facts = read_delta(file)
    name, kind = name or facts.get("name", "default"), facts.get("kind", "LoRA")
    if kind not in KINDS:
        raise UserError(f"{str(file)!r} holds layers of an unknown kind {kind!r}: {nearest(kind, KINDS)}")
    layers = [key[:-2] for key in tensors if {key[:-2] + part for part in (".a", ".b", ".alpha")} <= tensors.keys()]
    layers = list(dict.fromkeys(layers))
    inner = {f"{n}.{part}" for n in layers for part in PARTS}
    heads = {key: tensor for key, tensor in tensors.items() if key not in inner}
    base = base_state(model)
    check_base(file, facts, {key: tensor for key, tensor in base.items() if key not in heads})
    check_shapes(file, heads, base)
    if heads and lora_layers(model):
        raise UserError(
            f"{str(file)!r} brings its own {next(iter(heads))!r}, which the adapters of this model use, too: load it "
            "into a model without adapters."
        )
    ranks = {n: (len(tensors[f"{n}.a"]), float(tensors[f"{n}.alpha"])) for n in layers}
    wrap_lora(
        model, ranks, name, heads=[model.get_submodule(key.rpartition(".")[0]) for key in heads], kind=KINDS[kind]
    )
    for n in layers:
        own = lora_layers(model)[n].own(name)
        copy_into(
            file, own, {part: tensors[f"{n}.{part}"] for part in PARTS if f"{n}.{part}" in tensors and part in own}
        )
    own = base_state(model, keep_vars=True)
    for parameter in extras(model).values():
        parameter.requires_grad_(False)
    for key in heads:
        if isinstance(own[key], nn.Parameter):
            own[key].requires_grad_(True)
    copy_into(file, {key: own[key] for key in heads}, heads)
    return name


def save_trainable(model: nn.Module, file: str | Path) -> int:
    """Write what may move, with the fingerprint of what may not, as safetensors. Returns the bytes written.

    What moves: parameters with gradients, and the running statistics of BatchNorm that are not held.
    """
    own, state = moving(model), model.state_dict()
    return save_delta(file, own, {name: tensor for name, tensor in state.items() if name not in own})


def load_trainable(model: nn.Module, file: str | Path) -> None:
    """Read ``save_trainable``'s file into a model prepared in the same way.

    Raises:
        UserError: no such file, a damaged file, or one that was trained on another base model.
    """
    tensors, facts = read_delta(file)
    own, state = moving(model), model.state_dict()
    check_base(file, facts, {name: tensor for name, tensor in state.items() if name not in own})
    copy_into(file, own, tensors)


def check_shapes(file: str | Path, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse the first tensor that the model has in another shape, or not at all."""
    for name, tensor in tensors.items():
        if name not in own or own[name].shape != tensor.shape:
            here = f"has it as {tuple(own[name].shape)}" if name in own else "does not train it"
            raise UserError(
                f"{str(file)!r} holds {name!r} of shape {tuple(tensor.shape)}, but this model {here}: it does not hold "
                "what this model trains, so prepare the model in the same way first."
            )


def copy_into(file: str | Path, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Write ``tensors`` into the model's ``own``, name by name."""
    check_shapes(file, tensors, own)
    check_shapes(file, {n: t for n, t in own.items() if n not in tensors}, tensors)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
