"""The wheel, alone: it holds every data file, and its commands run where there is no clone."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from packaged import weights_or_skip
from PIL import Image

from transferlib.own_data.saved import save_model
from transferlib.tuning import strategies

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "transferlib"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network from a copy, so that nothing a former build left behind gets in."""
    for tool in ("setuptools", "pip"):
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"building a wheel without a network needs {tool} in this environment")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(PACKAGE, source / "transferlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out]
    done = subprocess.run([sys.executable, *words, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("transferlib-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's package and nothing else."""
    target = tmp_path_factory.mktemp("site")
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run([sys.executable, *words], check=True)
    return target


def python(installed: Path, folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Python in ``folder``, with the installed package in front of all others."""
    env = {**os.environ, "PYTHONPATH": str(installed), "TRANSFERLIB_BUILD": str(folder / "build")}
    return subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)


def command(installed: Path, folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """``transferlib …``, after a check that nothing of the clone was imported."""
    code = (
        "import sys, transferlib.__main__ as m\n"
        "try: m.main()\n"
        "finally:\n"
        "    files = [v.__file__ for k, v in list(sys.modules.items()) if k.split('.')[0] == 'transferlib']\n"
        f"    assert all(f.startswith({str(installed)!r}) for f in files), files\n"
    )
    return python(installed, folder, "-c", code, *words)


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    have = {p.relative_to(ROOT).as_posix() for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert have - held == set() and len(have) > 100
    for part in ("py.typed", "backbones/weights.json", "own_data/report.css", "widgets/dial.js", "widgets/dial.css",
                 "datasets/embedded/fashion-mnist.npz", "datasets/embedded/sentiment.csv.gz"):  # fmt: skip
        assert f"transferlib/{part}" in held
    assert all(name.startswith(("transferlib/", "transferlib-")) for name in held)


def test_its_data_are_the_clones_byte_for_byte(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for path in PACKAGE.rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                assert archive.read(path.relative_to(ROOT).as_posix()) == path.read_bytes()


def test_it_names_its_licence_its_command_and_its_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(n for n in archive.namelist() if n.endswith("/METADATA")).rpartition("/")[0]
        facts = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        assert "transferlib = transferlib.__main__:main" in archive.read(f"{info}/entry_points.txt").decode()
        assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= set(archive.namelist())
    assert facts["License-Expression"] == "MIT" and facts["Requires-Python"] == ">=3.11"
    assert {"lm", "ray", "book"} <= set(facts.get_all("Provides-Extra") or [])


def test_the_clone_is_not_what_runs(installed: Path, tmp_path: Path) -> None:
    done = python(installed, tmp_path, "-c", "import transferlib; print(transferlib.__file__)")
    assert done.stdout.strip() == str(installed / "transferlib" / "__init__.py"), done.stderr


def test_help_and_list(installed: Path, tmp_path: Path) -> None:
    done = python(installed, tmp_path, "-m", "transferlib", "--help")
    assert done.returncode == 0 and all(word in done.stdout for word in ("list", "predict", "report")), done.stderr
    done = command(installed, tmp_path, "list")
    assert done.returncode == 0 and "efficientnet-lite0" in done.stdout and "fashion-mnist" in done.stdout, done.stderr


def test_each_embedded_data_set_is_read(installed: Path, tmp_path: Path) -> None:
    code = (
        "import transferlib\nfrom transferlib.datasets.named import EMBEDDED\n"
        "for name in EMBEDDED: print(name, len(transferlib.load(name)))"
    )
    done = python(installed, tmp_path, "-c", code)
    assert done.returncode == 0 and len(done.stdout.splitlines()) >= 4, done.stderr


def test_predict(installed: Path, tmp_path: Path) -> None:
    model = strategies.from_scratch(2, "small-cnn", size=28, seed=0).eval()
    save_model(tmp_path / "m", model, kind="images", backbone="small-cnn", size=28, classes=["a", "b"], temperature=1)
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "x.png")
    done = command(installed, tmp_path, "predict", "m", "x.png")
    assert done.returncode == 0 and done.stdout.split("\t")[1] in "ab", done.stderr


def test_report(installed: Path, tmp_path: Path) -> None:
    """From pictures to a page and a model, which then predicts: the three commands in a row."""
    weights_or_skip("efficientnet-lite0")
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 150)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(24):
            pixels = rng.integers(low, low + 100, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    done = command(installed, tmp_path, "report", "photos", "--profile", "smoke")
    assert done.returncode == 0 and done.stdout.strip().endswith("report.html"), done.stderr
    assert "<html" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    done = command(installed, tmp_path, "predict", "report/model", "photos/dark/0.png", "photos/light/0.png")
    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == ["dark", "light"]
