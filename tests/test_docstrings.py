"""The examples in the docstrings run, and every function that a reader may call has one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import transferlib

ROOT = Path(transferlib.__file__).parent
MODULES = sorted(
    ".".join(("transferlib", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if path.stem not in ("__init__", "__main__")
)
# Rooms whose examples are not all written yet, and modules whose example needs files of the reader's.
WAITING = (
    "transferlib.course", "transferlib.datasets", "transferlib.own_data",
    "transferlib.runs", "transferlib.widgets", "transferlib.backbones.cut", "transferlib.backbones.features",
    "transferlib.backbones.folding", "transferlib.backbones.hub", "transferlib.backbones.images",
    "transferlib.backbones.layer_features",
    "transferlib.backbones.texts", "transferlib.backbones.weights", "transferlib.errors", "transferlib.moved",
    "transferlib.tuning.distributed", "transferlib.tuning.fronts",
)  # fmt: skip
NEEDS_FILES = {"transferlib.own_data.lab_head", "transferlib.own_data.saved"}
# What only serves a function above it in its file.
HELPERS = {
    "transferlib.continual.penalties.checked", "transferlib.continual.per_example.mean",
    "transferlib.continual.per_example.tensor_of", "transferlib.continual.per_example.trainable",
    "transferlib.continual.per_example.wide", "transferlib.continual.springs.grown",
    "transferlib.continual.springs.leading", "transferlib.continual.springs.springs",
    "transferlib.continual.tasks.Task",
    "transferlib.domains.alignment.covariance", "transferlib.domains.alignment.squared_distances",
    "transferlib.domains.adversarial.domain_head", "transferlib.domains.checks.check_domains",
    "transferlib.domains.at_test_time.batchnorms", "transferlib.domains.at_test_time.check_batch",
    "transferlib.domains.tent.affine_parameters", "transferlib.domains.reweighting.check_weights",
    "transferlib.domains.pairs.DomainPair",
    *(f"transferlib.incontext.scoring.{name}" for name in ("collect", "device_of", "read", "tokens_of")),
    "transferlib.meta.episodes.Episode", "transferlib.zeroshot.names.NameMap",
    "transferlib.tuning.probes.Probe", "transferlib.tuning.training.refresh_batch_norm",
    "transferlib.tuning.training.at_least_two",
    *(f"transferlib.backbones.modules.{name}" for name in (
        "called", "check_called", "heads_of", "is_transposed", "linear_kinds", "only_read", "output_words")),
    *(f"transferlib.peft.{name}" for name in (
        "lora.extras", "lora.wrap_lora", "lora_layer.check_fit", "sealed.check_base", "sealed.check_finite",
        "sealed.check_shapes", "sealed.copy_into", "sealed.save_delta")),
}  # fmt: skip


def public(module: str) -> dict[str, str]:
    """Dotted name → docstring, of the functions and classes that the module itself defines."""
    return {
        f"{module}.{name}": inspect.getdoc(thing) or ""
        for name, thing in vars(importlib.import_module(module)).items()
        if not name.startswith("_")
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module
    }


@pytest.mark.parametrize("module", [m for m in MODULES if m not in NEEDS_FILES])
def test_the_examples_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith(WAITING)])
def test_every_public_function_has_an_example(module: str) -> None:
    bare = {name for name, text in public(module).items() if ">>>" not in text and not name.endswith("Error")}
    assert bare <= HELPERS, f"no >>> in {sorted(bare - HELPERS)}"


def test_no_exception_is_out_of_date() -> None:
    known = {name for module in MODULES for name in public(module)}
    assert HELPERS <= known
    assert all(any(module.startswith(room) for module in MODULES) for room in WAITING)
