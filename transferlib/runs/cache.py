"""Where computed results are kept: beside the weights, or in the build folder where the cache is read-only."""

import os
import sys
from functools import cache
from pathlib import Path

import joblib
import platformdirs

from transferlib.errors import UserError


def cache_dir() -> Path:
    """The folder for everything that can be fetched or computed again: ``$TRANSFERLIB_CACHE`` or the system's own."""
    chosen = os.environ.get("TRANSFERLIB_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else platformdirs.user_cache_path("transferlib")


def kept_dir() -> Path:
    """The folder for features, runs of sweeps and converted weights: the cache folder when it can be written to.

    A cache that an administrator made read-only still gives its weights. What is computed then goes to
    ``$TRANSFERLIB_BUILD/cache``, or ``build/cache`` here, and that is said once a process.

    Raises:
        UserError: neither of the two can be written to.
    """
    return _writable(cache_dir(), Path(os.environ.get("TRANSFERLIB_BUILD") or "build").resolve() / "cache")


def store(name: str) -> joblib.Memory:
    """The results of one kind, a folder of :func:`kept_dir`: ``store("sweeps").cache(function)`` remembers on disk."""
    return joblib.Memory(kept_dir() / name, verbose=0)


def leftovers() -> list[Path]:
    """Folders of the cache with results of modules that this release does not have: nothing reads them any more."""
    package = Path(__file__).parents[1]
    folders = sorted(cache_dir().glob("*/transferlib/*"))
    return [f for f in folders if not (package / f.name).exists() and not (package / f"{f.name}.py").exists()]


@cache
def _writable(first: Path, second: Path) -> Path:
    for place in (first, second):
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            if place is second:
                print(f"The cache {first} cannot be written to: results are kept in {second}.", file=sys.stderr)
            return place
    raise UserError(f"Neither {first} nor {second} can be written to: set TRANSFERLIB_CACHE to a folder of yours.")
