"""A name means the model that is known by it; a folder has to be one that no model is called by."""

from pathlib import Path

import pytest
import torch

from transferlib.backbones import texts
from transferlib.backbones.images import ImageBackbone
from transferlib.backbones.named import named_backbone
from transferlib.backbones.weights import MANIFEST
from transferlib.errors import UserError


@pytest.mark.parametrize("name", ["efficientnet-lite0", "small-cnn", "resnet18", "resnet18.a1_in1k"])
def test_a_folder_does_not_hide_the_known_model_of_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert isinstance(named_backbone(name, False, 32, 32), ImageBackbone)


def test_the_packaged_text_model_and_language_model_are_found_beside_such_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def stop(name: str) -> Path:
        asked.append(name)
        raise UserError("stopped")

    monkeypatch.setattr(texts, "path", stop)
    monkeypatch.setattr(texts, "_dequantised", stop)
    for name in MANIFEST:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="stopped"):
        named_backbone(texts.DEFAULT_TEXT, False, 32, 32)
    with pytest.raises(UserError, match="stopped"):
        texts.language_model()
    assert asked == [texts.DEFAULT_TEXT, texts.DEFAULT_LANGUAGE]
    # An image model's name is no text model's, whatever folder there is.
    with pytest.raises(UserError, match="Unknown text backbone 'efficientnet-lite0'"):
        texts.text_backbone("efficientnet-lite0")
    with pytest.raises(UserError, match="Unknown language model 'efficientnet-lite0'"):
        texts.language_model("efficientnet-lite0")


def test_any_other_folder_is_a_text_model_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(texts, "text_backbone", lambda name, *rest: seen.append(name) or torch.nn.Identity())
    monkeypatch.chdir(tmp_path)
    for folder in ("holiday", "./resnet18"):
        Path(folder).mkdir()
        named_backbone(folder, False, 32, 32)
    assert seen == ["holiday", "./resnet18"]
