"""transferlib: the thin package behind Head Start. One technique, one file.

Names are imported on first use, so that ``import transferlib`` stays instant.
"""

import sys
from importlib import import_module
from typing import Any

from transferlib.moved import Moved, moved

__version__ = "0.2.0"

_HOME = {
    "load": "datasets.named",
    "linear_probe": "tuning.strategies",
    "fine_tune": "tuning.strategies",
    "partial_fine_tune": "tuning.strategies",
    "from_scratch": "tuning.strategies",
    "param_groups": "tuning.learning_rates",
    "layer_lrs": "tuning.learning_rates",
    "fit": "tuning.training",
    "evaluate": "tuning.training",
    "nested_subset": "datasets.budgets",
    "ridge_path": "tuning.probes",
    "fit_probe": "tuning.probes",
    "features": "backbones.features",
    "sweep": "runs.sweep",
    "UserError": "errors",
}
__all__ = sorted(_HOME)
sys.meta_path.append(Moved())


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(moved(name) or f"module 'transferlib' has no attribute {name!r}")
    return getattr(import_module(f"transferlib.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
