"""What is installed and loaded: open licences, and no pickle that anybody could have sent."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions
from pathlib import Path

import jupytext
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = {name.lower().replace("_", "-"): v for name, v in re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, flags=re.M)}
OPEN = ("apache", "bsd", "mit", "isc", "mpl", "mozilla", "psf", "python software foundation", "public domain", "cc0")
# The GPU libraries that PyTorch's own wheels bring on Linux; nothing here calls for them by name.
NVIDIA = re.compile(r"nvidia-.*|cuda-toolkit")


def licence(name: str) -> str:
    facts = metadata(name)
    classifiers = [c.split(" :: ")[-1] for c in facts.get_all("Classifier") or [] if c.startswith("License")]
    return facts.get("License-Expression") or "; ".join(classifiers) or (facts.get("License") or "").split("\n")[0]


def test_every_installed_dependency_has_an_open_licence() -> None:
    odd, seen = {}, 0
    for name in PINS:
        try:
            found = licence(name).lower()
        except PackageNotFoundError:  # for another platform, or for an extra that is not installed
            continue
        seen += 1
        if not any(word in found for word in OPEN) and not NVIDIA.fullmatch(name):
            odd[name] = found
    assert seen > 150 and not odd


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in ("transferlib", "scripts", "book/_ext", *folders):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.md")):
        cells = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
        yield path.name, "\n".join(cells)


def unsafe(source: str) -> list[str]:
    """Calls that unpickle what a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name in ("pickle.load", "pickle.loads", "joblib.load", "pd.read_pickle", "dill.load"):
                found.append(name)
            if name == "torch.load" and given.get("weights_only") != "True":
                found.append("torch.load without weights_only=True")
            if name in ("np.load", "numpy.load") and given.get("allow_pickle") == "True":
                found.append("np.load with allow_pickle=True")
    return found


def test_nothing_unpickles_a_file() -> None:
    assert unsafe("import torch\ntorch.load('x')") == ["torch.load without weights_only=True"]
    assert unsafe("np.load(f, allow_pickle=True)\npickle.loads(b)") == [
        "np.load with allow_pickle=True",
        "pickle.loads",
    ]
    assert {name: calls for name, source in sources() if (calls := unsafe(source))} == {}


def test_every_work_that_is_carried_or_fetched_names_its_source_and_an_open_licence() -> None:
    from transferlib.backbones.weights import MANIFEST

    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    entries = [part.strip() for part in notice.split("\n\n") if "Source:" in part]
    known = ("MIT License", "Apache License 2.0", "CC BY 4.0", "CC BY-SA 4.0")
    for entry in entries:
        assert any(name in entry for name in known) and "Changes:" in entry, entry
    for package in (weights["package"] for weights in MANIFEST.values()):
        assert any(f"{package} " in " ".join(e.split()) for e in entries), f"NOTICE does not name {package}"
    embedded = {path.name for path in (ROOT / "transferlib" / "datasets" / "embedded").iterdir()}
    told = {"fashion-mnist.npz": "Fashion-MNIST", "emoji.csv": "emoji.csv", "sentiment.csv.gz": "Sentiment in four"}
    told |= {f"emoji-{style}.webp": f'style "{style}"' for style in ("noto", "twemoji", "fluent", "openmoji")}
    assert embedded - told.keys() == {"LICENSE-noto.txt", "manifest.json"}, "a file without a line in this test"
    for file, words in told.items():
        assert any(words in entry for entry in entries), f"NOTICE has no entry for {file}"


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OWN = {
    path.stem for folder in ("scripts", "tests", "book/_ext", "benchmarks") for path in (ROOT / folder).rglob("*.py")
}
BROUGHT = packages_distributions()
# The docstring of build_data.py makes an environment of its own for it.
ELSEWHERE = {"scripts/build_data.py": {"resvg_py"}}


def declared(*extras: str) -> set[str]:
    """The distributions that ``pip install '.[extras]'`` asks for by name."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    needs = list(map(Requirement, lines))
    inner = [extra for need in needs if need.name == "transferlib" for extra in need.extras]
    return {canonicalize_name(need.name) for need in needs} | (declared(*inner) if inner else set())


def third_party(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """Each library that is imported, by its top name, and the distributions that bring it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
        for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - OWN - {"transferlib"}:
            yield top, {canonicalize_name(name) for name in BROUGHT.get(top, [top])}


def test_every_import_is_of_a_package_that_pyproject_names() -> None:
    named = declared(*PROJECT["optional-dependencies"])
    undeclared = {
        f"{file}: {top}"
        for file, source in sources("tests", "benchmarks")
        for top, brought in third_party(ast.parse(source))
        if not brought & named and top not in ELSEWHERE.get(file, ())
    }
    assert undeclared == set()


def test_a_plain_install_misses_nothing_or_says_what_to_install() -> None:
    """What pyproject does not make every reader install is imported late, behind ``needs`` with the right extra."""
    plain, raw, asked = declared(), [], 0
    for path in sorted((ROOT / "transferlib").rglob("*.py")):
        file, tree = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
        asks = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "needs":
                library, extra, _ = (ast.literal_eval(argument) for argument in node.args)
                asks[library] = declared(extra)
        asked += len(asks)
        caught = {
            top
            for node in ast.walk(tree)
            if isinstance(node, ast.Try) and any(ast.unparse(h.type or h) == "ImportError" for h in node.handlers)
            for top, _ in third_party(ast.Module(node.body, []))
        }
        early = {
            top for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for top, _ in third_party(node)
        }
        beside = set().union(*asks.values())
        for top, brought in third_party(tree):
            # A library that the same extra brings (traitlets, with anywidget) is there when the one asked for is.
            if not brought & plain and (top in early or (not brought & beside and top not in caught)):
                raw.append(f"{file}: {top}")
    assert asked >= 8 and raw == []
