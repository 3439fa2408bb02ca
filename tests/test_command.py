"""The command line: what it prints, and that a mistake is one sentence and no traceback."""

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


def test_predict_answers_for_each_image_and_counts_the_unreadable(capsys, monkeypatch, tmp_path: Path) -> None:
    model = strategies.from_scratch(2, "small-cnn", size=28, seed=0).eval()
    save_model(tmp_path / "m", model, kind="images", backbone="small-cnn", size=28, classes=["a", "b"], temperature=1)
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "x.png")
    status, out, _ = run(capsys, monkeypatch, "predict", str(tmp_path / "m"), str(tmp_path / "x.png"))
    assert status == 0 and out.split("\t")[1] in "ab"
    status, out, err = run(capsys, monkeypatch, "predict", str(tmp_path / "m"), str(tmp_path / "x.png"), "gone.png")
    assert status == 1 and "gone.png\tunreadable" in out and err == "1 of 2 could not be read.\n"


def test_a_mistake_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "transferlib", "predict", tmp_path, "x"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith(f"'{tmp_path}' holds no saved model") and done.stderr.count("\n") == 1
