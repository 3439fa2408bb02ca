"""One zip to carry to a machine without a network: rendered book, notebooks, package, record, weights, and wheels."""

import importlib.metadata
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated

import typer
from entry import main

from transferlib.backbones import weights
from transferlib.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("benchmarks", "book", "notebooks", "scripts", "tests", "transferlib", "CHANGELOG.md", "CITATION.cff",
        "CONTRIBUTING.md", "LICENSE", "LICENSE-TEXT", "Makefile", "NOTICE", "README.md", "environment.yml",
        "pyproject.toml", "requirements.lock")  # fmt: skip
MADE = ("html", "slides", "head-start.pdf", "epub/head-start.epub")  # of the build folder; only the first must be there
PACKED = {".whl", ".npz", ".png", ".woff2", ".safetensors", ".gguf", ".epub"}  # do not get smaller
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)

INSTALL = """#!/bin/sh
# Installs Head Start from this folder into .venv. It uses no network.
set -eu
cd "$(dirname "$0")"
if [ ! -d wheels ]; then
  echo "This bundle was made without wheels: install with 'make setup', which needs a package registry." >&2
  exit 2
fi
python=${{PYTHON:-python3}}
if [ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" != "{python}" ]; then
  echo "The wheels are for Python {python}: call 'PYTHON=python{python} sh install.sh'." >&2
  exit 2
fi
"$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index --find-links wheels "{wanted}"
echo "Installed. 'sh lab.sh' opens the chapters; build/html/index.html is the book."
"""
LAB = """#!/bin/sh
# The chapters in JupyterLab, with the weights and the record of this folder.
set -eu
cd "$(dirname "$0")"
export TRANSFERLIB_CACHE="$PWD/cache" TRANSFERLIB_RECORD="$PWD/book/record" HF_HUB_OFFLINE=1
mkdir -p .venv/share/jupyter/lab/settings
cp scripts/lab.json .venv/share/jupyter/lab/settings/overrides.json
set -- --config=scripts/lab.py --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks "$@"
exec .venv/bin/python -m jupyterlab "$@"
"""
GUIDE = """# Head Start {version}, to carry

- Read: open `build/html/index.html` in a browser. Nothing needs to be installed.
- Install: `sh install.sh`, with Python {python} on {platform}. It uses no network.
- Work: `sh lab.sh` opens the chapters in JupyterLab. Recorded results are read instead of measured.

{wheels} The weights are in `cache/weights`, the recorded results in `book/record`. `NOTICE` names the licences of data
and weights; every wheel holds its own.
"""


def installed() -> int:
    """Bytes that the packages of this environment take, as their own lists of files say."""
    return sum(file.size or 0 for found in importlib.metadata.distributions() for file in found.files or ())


def collect(folder: Path, project: Path, extras: str = "", *words: str) -> None:
    """Wheels of a project and of all that it needs, at the versions of its lock where it has one; ``words`` go to pip.

    Raises ``UserError`` when pip cannot get one of them.
    """
    lock = ["-c", str(project / "requirements.lock")] if (project / "requirements.lock").is_file() else []
    ask = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", str(folder)]
    if subprocess.run([*ask, *lock, *words, f"{project}{extras}"], check=False).returncode:
        raise UserError("pip could not collect the wheels: read above which one is missing, or use WHEELS=no.")


def project(folder: Path) -> Path:
    """A copy of what the package is built from, because a build leaves files beside its sources."""
    shutil.copytree(ROOT / "transferlib", folder / "transferlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.lock", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    return folder


def files(build: Path) -> list[tuple[Path, str]]:
    """(file, name in the zip) of everything but the wheels. Raises ``UserError`` without a rendered book or weights."""
    if not (build / "html" / "index.html").is_file():
        raise UserError(f"There are no built pages in {build / 'html'}: run `make book`, or `make read`, first.")
    found = []
    for top in (ROOT / name for name in KEPT):
        inside = sorted(top.rglob("*")) if top.is_dir() else [top]
        found += [(p, p.relative_to(ROOT).as_posix()) for p in inside if p.is_file() and "__pycache__" not in p.parts]
    for top in (build / name for name in MADE):
        inside = sorted(top.rglob("*")) if top.is_dir() else [top]
        found += [(path, f"build/{path.relative_to(build).as_posix()}") for path in inside if path.is_file()]
    for name, _, _, _, state, folder in weights.status():
        if state != "ready":
            raise UserError(f"The weights of {name} are {state}: run `make setup` first.")
        found += [(folder / file, f"cache/weights/{name}/{file}") for file in weights.MANIFEST[name]["files"]]
    return found


def write(target: Path, top: str, content: list[tuple[Path, str]], texts: dict[str, str]) -> None:
    """The zip: files from the disk and texts, all inside of the folder ``top``; it appears when it is whole."""
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in texts.items():
            bundle.writestr(f"{top}/{name}", text)
        for path, name in content:
            bundle.write(path, f"{top}/{name}", zipfile.ZIP_STORED if path.suffix in PACKED else zipfile.ZIP_DEFLATED)
    part.replace(target)


@app.command()
def make(
    build: Annotated[Path, typer.Option(envvar="TRANSFERLIB_BUILD", help="Folder the book was built in.")],
    with_wheels: Annotated[str, typer.Option("--wheels", help="yes or no")] = "no",
) -> None:
    """Write head-start-VERSION-PLATFORM.zip into the folder of the build, after saying how much it will take."""
    if with_wheels not in ("yes", "no"):
        raise UserError(f"WHEELS={with_wheels!r} is neither yes nor no.")
    version, python = importlib.metadata.version("transferlib"), ".".join(platform.python_version_tuple()[:2])
    kind = f"{platform.system().lower()}-{platform.machine()}"
    content, size = files(build), installed()
    print(
        f"{len(content)} files of book, package and weights, {sum(p.stat().st_size for p, _ in content) / 1e6:.0f} MB"
    )
    with tempfile.TemporaryDirectory(dir=build) as folder, tempfile.TemporaryDirectory() as sources:
        if with_wheels == "yes":
            free = shutil.disk_usage(build).free
            print(f"The environment takes {size / 1e9:.1f} GB; its wheels take less, and are fetched now.", flush=True)
            if free < 2 * size:
                told = f"{free / 1e9:.1f} are free"
                raise UserError(
                    f"Twice {size / 1e9:.1f} GB are needed for the wheels and the zip; {told}: use WHEELS=no."
                )
            collect(Path(folder), project(Path(sources)), "[book]")
            content += [(path, f"wheels/{path.name}") for path in sorted(Path(folder).glob("*.whl"))]
        else:
            print(f"Without wheels. With WHEELS=yes they are added: of an environment of {size / 1e9:.1f} GB, here.")
        held = "The wheels are in `wheels`." if with_wheels == "yes" else (
            "This bundle was made without wheels: `install.sh` says so, and `make setup` needs a package registry."
        )  # fmt: skip
        texts = {"INSTALL.md": GUIDE.format(version=version, python=python, platform=kind, wheels=held),
                 "install.sh": INSTALL.format(python=python, wanted="transferlib[book]"), "lab.sh": LAB}  # fmt: skip
        target = build / f"head-start-{version}-{kind}.zip"
        write(target, f"head-start-{version}", content, texts)
    print(f"{target.stat().st_size / 1e6:.0f} MB: {target}")


if __name__ == "__main__":
    main(app)
