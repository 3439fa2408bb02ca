"""What one task adds to a shared model, on disk: LoRA with its head, or whatever else was trained."""

from pathlib import Path

import torch
from torch import Tensor, nn

from transferlib.backbones.freezing import moving
from transferlib.errors import UserError, nearest
from transferlib.peft.lora import LoRA, extras, lora_layers, wrap_lora
from transferlib.peft.sealed import check_base, check_shapes, copy_into, read_delta, save_delta
from transferlib.peft.variants import KINDS

PARTS = ("a", "b", "alpha", "magnitude", "a0", "b0")  # of one layer's correction


def base_state(model: nn.Module, keep_vars: bool = False) -> dict[str, Tensor]:
    """The state dict of the model before LoRA was added: original names, original weights.

    >>> from transferlib.peft.lora import add_lora
    >>> list(base_state(add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0")))
    ['0.weight', '0.bias']
    """
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

    >>> from tempfile import TemporaryDirectory
    >>> from transferlib.peft.lora import add_lora
    >>> with TemporaryDirectory() as folder:
    ...     save_lora(add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0"), f"{folder}/task.safetensors") < 1000
    True

    Raises:
        UserError: the model has no adapter of that name, or a tensor is NaN.
    """
    layers = {n: layer for n, layer in lora_layers(model).items() if name in layer.a}
    if not layers:
        known = {adapter for layer in lora_layers(model).values() for adapter in layer.a}
        raise UserError(f"This model has no adapter {name!r} to save: {nearest(name, known)}")
    own: dict[str, Tensor] = {}
    for n, layer in layers.items():
        own |= {f"{n}.{part}": tensor for part, tensor in layer.own(name).items()}
    own |= {
        f"{n}.alpha": torch.tensor(layer.alpha[name], dtype=torch.float32, device="cpu") for n, layer in layers.items()
    }
    learning = {id(tensor) for tensor in moving(model).values()}
    base = base_state(model, keep_vars=True)
    heads = {key: tensor for key, tensor in base.items() if id(tensor) in learning}
    kind = type(next(iter(layers.values()))).__name__
    facts = {"name": name} if kind == "LoRA" else {"name": name, "kind": kind}
    return save_delta(file, own | heads, {key: t for key, t in base.items() if key not in heads}, **facts)


def load_lora(model: nn.Module, file: str | Path, name: str | None = None) -> str:
    """Put a saved adapter, and the head saved with it, on its base model and switch to it; returns its name.

    ``name`` renames it. The base may stand in another precision than the one the adapter was trained beside.

    >>> import copy
    >>> from tempfile import TemporaryDirectory
    >>> from transferlib.peft.lora import add_lora
    >>> base = nn.Sequential(nn.Linear(3, 2))
    >>> task = add_lora(copy.deepcopy(base), 1, 2, "0", name="task")
    >>> with TemporaryDirectory() as folder:
    ...     _ = save_lora(task, f"{folder}/task.safetensors", "task")
    ...     load_lora(base, f"{folder}/task.safetensors")
    'task'

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
    state = base_state(model, keep_vars=True)
    for parameter in extras(model).values():
        parameter.requires_grad_(False)
    for key in heads:
        if isinstance(state[key], nn.Parameter):
            state[key].requires_grad_(True)
    copy_into(file, {key: state[key] for key in heads}, heads)
    return name


def save_trainable(model: nn.Module, file: str | Path) -> int:
    """Write what may move, with the fingerprint of what may not, as safetensors. Returns the bytes written.

    What moves: parameters with gradients, and the running statistics of BatchNorm that are not held.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     bytes_written = save_trainable(nn.Linear(3, 2), f"{folder}/task.safetensors")
    ...     load_trainable(nn.Linear(3, 2), f"{folder}/task.safetensors")
    """
    own, state = moving(model), model.state_dict()
    return save_delta(file, own, {name: tensor for name, tensor in state.items() if name not in own})


def load_trainable(model: nn.Module, file: str | Path) -> None:
    """Read ``save_trainable``'s file into a model prepared in the same way.

    >>> load_trainable(nn.Linear(3, 2), "none.safetensors")
    Traceback (most recent call last):
    transferlib.errors.UserError: There is no file 'none.safetensors' to load an adapter from: check the path.

    Raises:
        UserError: no such file, a damaged file, or one that was trained on another base model.
    """
    tensors, facts = read_delta(file)
    own, state = moving(model), model.state_dict()
    check_base(file, facts, {name: tensor for name, tensor in state.items() if name not in own})
    copy_into(file, own, tensors)
