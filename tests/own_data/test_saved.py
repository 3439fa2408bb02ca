"""A saved model predicts what the model did, and says what is wrong with a damaged one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from transferlib.datasets.pictures import read
from transferlib.errors import UserError
from transferlib.own_data.saved import build, load_model, probe_classifier, save_model, temperature
from transferlib.tuning import strategies
from transferlib.tuning.probes import fit_probe
from transferlib.tuning.training import logits


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    files = []
    for i in range(6):
        files.append(tmp_path / f"{i} <b>.png")
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(files[-1])
    return files


@pytest.fixture
def saved(tmp_path: Path, pictures: list[Path]) -> Path:
    model = strategies.from_scratch(3, "small-cnn", size=28, seed=1)
    model.eval()
    about = {"kind": "images", "backbone": "small-cnn", "size": 28, "classes": ["a", "<b>", "ç"]}
    save_model(tmp_path / "model", model, temperature=0.5, **about)
    return tmp_path / "model"


def test_the_loaded_model_predicts_the_same(saved: Path, pictures: list[Path]) -> None:
    original = strategies.from_scratch(3, "small-cnn", size=28, seed=1).eval()
    wanted = (logits(original, torch.stack([read(p, 28) for p in pictures])) * 0.5).softmax(1)
    torch.manual_seed(99)  # the loaded weights do not depend on what is drawn
    table = load_model(saved).predict(pictures)
    assert np.allclose(table[["p(a)", "p(<b>)", "p(ç)"]].to_numpy(), wanted.numpy(), atol=1e-6)
    assert table["class"].tolist() == [["a", "<b>", "ç"][c] for c in wanted.argmax(1)]
    assert np.allclose(table["probability"], wanted.max(1).values)
    assert "problem" not in table


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_judged(saved: Path, pictures: list[Path]) -> None:
    pictures[1].write_text("no picture")
    table = load_model(saved).predict([*pictures, Path("nowhere.png")])
    assert table["class"].eq("").tolist() == [False, True, False, False, False, False, True]
    assert "UnidentifiedImageError" in table["problem"][1] and "No such file" in table["problem"][6]
    with pytest.raises(UserError, match="nothing to predict"):
        load_model(saved).predict([])


def test_words_with_a_closed_form_head_survive_the_disk(tmp_path: Path) -> None:
    texts, y = ["good film", "bad film", "good play", "bad play"], torch.tensor([1, 0, 1, 0])
    words = build("words", 0)
    probe = fit_probe(words.encode(texts), y)
    model = probe_classifier(words, probe)
    assert torch.allclose(model(words.encode(texts)), words.encode(texts) @ probe.weight + probe.bias, atol=1e-6)
    save_model(tmp_path, model, kind="texts", backbone="words", size=0, classes=["no", "yes"], temperature=4.0)
    assert load_model(tmp_path).predict(["good book", "bad book"])["class"].tolist() == ["yes", "no"]


def test_the_temperature_is_that_of_the_labels() -> None:
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(20_000, 3, generator=g)
    y = torch.multinomial((3 * scores).softmax(1), 1, generator=g).squeeze(1)
    assert temperature(scores, y) == pytest.approx(3, rel=0.06)
    assert temperature(10 * scores, y) == pytest.approx(0.3, rel=0.06)


def test_a_model_that_is_not_whole_is_one_sentence(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no saved model"):
        load_model(tmp_path)
    about = json.loads((saved / "model.json").read_text())
    (saved / "model.json").write_text(json.dumps({k: v for k, v in about.items() if k != "size"}))
    with pytest.raises(UserError, match="lacks 'size'"):
        load_model(saved)
    (saved / "model.json").write_text("{")
    with pytest.raises(UserError, match="is not a model description"):
        load_model(saved)
    (saved / "model.json").write_text(json.dumps(about))
    body = bytearray((saved / "model.safetensors").read_bytes())
    body[-1] ^= 1
    (saved / "model.safetensors").write_bytes(body)
    with pytest.raises(UserError, match="damaged or of another model"):
        load_model(saved)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        save_model(tmp_path / "file" / "model", strategies.Classifier(nn.Identity(), nn.Linear(2, 2)),
                   kind="texts", backbone="words", size=0, classes=["a", "b"], temperature=1)  # fmt: skip


def test_one_text_or_one_file_is_one_row_and_not_one_for_each_letter(
    tmp_path: Path, saved: Path, pictures: list[Path]
) -> None:
    words = build("words", 0)
    probe = fit_probe(words.encode(["good", "bad"]), torch.tensor([1, 0]))
    about = {"kind": "texts", "backbone": "words", "size": 0, "classes": ["no", "yes"], "temperature": 4.0}
    save_model(tmp_path / "texts", probe_classifier(words, probe), **about)
    table = load_model(tmp_path / "texts").predict("good")
    assert table["item"].tolist() == ["good"] and table["class"].tolist() == ["yes"]
    for one in (pictures[0], str(pictures[0])):
        assert load_model(saved).predict(one)["item"].tolist() == [str(pictures[0])]


def test_the_range_of_deep_pictures_is_kept_with_the_model(tmp_path: Path) -> None:
    model = strategies.from_scratch(2, "small-cnn", size=28, seed=1).eval()
    about = {"kind": "images", "backbone": "small-cnn", "size": 28, "classes": ["a", "b"], "temperature": 1}
    values = np.random.default_rng(0).uniform(500, 3500, (28, 28)).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "x.tif")
    save_model(tmp_path / "with", model, **about, span=(500.0, 3500.0))
    wanted = logits(model, read(tmp_path / "x.tif", 28, (500.0, 3500.0))[None]).softmax(1).max().item()
    assert load_model(tmp_path / "with").predict(tmp_path / "x.tif")["probability"][0] == pytest.approx(wanted)
    save_model(tmp_path / "without", model, **about)
    assert "values run from 50" in load_model(tmp_path / "without").predict(tmp_path / "x.tif")["problem"][0]


def test_one_string_is_one_item_even_where_it_is_no_text(saved: Path) -> None:
    table = load_model(saved).predict("gre\udce9t")
    assert table["item"].tolist() == [r"gre\udce9t"] and "problem" in table
