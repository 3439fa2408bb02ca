"""An exported model: ONNX Runtime gives PyTorch's answers, and what differs is not kept."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from transferlib.datasets.pictures import read
from transferlib.errors import UserError
from transferlib.own_data import export as exporting
from transferlib.own_data.export import Answering, export
from transferlib.own_data.saved import build, load_model, probe_classifier, save_model
from transferlib.tuning import strategies
from transferlib.tuning.probes import fit_probe


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    about = {"kind": "images", "backbone": "small-cnn", "size": 28, "classes": ["a", "<b>", "ç"], "temperature": 3.0}
    save_model(tmp_path / "m", strategies.from_scratch(3, "small-cnn", size=28, seed=1).eval(), **about)  # type: ignore[arg-type]
    return tmp_path / "m"


def test_the_file_answers_as_the_saved_model_for_any_number_of_pictures(saved: Path, tmp_path: Path) -> None:
    said = export(saved, tmp_path / "m.onnx")
    assert "uint8 (N, 3, 28, 28)" in said and "Opset 18" in said and "from PyTorch on 32 inputs" in said
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for i, file in enumerate(files):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(file)
    x = torch.stack([read(file, 28) for file in files]).numpy()
    wanted = load_model(saved).predict(files)[["p(a)", "p(<b>)", "p(ç)"]].to_numpy()
    for count in (1, 3):
        assert np.abs(session.run(None, {"pictures": x[:count]})[0] - wanted[:count]).max() < 1e-5
    proto = onnx.load(tmp_path / "m.onnx")
    told = {line.key: line.value for line in proto.metadata_props}
    assert proto.opset_import[0].version == 18 and told["opset"] == "18"
    assert json.loads(told["classes"]) == ["a", "<b>", "ç"] and "normalisation are inside" in told["input"]


def test_what_differs_or_cannot_be_written_is_one_sentence_and_leaves_no_file(saved: Path, tmp_path: Path, monkeypatch):
    with pytest.raises(UserError, match="cannot be written"):
        export(saved, saved / "model.json" / "m.onnx")
    monkeypatch.setattr(exporting, "LARGEST", -1.0)
    with pytest.raises(UserError, match="nothing was written"):
        export(saved, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_a_difference_is_seen(saved: Path, tmp_path: Path) -> None:
    export(saved, tmp_path / "m.onnx")
    graph, model = (tmp_path / "m.onnx").read_bytes(), load_model(saved).model
    x = torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert exporting.difference(graph, Answering(model, 3.0).eval(), x) < 1e-5
    assert exporting.difference(graph, Answering(model, 3.3).eval(), x) > 1e-4


def test_sentences_as_padded_ids_answer_as_the_text_backbone() -> None:
    """The mean over tokens without the cut to the longest text is the backbone's own."""
    from transferlib.backbones.texts import TextBackbone

    class Body(nn.Module):
        def forward(self, input_ids, attention_mask):  # type: ignore[no-untyped-def]
            return type("Out", (), {"last_hidden_state": torch.stack([input_ids.sin(), input_ids.cos()], -1)})

    tokenizer = type("Tokenizer", (), {"pad_token_id": 0})
    model = strategies.Classifier(TextBackbone(Body(), tokenizer, 2), nn.Linear(2, 2))
    ids = torch.tensor([[3, 4, 5, 0, 0], [7, 0, 0, 0, 0]])
    assert torch.allclose(Answering(model, 2.0)(ids), (model(ids) * 2).softmax(1), atol=1e-6)


def test_a_model_of_sentences_is_exported_and_one_of_counted_words_is_refused(tmp_path: Path) -> None:
    backbone = build("all-MiniLM-L6-v2", 32)
    model = strategies.Classifier(backbone, nn.Linear(384, 2)).eval()
    save_model(tmp_path / "s", model, kind="texts", backbone="all-MiniLM-L6-v2", size=32, classes=["no", "yes"],
               temperature=1.0)  # fmt: skip
    assert "int64 (N, L)" in export(tmp_path / "s", tmp_path / "s.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "s.onnx", providers=["CPUExecutionProvider"])
    ids = backbone.encode(["a good film", "bad"])  # type: ignore[operator]
    wanted = model(ids).softmax(1).detach().numpy()
    assert np.abs(session.run(None, {"ids": ids.numpy()})[0] - wanted).max() < 1e-5

    words = build("words", 0)
    head = fit_probe(words.encode(["good", "bad"]), torch.tensor([1, 0]))  # type: ignore[operator]
    save_model(tmp_path / "w", probe_classifier(words, head), kind="texts", backbone="words", size=0,
               classes=["no", "yes"], temperature=1.0)  # fmt: skip
    with pytest.raises(UserError, match="counts words"):
        export(tmp_path / "w", tmp_path / "w.onnx")
