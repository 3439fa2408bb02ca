"""What is installed and loaded: open licences, and no pickle that anybody could have sent."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import jupytext

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


def sources() -> Iterator[tuple[str, str]]:
    for folder in ("transferlib", "scripts", "book/_ext"):
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
