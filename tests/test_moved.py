"""A notebook of 0.1.0 meets paths that are gone: each of its imports ends in a sentence with the new path."""

import ast
import importlib
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import jupytext
import pytest

import transferlib
from transferlib.moved import FOLDERS, MODULES

ROOT = Path(__file__).resolve().parents[1]
RELEASE = "93e5ba9"  # 0.1.0


@pytest.mark.parametrize("old", sorted(MODULES))
def test_an_old_path_names_a_new_one_that_exists(old: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=rf"^transferlib\.{old} is now .*: import from there\.$") as caught:
        importlib.import_module(f"transferlib.{old}")
    for new in MODULES[old].split():
        assert find_spec(f"transferlib.{new}") is not None and f"transferlib.{new}" in str(caught.value)


def test_every_way_to_write_the_import_shows_the_sentence() -> None:
    for line in ("import transferlib.lora", "from transferlib.lora import LoRA", "from transferlib import lora",
                 "import transferlib.lora as lora"):  # fmt: skip
        with pytest.raises(ModuleNotFoundError, match=r"is now transferlib\.peft\.lora"):
            exec(line, {})
    with pytest.raises(AttributeError, match=r"is now transferlib\.peft\.lora"):
        transferlib.lora  # noqa: B018
    assert not hasattr(transferlib, "lora") and callable(transferlib.sweep)


def test_a_file_that_became_a_folder_names_the_file_inside() -> None:
    for old, new in FOLDERS.items():
        assert all(find_spec(f"transferlib.{path}") for path in new.split())
        with pytest.raises(ModuleNotFoundError, match=rf"without 'old_name'.* is in transferlib\.{new.split()[0]}\b"):
            exec(f"from transferlib.{old} import old_name", {})


def test_what_never_was_there_gets_pythons_own_words() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'transferlib\.lroa'"):
        importlib.import_module("transferlib.lroa")
    with pytest.raises(AttributeError, match="has no attribute 'lroa'"):
        transferlib.lroa  # noqa: B018
    assert find_spec("transferlib.peft.lroa") is None


def test_each_import_of_the_last_releases_chapters_works_or_names_the_new_path() -> None:
    git = ["git", "-C", str(ROOT)]
    try:
        listed = subprocess.run([*git, "ls-tree", "-r", "--name-only", RELEASE, "notebooks"],
                                capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"there is no git history with the release {RELEASE} here")
    lines: set[str] = set()
    for name in (n for n in listed if n.endswith(".md")):
        text = subprocess.run([*git, "show", f"{RELEASE}:{name}"], capture_output=True, text=True, check=True).stdout
        for cell in jupytext.reads(text, fmt="md:myst").cells:
            if cell.cell_type == "code":
                nodes = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Import | ast.ImportFrom)]
                lines |= {line for line in map(ast.unparse, nodes) if "transferlib" in line}
    raw = []
    for line in sorted(lines):
        try:
            exec(line, {})
        except ModuleNotFoundError as error:
            raw += [] if "is now" in str(error) else [f"{line}: {error}"]
        except ImportError as error:  # a function that is gone from a module that stays: Python names both
            raw += (
                [] if re.search(r"cannot import name '\w+' from 'transferlib\.", str(error)) else [f"{line}: {error}"]
            )
    assert len(lines) > 80 and raw == []
    assert astray(lines) == []


def astray(lines: set[str]) -> list[str]:
    """Names that these imports take, that the package still has, and that no path of the sentence has."""
    still = {
        node.name
        for path in (ROOT / "transferlib").rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    found = []
    for node in (ast.parse(line).body[0] for line in lines):
        assert isinstance(node, ast.Import | ast.ImportFrom)
        old = (getattr(node, "module", "") or "").removeprefix("transferlib.")
        modules = [importlib.import_module(f"transferlib.{p}") for p in {**MODULES, **FOLDERS}.get(old, "").split()]
        names = [alias.name for alias in node.names if modules and alias.name in still]
        found += [f"{old}: {name}" for name in names if not any(hasattr(module, name) for module in modules)]
    return found
