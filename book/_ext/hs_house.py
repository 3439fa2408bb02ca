"""The house as it stands on disk: its floors, its modules, what each imports and says first. No Sphinx in here."""

import ast
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import transferlib

PACKAGE = Path(transferlib.__file__).resolve().parent
# From the ground up: a room imports itself and what stands in a lower line. The reference has the same order.
FLOORS = (
    ("errors", "moved"),
    ("tensors",),
    ("runs", "datasets"),
    ("backbones", "course"),
    ("tuning", "peft", "continual", "widgets", "zeroshot", "incontext", "multitask", "meta", "preference"),
    ("domains",),
    ("own_data",),
    ("__main__",),
)
TECHNIQUES = {"backbones", "datasets", "tuning", "peft", "continual", "domains",
              "zeroshot", "incontext", "multitask", "meta", "preference"}  # fmt: skip


def name(path: Path) -> str:
    """``transferlib/peft/lora.py`` → ``transferlib.peft.lora``; a folder's ``__init__.py`` is the folder."""
    parts = ("transferlib", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """``transferlib.peft.lora`` → ``peft``; a file of its own is its own room, the package is none."""
    return module.split(".")[1] if "." in module else ""


MODULES = {name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(source: str, known: Iterable[str] = MODULES) -> dict[str, set[str]]:
    """The package's modules that ``source`` imports anywhere, also inside of functions, and the names it takes."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, set())
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.setdefault(inner if inner in known else node.module, set()).add(alias.name)
    return {module: names for module, names in found.items() if module.split(".")[0] == "transferlib"}


def rooms(floors: Iterable[Iterable[str]] = FLOORS, modules: Iterable[str] = MODULES) -> dict[str, list[str]]:
    """The pages of the reference: a folder and its modules for each, and ``""`` for the files that stand alone."""
    names = [n for floor in floors for n in floor]
    folders = {m.split(".")[1] for m in modules if m.count(".") == 2}
    inside = {n: [m for m in modules if m == f"transferlib.{n}" or m.startswith(f"transferlib.{n}.")] for n in names}
    return {
        **{n: inside[n] for n in names if n in folders},
        "": [m for n in names if n not in folders for m in inside[n]],
    }


@lru_cache(maxsize=512)  # the table of techniques asks for each module once a glossary entry
def _parsed(path: Path, _written: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def parsed(module: str) -> ast.Module:
    """The syntax tree of a module as its file stands now."""
    return _parsed(MODULES[module], MODULES[module].stat().st_mtime_ns)


def docstring(module: str) -> str:
    """The docstring of a module, without importing it."""
    return ast.get_docstring(parsed(module)) or ""


def public(module: str) -> dict[str, str]:
    """The public classes and functions of a module, each with the first line of its docstring."""
    return _public(parsed(module))


@lru_cache(maxsize=512)
def _public(tree: ast.Module) -> dict[str, str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, kinds)}
    return {name: text.split("\n")[0] for name, text in found.items() if text and not name.startswith("_")}
