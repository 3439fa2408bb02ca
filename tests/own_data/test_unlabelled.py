"""What to label next from a folder or a table without labels: the unsure ones, unlike one another, and what is said."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from transferlib import __main__ as command
from transferlib.errors import UserError
from transferlib.own_data.saved import SavedModel, load_model, probe_classifier, save_model
from transferlib.own_data.unlabelled import to_label
from transferlib.tuning import strategies
from transferlib.tuning.probes import Probe


class Axes(torch.nn.Module):
    """A text is the place in the plane that it names: "0.1 2"."""

    out_features = 2

    def encode(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[float(word) for word in text.split()] for text in texts])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def plane() -> SavedModel:
    """A line between two classes: x = 0."""
    model = probe_classifier(Axes(), Probe(torch.tensor([[-1.0, 1.0], [0.0, 0.0]]), torch.zeros(2), 1.0))
    return SavedModel(model, {"kind": "texts", "size": 8, "classes": ["left", "right"], "temperature": 1.0})


def test_the_nearest_to_the_line_come_first_and_copies_do_not_come_again(plane: SavedModel, tmp_path: Path) -> None:
    rows = ["0.01 1", "0.01 1", "5 1", "-0.02 -1", "4 4"]
    pd.DataFrame({"text": rows}).to_csv(tmp_path / "new.csv", index=False)
    table, said = to_label(plane, tmp_path / "new.csv", count=2)
    assert table["example"].tolist() == ["0.01 1", "-0.02 -1"] and table["label"].tolist() == ["right", "left"]
    assert said == "2 of 5 examples without a label, the most instructive first."


def test_rows_that_have_a_label_are_not_asked_for_again(plane: SavedModel, tmp_path: Path) -> None:
    pd.DataFrame({"said": ["0 1", "1 1", "0 -1"], "label": ["left", "", "None"]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    table, _ = to_label(plane, tmp_path / "t.csv", text="said")
    assert sorted(table["example"]) == ["0 -1", "1 1"]
    (tmp_path / "w.csv").write_bytes("text;café\n0 1;x\n;\n1 1;\n".encode("windows-1252"))
    table, said = to_label(plane, tmp_path / "w.csv", encoding="windows-1252")
    assert len(table) == 2 and "1 could not be read: row 3 (an empty text)" in said
    (tmp_path / "t.jsonl").write_text('{"text": "1 2"}\n{"text": "0.1 3"}\n')
    assert to_label(plane, tmp_path / "t.jsonl")[0]["example"].tolist() == ["0.1 3", "1 2"]


def test_text_files_of_a_folder_are_read_and_what_cannot_be_is_named(plane: SavedModel, tmp_path: Path) -> None:
    for name, words in (("a.txt", b"0 1"), ("b.txt", b"3 1"), ("c.txt", b"\xff\xfe\xff"), (".hidden", b"0 0")):
        (tmp_path / name).write_bytes(words)
    table, said = to_label(plane, tmp_path, count=5)
    assert table["example"].tolist() == ["a.txt", "b.txt"] and "1 could not be read: c.txt (not UTF-8 text)" in said


def test_what_gives_nothing_to_choose_from_is_one_sentence(plane: SavedModel, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("words,kind\na,b\n")
    with pytest.raises(UserError, match="has no column 'text'"):
        to_label(plane, tmp_path / "t.csv")
    with pytest.raises(UserError, match="--count 0 chooses nothing"):
        to_label(plane, tmp_path, count=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is nothing in it"):
        to_label(plane, tmp_path / "empty")
    pictures = SavedModel(plane.model, {**plane.about, "kind": "images"})
    with pytest.raises(UserError, match="is no folder, and the model reads pictures"):
        to_label(pictures, tmp_path / "t.csv")


def test_the_command_lists_pictures_and_writes_them_down(tmp_path: Path, monkeypatch, capsys) -> None:
    model = strategies.from_scratch(2, "small-cnn", size=28, seed=0).eval()
    save_model(tmp_path / "m", model, kind="images", backbone="small-cnn", size=28, classes=["a", "b"], temperature=1)
    (tmp_path / "new").mkdir()
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (30, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "new" / f"{i}.png")
    words = ["transferlib", "next-labels", str(tmp_path / "m"), str(tmp_path / "new"), "--count", "3", "--csv"]
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "out.csv")])
    with pytest.raises(SystemExit) as stop:
        command.main()
    out, err = capsys.readouterr()
    assert not stop.value.code and len(out.splitlines()) == 3 and "3 of 4 examples without a label" in err
    assert pd.read_csv(tmp_path / "out.csv")["example"].tolist() == [line.split("\t")[0] for line in out.splitlines()]
    assert load_model(tmp_path / "m").about["classes"] == ["a", "b"]
