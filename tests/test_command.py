"""The command line: what it prints, and that a mistake is one sentence and no traceback."""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlib import __main__ as command
from transferlib.own_data.saved import save_model
from transferlib.tuning import strategies


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["transferlib", *words])
    with pytest.raises(SystemExit) as stop:
        command.main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_list_names_weights_with_their_state(capsys, monkeypatch) -> None:
    status, out, _ = run(capsys, monkeypatch, "list")
    assert status == 0
    for part in ("efficientnet-lite0", "all-MiniLM-L6-v2", "smollm2-135m", "emoji", "folder:PATH"):
        assert part in out
    assert any(state in out for state in ("ready", "missing"))


def test_list_names_what_an_earlier_release_left_in_the_cache(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))
    assert "earlier release" not in run(capsys, monkeypatch, "list")[1]
    old = tmp_path / "depth" / "transferlib" / "depth"
    old.mkdir(parents=True)
    (old / "output.pkl").write_bytes(bytes(2_000_000))
    out = run(capsys, monkeypatch, "list")[1]
    assert f"2 MB of results of an earlier release are read by nothing: you may delete {old}\n" in out


def test_predict_answers_for_each_image_and_counts_the_unreadable(capsys, monkeypatch, tmp_path: Path) -> None:
    model = strategies.from_scratch(2, "small-cnn", size=28, seed=0).eval()
    save_model(tmp_path / "m", model, kind="images", backbone="small-cnn", size=28, classes=["a", "b"], temperature=1)
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "x.png")
    status, out, _ = run(capsys, monkeypatch, "predict", str(tmp_path / "m"), str(tmp_path / "x.png"))
    assert status == 0 and out.split("\t")[1] in "ab"
    status, out, err = run(capsys, monkeypatch, "predict", str(tmp_path / "m"), str(tmp_path / "x.png"), "gone.png")
    assert status == 1 and "gone.png\tunreadable" in out and err == "1 of 2 could not be read.\n"


def saved(place: Path) -> str:
    model = strategies.from_scratch(2, "small-cnn", size=28, seed=0).eval()
    save_model(place, model, kind="images", backbone="small-cnn", size=28, classes=["a", "b"], temperature=1)
    return str(place)


def test_a_text_that_begins_with_a_dash_gets_a_hint(capsys, monkeypatch, tmp_path: Path) -> None:
    status, _, err = run(capsys, monkeypatch, "predict", saved(tmp_path / "m"), "-1 never again")
    assert status == 2 and err.endswith(
        "A text that begins with a dash goes after --, as in: predict MODEL -- '-1 never'\n"
    )
    status, out, _ = run(capsys, monkeypatch, "predict", saved(tmp_path / "m"), "--", "-1 never again")
    assert status == 1 and out.startswith("-1 never again\t")
    assert "after --" not in run(capsys, monkeypatch, "predict", saved(tmp_path / "m"))[2]


def test_each_item_is_one_row_and_nothing_in_it_reaches_the_terminal(capsys, monkeypatch, tmp_path: Path) -> None:
    _, out, _ = run(capsys, monkeypatch, "predict", saved(tmp_path / "m"), "two\nlines\tand \x1b[31mred")
    assert out.startswith(r"two\nlines\tand \x1b[31mred" + "\t") and out.count("\n") == 1


def test_a_terminal_that_is_not_utf8_shows_escapes(tmp_path: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-m", "transferlib", "predict", saved(tmp_path / "m"), "nevér 🐱"],
                          capture_output=True, env=environment)  # fmt: skip
    assert done.returncode == 1 and b"Traceback" not in done.stderr and done.stdout.startswith(b"nev\\")


def test_a_dry_run_says_what_would_be_used_and_writes_nothing(capsys, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "review;stars\n" + "".join(f"text {i};{'good' if i % 2 else 'bad'}\n" for i in range(8))
    )
    monkeypatch.chdir(tmp_path)
    words = ["report", "t.csv", "--text", "review", "--label", "stars", "--dry-run"]
    status, out, _ = run(capsys, monkeypatch, *words)
    assert status == 0 and out.startswith("Read: 8 texts") and "Classes: 2: bad (4), good (4)" in out
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


def test_a_mistake_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "transferlib", "predict", tmp_path, "x"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith(f"'{tmp_path}' holds no saved model") and done.stderr.count("\n") == 1


def seconds(*words: str) -> float:
    """Processor seconds of a Python process above those of an empty one, median of five: a busy machine counts less."""

    def spent(*words: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return statistics.median(spent(*words) - spent("-c", "pass") for _ in range(5))


def test_the_import_takes_milliseconds_and_help_less_than_half_a_second() -> None:
    slack = 4 if os.environ.get("CI") else 2
    assert seconds("-c", "import transferlib") < 0.05 * slack
    assert seconds("-m", "transferlib", "--help") < 0.5 * slack


@pytest.mark.parametrize("words", [["-c", "import transferlib"], ["-m", "transferlib", "--help"]])
def test_neither_loads_a_library_that_takes_its_time(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "transferlib" in loaded and not loaded & {"torch", "numpy", "pandas", "timm", "matplotlib", "rich"}


def test_help_shows_each_command_with_a_whole_sentence(capsys, monkeypatch) -> None:
    status, out, _ = run(capsys, monkeypatch, "--help")
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert status == 0 and all(lines[name].endswith(".") for name in ("list", "predict", "report"))
    assert "..." not in out.replace("[ARGS]...", "")


def test_it_works_without_assertions(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(6)))
    told = [sys.executable, "-O", "-m", "transferlib", "report", "--dry-run", str(tmp_path / "t.csv")]
    done = subprocess.run(told, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("Read: 6 texts"), done.stderr
