"""Making the environment, with a pip that only sleeps: two makes, one build; a killed build blocks nobody."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="this needs make")
WAITS = "Another make is making the environment in .venv: this one waits for it."

# In front of Python's own: ``python -m venv`` makes a .venv whose python writes a line for each pip, and sleeps.
VENV = """import pathlib, shutil, sys
bin = pathlib.Path(sys.argv[1], "bin")
bin.mkdir(parents=True)
shutil.copy("inner", bin / "python")
pathlib.Path("log").open("a").write("venv\\n")
"""
INNER = """#!/bin/sh
case "$*" in
  *check) test -f .venv/installed && echo True ;;
  "-m pip install"*) echo $PPID > parent; echo pip >> log; sleep 2; test -f broken && exit 7; touch .venv/installed ;;
  "-m pytest"*) echo tested ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "scripts").mkdir()
    for name in ("Makefile", "scripts/venv.py", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "venv.py").write_text(VENV)
    (tmp_path / "inner").write_text(INNER)
    (tmp_path / "inner").chmod(0o755)
    begun.clear()
    yield tmp_path
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


begun: list["subprocess.Popen[str]"] = []


def make(clone: Path) -> "subprocess.Popen[str]":
    words = ["make", "--no-print-directory", "test", f"PYTHON={sys.executable}"]
    env = {**os.environ, "PYTHONPATH": str(clone / "fake"), "MAKEFLAGS": ""}
    process = subprocess.Popen(words, cwd=clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)  # fmt: skip
    begun.append(process)
    return process


def log(clone: Path) -> list[str]:
    return (clone / "log").read_text().split() if (clone / "log").is_file() else []


def until_pip(clone: Path, times: int = 1) -> None:
    end = time.monotonic() + 60
    while log(clone).count("pip") < times:
        assert time.monotonic() < end, "pip was never called"
        time.sleep(0.02)


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output = process.communicate(timeout=60)[0]
    return process.returncode, output


def test_of_two_makes_one_builds_and_the_other_waits_and_goes_on(clone: Path) -> None:
    first = make(clone)
    until_pip(clone)
    second = make(clone)
    (status, output), (other, waited) = end(first), end(second)
    assert (status, other) == (0, 0) and log(clone) == ["venv", "pip"]
    assert WAITS not in output and waited.splitlines() == [WAITS, "tested"]
    assert end(make(clone)) == (0, "tested\n") and log(clone) == ["venv", "pip"]


def test_two_makes_in_the_same_moment_build_once(clone: Path) -> None:
    both = [make(clone), make(clone)]
    ends = [end(process) for process in both]
    assert [status for status, _ in ends] == [0, 0] and log(clone) == ["venv", "pip"]
    assert sum(WAITS in output for _, output in ends) == 1


def test_a_killed_build_blocks_nobody_and_is_made_again(clone: Path) -> None:
    first = make(clone)
    until_pip(clone)
    second = make(clone)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    status, output = end(second)
    assert status == 0 and output.endswith("tested\n") and log(clone) == ["venv", "pip", "venv", "pip"]


def test_a_build_that_outlives_its_make_is_waited_for(clone: Path) -> None:
    first = make(clone)
    until_pip(clone)
    first.kill()  # make alone: its script and pip go on
    status, output = end(make(clone))
    assert status == 0 and output.splitlines() == [WAITS, "tested"] and log(clone) == ["venv", "pip"]


def test_a_pip_that_outlives_its_script_is_waited_for(clone: Path) -> None:
    first = make(clone)
    until_pip(clone)
    os.kill(int((clone / "parent").read_text()), signal.SIGKILL)
    assert first.wait() != 0
    status, output = end(make(clone))
    assert status == 0 and output.startswith(WAITS) and log(clone) == ["venv", "pip", "pip"], "updated in its place"


def test_a_failed_build_is_tried_again_by_the_one_that_waited(clone: Path) -> None:
    (clone / "broken").touch()
    first = make(clone)
    until_pip(clone)
    second = make(clone)
    status, _ = end(first)
    until_pip(clone, 2)
    (clone / "broken").unlink()
    assert status != 0 and end(second)[0] == 0 and log(clone).count("pip") == 2


def test_an_environment_that_was_emptied_or_is_older_than_the_lock_is_made_again(clone: Path) -> None:
    assert end(make(clone))[0] == 0
    os.utime(clone / ".venv" / ".ready", (1, 1))
    assert end(make(clone))[0] == 0 and log(clone) == ["venv", "pip", "pip"], "updated in its place"
    (clone / ".venv" / "installed").unlink()
    assert end(make(clone))[0] == 0 and log(clone) == ["venv", "pip", "pip", "venv", "pip"]
