"""Machines that lack what most have: a home folder, or memory that processes share."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from joblib.externals import loky

from transferlib.errors import UserError
from transferlib.own_data import machine

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ImportError("no sem_open"),
                                   FileNotFoundError(2, "No such file or directory")])  # fmt: skip
def test_without_shared_memory_one_process_works_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused() -> None:
        raise error

    assert machine.sharing() == ({}, [])
    monkeypatch.setattr(multiprocessing, "Lock", refused)
    environment, notes = machine.sharing()
    assert environment["TRANSFERLIB_WORKERS"] == "1" and len(notes) == 1 and str(error) in notes[0]
    assert notes[0].startswith("/dev/shm")


def test_joblibs_pool_is_then_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loky, "get_reusable_executor", loky.get_reusable_executor)  # put back afterwards
    machine.without_processes()
    with loky.get_reusable_executor() as pool:
        assert isinstance(pool, ThreadPoolExecutor) and pool.submit(int, "3").result() == 3


def dry_run(tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """``transferlib report --dry-run`` of a user that the system does not know, without HOME."""
    (tmp_path / "site").mkdir(exist_ok=True)
    gone = "import pwd\ndef gone(uid):\n    raise KeyError(uid)\npwd.getpwuid = gone\n"
    (tmp_path / "site" / "sitecustomize.py").write_text(gone)
    data = tmp_path / "t.csv"
    data.write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(6)))
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "TRANSFERLIB_CACHE")}
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    return subprocess.run([sys.executable, "-m", "transferlib", "report", str(data), "--dry-run"], text=True,
                          capture_output=True, env={**kept, "PYTHONPATH": path, **more}, cwd=tmp_path)  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep caches elsewhere")
def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path) -> None:
    done = dry_run(tmp_path, XDG_CACHE_HOME="")
    assert done.returncode == 2 and "set HOME, or TRANSFERLIB_CACHE" in done.stderr and "Traceback" not in done.stderr
    done = dry_run(tmp_path, TRANSFERLIB_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0 and done.stdout.startswith("Read: 6 texts")


def test_the_sentence_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(machine, "kept_dir", lost)
    with pytest.raises(UserError, match="There is no place for results"):
        machine.check_home()
