"""Make the environment in ``.venv``, once: of two makes that start together one builds, and the other waits for it.

Only Python's own library is used: nothing else is installed yet. The operating system holds the lock for as long as
a process of the build lives, so a killed build never blocks the next one.
"""

import fcntl
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON, STAMP = VENV / "bin" / "python", VENV / ".ready"
SOURCES = (ROOT / "pyproject.toml", ROOT / "requirements.lock")
MODULES = ("torch", "timm", "papermill", "sphinx", "pytest", "transferlib")


def healthy() -> bool:
    """Whether the environment has a Python that finds what the targets call for: it may be moved, or half-made."""
    try:
        return subprocess.run([PYTHON, __file__, "check"], capture_output=True, check=False).stdout == b"True\n"
    except OSError:
        return False


def ready() -> bool:
    """Whether a build came to its end after the last change of what is to be installed, and is still there."""
    newest = max(path.stat().st_mtime for path in SOURCES)
    return STAMP.is_file() and STAMP.stat().st_mtime >= newest and healthy()


def build(lock: IO[str]) -> int:
    """Make or update the environment; returns pip's exit status. The children share the lock."""
    print("Making the environment in .venv (about 7 GB on Linux, where PyTorch brings its GPU libraries)", flush=True)
    STAMP.unlink(missing_ok=True)
    install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--progress-bar", "on", "--disable-pip-version-check"]
    steps = [[*install, "-c", "requirements.lock", "-e", ".[dev]"]]
    if not healthy():
        shutil.rmtree(VENV, ignore_errors=True)
        steps.insert(0, [sys.executable, "-m", "venv", str(VENV)])
    for step in steps:
        if status := subprocess.run(step, cwd=ROOT, pass_fds=(lock.fileno(),), check=False).returncode:
            return status
    STAMP.touch()
    return 0


def main() -> int:
    """Build unless another process did so while this one waited."""
    with (ROOT / ".venv.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another make is making the environment in .venv: this one waits for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return 0 if ready() else build(lock)


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:  # asked with the environment's own Python
        print(all(map(find_spec, MODULES)))
        sys.exit()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
