"""Where a number comes from: a key for the code behind it, and the facts about the run that made it.

This file imports neither torch nor numpy: ``make`` asks it on every call which chapters are stale.
"""

import ast
import dis
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

PACKAGE = Path(__file__).parents[1]
VERSIONS = (
    "torch", "torchvision", "timm", "transformers", "tokenizers", "peft", "numpy", "scipy", "scikit-learn", "pandas",
    "pillow",
)  # fmt: skip
# What keeps, fetches and tells of a result does not make it: an edit there measures nothing anew.
KEEPERS = frozenset(
    f"transferlib.runs.{name}" for name in ("cache", "files", "notebooks", "provenance", "record", "sweep")
)


def digest(*parts: str | bytes) -> str:
    """SHA-256 over the parts, each with its length, as hexadecimal text."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()


@cache
def _file(module: str) -> Path | None:
    """The file of ``transferlib.x.y``, or None when it is a name and not a module."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@cache
def _lazy() -> dict[str, str]:
    """The names that ``from transferlib import name`` finds in a module of the package."""
    from transferlib import _HOME

    return {name: f"transferlib.{home}" for name, home in _HOME.items()}


def imports(source: str | ast.Module) -> set[str]:
    """The transferlib modules that Python ``source`` imports directly."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source) if isinstance(source, str) else source):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "transferlib"}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "transferlib":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if _file(name)} | {_lazy().get(n.split(".")[-1], "") for n in names}
            found.add(node.module)
    return {name for name in found if name and name != "transferlib"}


def meaning(source: str | ast.Module, docstrings: bool = True) -> str:
    """The syntax tree as text: comments and layout do not count, nor, if so asked, ``docstrings``; every value does.

    Unlike ``ast.dump``, the text is the same for every version of Python: empty parts are left out.

    >>> meaning("def f():\\n    'Three.'\\n    return 3", docstrings=False) == meaning("def f(): return 3  # three")
    True
    """

    def text(node: Any) -> str:
        if isinstance(node, list):
            return f"[{', '.join(map(text, node))}]"
        if not isinstance(node, ast.AST):
            return repr(node)
        own = isinstance(node, ast.Constant)
        parts = [(field, value) for field, value in ast.iter_fields(node) if own or value not in (None, [])]
        return f"{type(node).__name__}({', '.join(f'{field}={text(value)}' for field, value in parts)})"

    tree = ast.parse(source) if isinstance(source, str) else source
    for node in () if docstrings else ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
    return text(tree)


@cache
def _module_part(module: str) -> tuple[str, frozenset[str]]:
    path = _file(module)
    if path is None:
        return "", frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # The tables beside a module (weights, embedded data) name the SHA-256 of what it reads.
    tables = sorted([*path.parent.glob("embedded/*.json"), *path.parent.glob(f"{path.stem}.json")])
    return digest(meaning(tree, docstrings=False), *(t.read_bytes() for t in tables)), frozenset(imports(tree))


def code_key(source: str, without: frozenset[str] = frozenset(), docstrings: bool = True) -> str:
    """A key that changes when ``source``, or any transferlib module it imports, changes in meaning.

    Modules in ``without``, and what only they import, are left out; docstrings of modules always are, those of
    ``source`` if so asked.
    """
    todo, seen = imports(source) - without, set[str]()
    while todo:
        module = todo.pop()
        seen.add(module)
        todo |= _module_part(module)[1] - seen - without
    return digest(meaning(source, docstrings), *(module + _module_part(module)[0] for module in sorted(seen)))


def modules_key(*modules: str) -> str:
    """A key for whole modules of the package: they, all that they import, and the libraries that decide numbers.

    >>> modules_key("transferlib.errors") == modules_key("transferlib.runs.cache")
    False
    """
    return digest(code_key("\n".join(f"import {module}" for module in modules), KEEPERS), str(versions()))


@cache
def library(module: str) -> str:
    """``"scipy.sparse 1.16.0"``: a library's module as it is imported, with the library's version where it says one."""
    return f"{module} {getattr(sys.modules.get(module.partition('.')[0]), '__version__', '')}".strip()


def _names(code: CodeType) -> set[str]:
    """The global names a function reads, nested functions and comprehensions included; attributes are none."""
    reads = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
    own = {step.argval for step in dis.get_instructions(code) if step.opname in reads}
    return own.union(*(_names(const) for const in code.co_consts if isinstance(const, CodeType)))


def _as_arrays(value: Any) -> Any:
    """Tensors as arrays, in containers too: joblib hashes the pickle of a tensor, which differs between processes."""
    if isinstance(value, dict):
        return {key: _as_arrays(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_as_arrays(item) for item in value)
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def _source_key(value: Any) -> str:
    import inspect
    import textwrap

    source = textwrap.dedent(inspect.getsource(value))
    try:
        return code_key(source, KEEPERS, docstrings=False)
    except SyntaxError:  # a lambda's source is a piece of the line it stands in
        return digest(source)


@cache
def _code_source_key(code: CodeType, file: str) -> str:
    """The source of a function by its code and file: looking it up asks every loaded module, which takes long."""
    return _source_key(code)


def function_keys(function: FunctionType) -> tuple[str, str]:
    """Keys for a function and everything it can reach: source, modules, values of globals.

    The first holds the versions of the libraries, too; the second leaves them out. Functions of a notebook are followed
    into the functions and constants they use. What keeps results (:data:`KEEPERS`) is not among the modules.
    """
    import joblib

    parts: dict[str, str] = {}
    libraries: set[str] = set()

    def visit(name: str, value: Any) -> None:
        if name in parts:
            return
        parts[name] = ""
        if callable(value) and hasattr(value, "__wrapped__"):
            visit(f"{name}, undecorated", value.__wrapped__)
        if isinstance(value, FunctionType):  # a decorated function bears the module of what it wraps
            module = str(value.__globals__.get("__name__", ""))
        else:
            module = value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))
        if module.startswith("transferlib"):
            parts[name] = code_key(f"import {module}", KEEPERS)
        elif isinstance(value, ModuleType) or (callable(value) and module not in ("__main__", function.__module__)):
            parts[name] = module
            libraries.add(library(module))
        elif isinstance(value, FunctionType):
            parts[name] = _code_source_key(value.__code__, value.__code__.co_filename)
            bound = dict(zip(value.__code__.co_freevars, value.__closure__ or (), strict=True))
            for inner in sorted(_names(value.__code__) | set(bound)):
                if inner in bound:
                    visit(f"{name}.{inner}", bound[inner].cell_contents)
                elif inner in value.__globals__:
                    visit(inner, value.__globals__[inner])
        elif callable(value):
            parts[name] = _source_key(value)
        else:
            parts[name] = str(joblib.hash(_as_arrays(value)))

    visit(function.__name__, function)
    code = digest(*(f"{name}={key}" for name, key in sorted(parts.items())))
    return digest(code, str(versions()), *sorted(libraries)), code


def commit(folder: Path = PACKAGE) -> str:
    """The commit the code was at, ``+`` behind it when files differ from it, or ``unknown``."""
    try:
        git = ["git", "-C", str(folder)]
        short = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return short.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def versions(names: Iterable[str] = VERSIONS) -> dict[str, str]:
    """Installed versions of the libraries that decide the numbers, and Python's own."""
    found = {"python": platform.python_version()}
    return found | {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's own name where the system tells it: another kind rounds in another order."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        told = ""
    names = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def facts() -> dict[str, Any]:
    """Facts about this machine and code: versions, commit, processor, cores, threads."""
    return {
        "commit": commit(),
        "versions": versions(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "argv": Path(sys.argv[0]).name,
    }
