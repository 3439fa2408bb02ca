"""Write environment.yml from pyproject.toml and requirements.lock, so that conda users get the same versions."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pins(lock: str) -> dict[str, str]:
    """Package → version for the pins that hold everywhere."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)\s*$", lock, flags=re.MULTILINE))


def environment(lock: str) -> str:
    """A conda environment: python from conda, everything else at the locked versions."""
    head = (
        "# Written by scripts/environment.py from requirements.lock; a test keeps them equal.\n"
        "name: head-start\nchannels:\n  - conda-forge\ndependencies:\n  - python=3.11\n  - make\n  - pip\n  - pip:\n"
    )
    chosen = (
        "torch",
        "torchvision",
        "timm",
        "transformers",
        "papermill",
        "jupytext",
        "jupyterlab",
        "sphinx",
        "myst-nb",
    )
    found = pins(lock)
    lines = [f"      - {name}=={found[name]}" for name in chosen]
    return head + "\n".join([*lines, "      - -c requirements.lock", "      - -e .[book]"]) + "\n"


if __name__ == "__main__":
    text = environment((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    (ROOT / "environment.yml").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
