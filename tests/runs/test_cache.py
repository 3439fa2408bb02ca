"""A cache that cannot be written to: results go elsewhere, and it is said."""

from pathlib import Path

import pytest

from transferlib.errors import UserError
from transferlib.runs.cache import kept_dir
from transferlib.runs.sweep import sweep


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that nobody can write to, whoever runs the tests: a file stands in its place."""
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path / "build"))
    return tmp_path


def test_results_lie_in_the_cache_when_it_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "new"))
    assert kept_dir() == tmp_path / "new" and kept_dir().is_dir()


def test_a_closed_cache_is_said_once_and_the_sweep_runs(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kept_dir() == kept_dir() == closed / "build" / "cache"
    said = capsys.readouterr().err
    assert said.count("cannot be written to: results are kept in") == 1 and str(closed / "build" / "cache") in said
    assert sweep(lambda n: {"twice": 2 * n}, [{"n": 3}], n_jobs=1)["twice"].tolist() == [6]
    assert (closed / "build" / "cache" / "sweeps").is_dir()


def test_a_folder_without_the_right_to_write_is_closed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: Path
) -> None:
    open_folder = tmp_path / "read-only"
    open_folder.mkdir()
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(open_folder))
    monkeypatch.setattr("os.access", lambda place, mode: Path(place) != open_folder)
    assert kept_dir() == closed / "build" / "cache"


def test_nowhere_to_write_is_one_sentence(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(closed / "cache" / "under a file"))
    with pytest.raises(UserError, match=r"Neither .* set TRANSFERLIB_CACHE"):
        kept_dir()
