"""LoRA in the files of Hugging Face's peft: ours can be read there, theirs can be read here.

A folder with ``adapter_config.json`` and ``adapter_model.safetensors``. It says nothing about the base model's weights,
so nobody can check that an adapter meets its own; :func:`transferlib.peft.files.save_lora` writes a file that does.
"""

import json
import re
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transferlib.backbones.freezing import moving
from transferlib.backbones.modules import is_transposed, linear_kinds
from transferlib.errors import UserError, nearest
from transferlib.peft.files import base_state
from transferlib.peft.lora import LoRA, lora_layers, wrap_lora
from transferlib.peft.sealed import check_finite, check_shapes, copy_into
from transferlib.peft.variants import DoRA

PREFIX = "base_model.model."
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What else peft can write into a LoRA, each of which computes something else.
REFUSED = ("lora_bias", "use_qalora", "layer_replication", "trainable_token_indices", "target_parameters",
           "alora_invocation_tokens", "use_bdlora", "arrow_config", "megatron_config", "kasa_config",
           "monteclora_config", "velora_config")  # fmt: skip
PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")  # the other ones change the base's weights


def save_peft(model: nn.Module, folder: str | Path, name: str = "default") -> None:
    """Write adapter ``name``, and a head that learns beside it, as peft writes them.

    PiSSA becomes a plain correction of twice the rank, which is what it is.

    >>> from tempfile import TemporaryDirectory
    >>> from transferlib.peft.lora import add_lora
    >>> with TemporaryDirectory() as folder:
    ...     save_peft(add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0"), folder)
    ...     sorted(file.name for file in Path(folder).iterdir())
    ['adapter_config.json', 'adapter_model.safetensors']

    Raises:
        UserError: no such adapter, or a grouped convolution, which peft corrects by another formula.
    """
    layers = {n: layer for n, layer in lora_layers(model).items() if name in layer.a}
    if not layers:
        known = {adapter for layer in lora_layers(model).values() for adapter in layer.a}
        raise UserError(f"This model has no adapter {name!r} to save: {nearest(name, known)}")
    tensors: dict[str, Tensor] = {}
    ranks, alphas = {}, {}
    for n, layer in layers.items():
        (a, b), base = layer.factors(name), layer.base
        if isinstance(base, nn.Conv2d):
            if base.groups > 1:
                raise UserError(f"{n} is a convolution in groups, which peft corrects in another way: use save_lora.")
            a, b = a.view(-1, *base.weight.shape[1:]), b[..., None, None]  # (r, d_in) → (r, in, kh, kw); (out, r, 1, 1)
        tensors |= {f"{n}.lora_A.weight": a, f"{n}.lora_B.weight": b}
        if isinstance(layer, DoRA):
            m = layer.magnitude[name]
            tensors[f"{n}.lora_magnitude_vector"] = m.view(1, -1, 1, 1) if isinstance(base, nn.Conv2d) else m
        ranks[n], alphas[n] = len(a), layer.alpha[name] * len(a) / len(layer.a[name])
    learning = {id(tensor) for tensor in moving(model).values()}
    heads = {key: t for key, t in base_state(model, keep_vars=True).items() if id(t) in learning}
    owners = sorted({key.rpartition(".")[0] for key in heads})
    if odd := [key for key in heads if key.rpartition(".")[0] in ("", *layers)]:
        raise UserError(f"{odd[0]!r} learns by itself, and peft saves whole modules only: use save_lora.")
    tensors |= heads
    check_finite(tensors, f"What would go into {str(folder)!r}")
    rank, alpha = next(iter(ranks.values())), next(iter(alphas.values()))
    first = next(iter(layers.values()))
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {n: r for n, r in ranks.items() if r != rank},
        "alpha_pattern": {n: x for n, x in alphas.items() if x != alpha},
        "target_modules": list(layers),
        "modules_to_save": owners or None,
        "use_dora": isinstance(first, DoRA),
        "use_rslora": False,  # the factor alpha / √rank is in lora_alpha already
        "lora_dropout": first.dropout[name],
        "fan_in_fan_out": any(is_transposed(layer.base) for layer in layers.values()),
        "bias": "none",
        "inference_mode": True,
        "base_model_name_or_path": None,
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    kept = {PREFIX + key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
    save_file(kept, str(Path(folder) / WEIGHTS), metadata={"format": "pt"})
    (Path(folder) / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_peft(model: nn.Module, folder: str | Path, name: str = "default") -> str:
    """Put a LoRA that peft saved on ``model`` and switch to it; returns its name.

    >>> from tempfile import TemporaryDirectory
    >>> from transferlib.peft.lora import add_lora
    >>> with TemporaryDirectory() as folder:
    ...     save_peft(add_lora(nn.Sequential(nn.Linear(3, 2)), 1, 2, "0"), folder)
    ...     load_peft(nn.Sequential(nn.Linear(3, 2)), folder, "task")
    'task'

    Raises:
        UserError: no such folder, another kind of adapter, an option that is not read here, or an adapter for other
            layers than this model has.
    """
    config, tensors = _read(folder)
    parts: dict[str, dict[str, Tensor]] = {}
    heads: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        layer, _, part = key.removeprefix(PREFIX).partition(".lora_")
        if part:
            parts.setdefault(layer, {})[part.removesuffix(".weight")] = tensor
        else:
            heads[layer] = tensor
    known = dict(model.named_modules())
    for layer, own in parts.items():
        if not isinstance(known.get(layer), (LoRA, nn.Conv2d, *linear_kinds())) or not {"A", "B"} <= own.keys():
            raise UserError(f"{str(folder)!r} corrects {layer!r}, which this model does not have as a linear layer.")
        if getattr(known[layer], "groups", 1) > 1:
            raise UserError(f"{layer} is a convolution in groups, which peft corrects in another way: train it here.")
    if odd := [key for key in heads if key not in base_state(model)]:
        raise UserError(f"{str(folder)!r} holds {odd[0]!r}, which this model does not have: use the same architecture.")
    check_shapes(folder, heads, base_state(model))
    ranks = {n: _factor(config, n, len(own["A"])) for n, own in parts.items()}
    spared = [model.get_submodule(key.rpartition(".")[0]) for key in heads]
    kind = DoRA if config.get("use_dora") else LoRA
    wrap_lora(model, ranks, name, float(config.get("lora_dropout") or 0), heads=spared, kind=kind)
    for n, own in parts.items():
        given = {"a": own["A"].flatten(1), "b": own["B"].flatten(1)}  # (r, in, kh, kw) → (r, d_in)
        if "magnitude_vector" in own:
            given["magnitude"] = own["magnitude_vector"].flatten()  # (1, d_out, 1, 1) → (d_out,)
        copy_into(folder, lora_layers(model)[n].own(name), given)
    state = base_state(model, keep_vars=True)
    copy_into(folder, {key: state[key] for key in heads}, heads)
    return name


def _read(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    where = Path(folder)
    for file in (CONFIG, WEIGHTS):
        if not (where / file).is_file():
            raise UserError(f"There is no {file} in {str(folder)!r}: name the folder that peft saved.")
    try:
        config = json.loads((where / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(str(where / WEIGHTS))
    except Exception as error:
        raise UserError(f"The adapter in {str(folder)!r} is damaged ({error}): save it again.") from error
    if config.get("peft_type") != "LORA":
        raise UserError(f"{str(folder)!r} holds a {config.get('peft_type')}, not a LORA: only that is read here.")
    if odd := [key for key in REFUSED if config.get(key)]:
        raise UserError(f"{str(folder)!r} uses {odd[0]}, which is not read here: load it with peft and merge it.")
    if (start := config.get("init_lora_weights")) not in PLAIN_STARTS:
        raise UserError(f"{str(folder)!r} started as {start!r}, which changes the base: convert it with peft first.")
    check_finite(tensors, repr(str(folder)))
    return config, tensors


def _factor(config: dict[str, Any], layer: str, rank: int) -> tuple[int, float]:
    """Rank and alpha of one layer, with alpha / rank as the whole factor."""
    own = [x for key, x in (config.get("alpha_pattern") or {}).items() if re.match(rf"(.*\.)?({key})$", layer)]
    alpha = float(own[0] if own else config["lora_alpha"])
    return rank, alpha * rank**0.5 if config.get("use_rslora") else alpha
