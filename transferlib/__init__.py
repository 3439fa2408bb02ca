"""transferlib: the thin package behind Head Start. One technique, one file.

Names are imported on first use, so that ``import transferlib`` stays instant.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "load": "datasets",
    "linear_probe": "strategies",
    "fine_tune": "strategies",
    "partial_fine_tune": "strategies",
    "from_scratch": "strategies",
    "param_groups": "strategies",
    "layer_lrs": "strategies",
    "fit": "training",
    "evaluate": "training",
    "nested_subset": "budgets",
    "ridge_path": "probes",
    "fit_probe": "probes",
    "features": "probes",
    "sweep": "sweep",
    "UserError": "errors",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'transferlib' has no attribute {name!r}")
    return getattr(import_module(f"transferlib.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
