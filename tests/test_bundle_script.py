"""`make bundle`: what it holds, what it refuses, and an installation that no network helps."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from transferlib.backbones import weights
from transferlib.errors import UserError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import bundle

PROJECT = (
    '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n\n[project]\nname = "{}"\n'
)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rendered page, and one model whose weights are there."""
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("<p>The book</p>")
    (tmp_path / "tiny" / "sub").mkdir(parents=True)
    (tmp_path / "tiny" / "w.safetensors").write_bytes(b"w" * 99)
    line = weights.Status("tiny", "image", 99, "MIT", "ready", tmp_path / "tiny")
    monkeypatch.setattr(weights, "status", lambda: [line])
    monkeypatch.setitem(weights.MANIFEST, "tiny", {"files": {"w.safetensors": {}}})
    return tmp_path


def test_a_bundle_holds_book_notebooks_package_record_and_weights(build: Path, capsys: pytest.CaptureFixture) -> None:
    bundle.make(build, "no")
    (path,) = build.glob("head-start-*.zip")
    with zipfile.ZipFile(path) as made:
        assert made.testzip() is None
        names = {name.partition("/")[2] for name in made.namelist()}
        tops = {name.partition("/")[0] for name in made.namelist()}
        guide = made.read(f"{next(iter(tops))}/INSTALL.md").decode()
    assert len(tops) == 1
    assert {"build/html/index.html", "notebooks/06_lora.md", "transferlib/peft/lora.py", "book/record/manifest.json",
            "cache/weights/tiny/w.safetensors", "install.sh", "lab.sh", "INSTALL.md", "NOTICE"} <= names  # fmt: skip
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", ".git", "wheels"))]
    assert "made without wheels" in guide and str(Path.home()) not in guide
    assert "GB, here." in capsys.readouterr().out


def test_what_is_missing_is_one_sentence(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="WHEELS='maybe' is neither yes nor no"):
        bundle.make(build, "maybe")
    monkeypatch.setattr(bundle, "installed", lambda: 10**18)
    with pytest.raises(UserError, match=r"Twice 1000000000\.0 GB are needed"):
        bundle.make(build, "yes")
    line = weights.Status("tiny", "image", 99, "MIT", "missing", tmp_path)
    monkeypatch.setattr(weights, "status", lambda: [line])
    with pytest.raises(UserError, match="weights of tiny are missing: run `make setup`"):
        bundle.make(build, "no")
    (build / "html" / "index.html").unlink()
    with pytest.raises(UserError, match="There are no built pages"):
        bundle.make(build, "no")
    assert not list(build.glob("*.zip"))


def script(folder: Path, *before: str) -> "subprocess.CompletedProcess[str]":
    """Run install.sh as a reader would, behind ``before``."""
    env = {**os.environ, "PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull}
    env = {name: value for name, value in env.items() if name not in ("PYTHONPATH", "PIP_FIND_LINKS")}
    return subprocess.run([*before, "sh", "install.sh"], cwd=folder, env=env, capture_output=True, text=True)


def test_wheels_are_collected_and_installed_in_a_namespace_without_a_network(tmp_path: Path) -> None:
    for name, needs in (("tiny-inner", ""), ("tiny-outer", 'dependencies = ["tiny-inner"]\n')):
        folder = tmp_path / name
        folder.mkdir()
        extra = '[tool.setuptools]\npy-modules = ["' + name.replace("-", "_") + '"]\n'
        (folder / "pyproject.toml").write_text(PROJECT.format(name) + 'version = "1"\n' + needs + extra)
        (folder / f"{name.replace('-', '_')}.py").write_text("VALUE = 31\n")
    offline = ("--no-index", "--no-build-isolation")
    wheels = tmp_path / "bundle" / "wheels"
    bundle.collect(wheels, tmp_path / "tiny-inner", "", *offline)
    bundle.collect(wheels, tmp_path / "tiny-outer", "", *offline, "--find-links", str(wheels))
    assert sorted(path.name.split("-")[0] for path in wheels.glob("*.whl")) == ["tiny_inner", "tiny_outer"]
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    install = tmp_path / "bundle" / "install.sh"
    install.write_text(bundle.INSTALL.format(python="2.7", wanted="tiny-outer"))
    assert script(tmp_path / "bundle").returncode == 2
    install.write_text(bundle.INSTALL.format(python=here, wanted="tiny-outer"))
    alone = ["unshare", "-rn"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no namespace without a network can be made here: the installation is not tried")
    done = script(tmp_path / "bundle", *alone)
    assert done.returncode == 0, done.stderr
    python = tmp_path / "bundle" / ".venv" / "bin" / "python"
    told = subprocess.run([python, "-c", "import tiny_outer, tiny_inner; print(tiny_inner.VALUE)"], capture_output=True)
    assert told.stdout == b"31\n"


def test_a_bundle_without_wheels_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "install.sh").write_text(bundle.INSTALL.format(python="3.11", wanted="x"))
    done = script(tmp_path)
    assert done.returncode == 2 and "made without wheels" in done.stderr and not (tmp_path / ".venv").exists()
