"""A few tensors in one safetensors file, with a seal and the fingerprint of the model they belong to."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from transferlib.errors import UserError

HALVES = (torch.bfloat16, torch.float16)


def fingerprint(tensors: Mapping[str, Tensor], kind: torch.dtype | None = None) -> str:
    """SHA-256 over names, shapes and bytes: equal for equal weights, different after any training step.

    ``kind``: as if the model stood in this precision.

    >>> weights = {"w": torch.ones(2)}
    >>> fingerprint(weights)[:8], fingerprint({"w": weights["w"] + 1e-6}) == fingerprint(weights)
    ('78312b16', False)
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
    check_finite(kept, f"What would go into {str(file)!r}")
    facts["base"] = fingerprint(base)
    facts |= {f"base {kind}": fingerprint(base, kind) for kind in HALVES}  # so that it fits the model in half precision
    save_file(kept, str(file), metadata={**facts, "seal": _seal(kept, facts)})
    return Path(file).stat().st_size


def _seal(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """One digest of all that a file says: safetensors checks its header, and no byte of the numbers."""
    return hashlib.sha256(f"{fingerprint(tensors)} {sorted(facts.items())}".encode()).hexdigest()


def read_delta(file: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read ``save_delta``'s file back: tensors by name, and the facts stored with them. See :func:`check_base`.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = save_delta(f"{folder}/x.safetensors", {"prompt": torch.ones(2)}, {"w": torch.zeros(1)}, tokens="2")
    ...     tensors, facts = read_delta(f"{folder}/x.safetensors")
    >>> tensors["prompt"], facts["tokens"]
    (tensor([1., 1.]), '2')

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
    check_finite(tensors, repr(str(file)))
    return tensors, facts


def check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
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
