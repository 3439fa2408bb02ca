"""Answers for a whole folder: the saved model's, a row for each file, the unreadable with their reason."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from transferlib import __main__ as command
from transferlib.errors import UserError
from transferlib.own_data import answers
from transferlib.own_data.answers import answering, write_answers
from transferlib.own_data.saved import SavedModel, build, load_model, probe_classifier, save_model
from transferlib.tuning import strategies
from transferlib.tuning.probes import Probe, fit_probe


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    about = {"kind": "images", "backbone": "small-cnn", "size": 28, "classes": ["a", 'b,"'], "temperature": 0.5}
    save_model(tmp_path / "m", strategies.from_scratch(2, "small-cnn", size=28, seed=1).eval(), **about)  # type: ignore[arg-type]
    return tmp_path / "m"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "new"
    (place / "inner").mkdir(parents=True)
    for i in range(7):
        pixels = np.random.default_rng(i).integers(0, 256, (50, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "inner" / f"{i}, a.png")
    (place / "broken.png").write_bytes((place / "inner" / "0, a.png").read_bytes()[:900])
    (place / "empty.jpg").touch()
    (place / ".hidden").touch()
    return place


def test_every_file_has_a_row_and_the_saved_models_answer(saved: Path, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(answers, "BATCH", 3)  # several batches, one of unreadable files and others
    out = folder / "out.csv"
    for _ in range(2):  # the second time the file is there already, and is not judged
        assert write_answers(load_model(saved), folder, out) == (9, 2, 0)
    table = pd.read_csv(out, keep_default_na=False)
    assert list(table) == ["file", "label", "probability", "problem"]
    assert table["file"].tolist() == ["broken.png", "empty.jpg", *(f"inner/{i}, a.png" for i in range(7))]
    wanted = load_model(saved).predict([folder / file for file in table["file"][2:]])
    assert table["label"].tolist() == ["", "", *wanted["class"]]
    assert np.allclose(table["probability"][2:].astype(float), wanted["probability"], atol=6e-5)
    assert "truncated" in table["problem"][0] and table["problem"][1] == "an empty file"
    assert table["problem"][2:].eq("").all() and table["probability"][:2].eq("").all()
    assert sorted(file.name for file in folder.iterdir()) == [".hidden", "broken.png", "empty.jpg", "inner", "out.csv"]


def test_a_folded_network_answers_as_the_model() -> None:
    model = strategies.from_scratch(3, "efficientnet-lite0", size=32, seed=0).eval()
    x = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    saved = answers.SavedModel(model, {"temperature": 2.0})
    assert torch.allclose(answering(saved)(x)[0], (model(x) * 2).softmax(1), atol=1e-5)


def test_text_files_are_judged_by_a_model_of_texts(tmp_path: Path) -> None:
    words = build("words", 0)
    head = fit_probe(words.encode(["good film", "bad film"]), torch.tensor([1, 0]))  # type: ignore[operator]
    save_model(tmp_path / "m", probe_classifier(words, head), kind="texts", backbone="words", size=0,
               classes=["no", "yes"], temperature=4.0)  # fmt: skip
    (tmp_path / "t").mkdir()
    for name, content in (("a", b"good"), ("b", b"bad\n"), ("c", b" \n"), ("d", b"\xff")):
        (tmp_path / "t" / f"{name}.txt").write_bytes(content)
    os.mkfifo(tmp_path / "t" / "e.txt")
    assert write_answers(load_model(tmp_path / "m"), tmp_path / "t", tmp_path / "out.csv") == (5, 3, 0)
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert table["label"].tolist() == ["yes", "no", "", "", ""]
    assert table["problem"].tolist() == ["", "", "an empty file", "not UTF-8 text", "not a regular file"]


def test_each_row_of_a_table_has_its_answer(saved: Path, folder: Path, tmp_path: Path) -> None:
    words = build("words", 0)
    head = fit_probe(words.encode(["good film", "bad film"]), torch.tensor([1, 0]))  # type: ignore[operator]
    save_model(tmp_path / "w", probe_classifier(words, head), kind="texts", backbone="words", size=0,
               classes=["no", "yes"], temperature=4.0)  # fmt: skip
    model, out = load_model(tmp_path / "w"), tmp_path / "out.csv"
    (tmp_path / "t.csv").write_text('text;label\n"good\nfilm";x\n\nbad;\n;\n ;y\ntext;label\n\n\n', encoding="utf-8")
    assert write_answers(model, tmp_path / "t.csv", out) == (6, 3, 0)
    table = pd.read_csv(out, keep_default_na=False)
    assert table["text"].tolist() == ["good\nfilm", "", "bad", "", " ", "text"]
    assert table["label"].tolist()[:5] == ["yes", "", "no", "", ""] and table["label"][5]
    assert table["problem"].tolist() == ["", "an empty text", "", "an empty text", "an empty text", ""]
    (tmp_path / "t.jsonl").write_text('{"note": "good", "n": 1}\n{"note": "bad", "n": 2}\n', encoding="utf-8")
    assert write_answers(model, tmp_path / "t.jsonl", out, column="note") == (2, 0, 0)
    (tmp_path / "w.csv").write_bytes("text\ncafé good\n".encode("windows-1252"))
    with pytest.raises(UserError, match="as in --encoding windows-1252"):
        write_answers(model, tmp_path / "w.csv", out)
    assert write_answers(model, tmp_path / "w.csv", out, encoding="windows-1252") == (1, 0, 0)
    with pytest.raises(UserError, match=r"has no column 'text'.* Name it with --text"):
        write_answers(model, tmp_path / "t.jsonl", out)
    (folder / "t.csv").write_text('file,label\n"inner\\0, a.png",a\n,\ngone.png,\n', encoding="utf-8")
    assert write_answers(load_model(saved), folder / "t.csv", out) == (3, 2, 0)
    table = pd.read_csv(out, keep_default_na=False)
    assert table["file"].tolist() == ["inner\\0, a.png", "", "gone.png"]
    assert table["label"][0] and table["label"][1:].eq("").all()
    assert table["problem"].tolist() == ["", "no file is named", "No such file or directory"]


class Letters(torch.nn.Module):
    """A text is its number of letters, up to four: each is a token."""

    out_features = 1

    def tokenizer(self, text: str, **_: object) -> dict[str, str]:
        return {"input_ids": text}

    def encode(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[float(min(len(text), 4))] for text in texts])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def letters() -> SavedModel:
    model = probe_classifier(Letters(), Probe(torch.tensor([[-1.0, 1.0]]), torch.zeros(2), 1.0))
    return SavedModel(model, {"kind": "texts", "size": 4, "classes": ["no", "yes"], "temperature": 1.0})


def test_a_text_that_is_cut_has_its_answer_and_it_is_said(
    letters: SavedModel, tmp_path: Path, monkeypatch, capsys
) -> None:
    said = "only the first 4 of its 6 tokens are read"
    (tmp_path / "t.csv").write_text("text\nshort\nlonger\nfour\n")
    assert write_answers(letters, tmp_path / "t.csv", tmp_path / "out.csv") == (3, 0, 2)
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert table["problem"].tolist() == ["only the first 4 of its 5 tokens are read", said, ""]
    assert table["label"].tolist() == ["yes"] * 3
    assert letters.predict(["longer", "four"])["problem"].tolist() == [said, ""]
    assert "problem" not in letters.predict("four")
    monkeypatch.setattr("transferlib.own_data.saved.load_model", lambda _: letters)
    for more, printed in (
        (["longer"], f"longer\tyes\t1.000\t{said}"),
        ([str(tmp_path / "t.csv"), "--csv", "out.csv"], "2 longer than the model reads"),
    ):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["transferlib", "predict", ".", *more])
        with pytest.raises(SystemExit) as stop:
            command.main()
        assert not stop.value.code and printed in capsys.readouterr().out


def test_what_cannot_be_done_is_one_sentence(saved: Path, folder: Path, tmp_path: Path) -> None:
    model = load_model(saved)
    with pytest.raises(UserError, match="is no folder"):
        write_answers(model, folder / "empty.jpg", tmp_path / "out.csv")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="holds no files"):
        write_answers(model, tmp_path / "nothing", tmp_path / "out.csv")
    with pytest.raises(UserError, match="cannot be written"):
        write_answers(model, folder, tmp_path / "gone" / "out.csv")


def test_the_command_counts_and_its_status_tells_of_unreadable_files(saved: Path, folder: Path, capsys, monkeypatch):
    def status(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["transferlib", "predict", str(saved), *words])
        with pytest.raises(SystemExit) as stop:
            command.main()
        return int(stop.value.code or 0)

    out = folder.parent / "out.csv"
    assert status(str(folder), "--csv", str(out)) == 1
    assert capsys.readouterr().out == f"9 files, 2 of them unreadable: {out}\n"
    assert status(str(folder / "inner"), "--csv", str(out)) == 0
    assert status(str(folder), "x", "--csv", str(out)) == 2
    assert "--csv takes one folder or table, and 2 were given" in capsys.readouterr().err
