"""Hub folders, made here in the hub's own format: the features are the library's own, and what is refused is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf
from hub_folders import PICTURES, TEXTS, made
from packaged import weights_or_skip
from PIL import Image

from transferlib.backbones.features import features
from transferlib.backbones.hub import cached_text_layers, image_tower, text_tower
from transferlib.errors import UserError
from transferlib.zeroshot.names import name_vectors


def pictures(count: int = 5) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_are_read_as_the_library_itself_reads_them(kind: str, tmp_path: Path) -> None:
    name, x = made(kind, tmp_path), pictures()
    own = tf.AutoModel.from_pretrained(name).eval()
    prepare = tf.AutoImageProcessor.from_pretrained(name)
    ready = prepare([Image.fromarray(np.moveaxis(p.numpy(), 0, 2)) for p in x], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        if kind in ("clip", "siglip"):
            expected = own.get_image_features(pixel_values=ready).pooler_output
        elif kind == "resnet":
            expected = own(pixel_values=ready).pooler_output.flatten(1)
        else:
            expected = own(pixel_values=ready).last_hidden_state[:, 0]
    tower = image_tower(name)
    assert torch.allclose(features(tower, x), expected, atol=1e-5)
    assert tower.out_features == expected.shape[1] and not any(m.training for m in tower.modules())


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_has_one_vector_whatever_stands_beside_it(kind: str, tmp_path: Path) -> None:
    tower = text_tower(made(kind, tmp_path))
    together = features(tower, ["a dog", "a photo of a cat", "boot"])
    assert torch.allclose(
        together, torch.cat([features(tower, [t]) for t in ("a dog", "a photo of a cat", "boot")]), atol=1e-5
    )
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    assert (together[0] - together[1]).norm() > 1e-3


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_both_sides_share_a_space_and_give_the_librarys_own_scores(kind: str, tmp_path: Path) -> None:
    name, x = made(kind, tmp_path), pictures()
    names = ["dog", "cat", "boot"]
    seen = torch.nn.functional.normalize(features(image_tower(name), x), dim=1)
    scores = seen @ name_vectors(text_tower(name), names, ["a photo of a {}"]).T
    own, words = tf.AutoModel.from_pretrained(name).eval(), tf.AutoTokenizer.from_pretrained(name)
    said = [f"a photo of a {n}" for n in names]
    ids = words(said, padding="max_length" if kind == "siglip" else True, max_length=12, return_tensors="pt")[
        "input_ids"
    ]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7)))
    with torch.no_grad():
        out = own(input_ids=ids, pixel_values=(x / 255 - mean) / std)
    assert torch.allclose(scores, out.image_embeds @ out.text_embeds.T, atol=1e-5)


def test_the_sentence_vector_of_a_bert_is_the_mean_over_its_real_tokens(tmp_path: Path) -> None:
    name = made("bert", tmp_path)
    own, words = tf.AutoModel.from_pretrained(name).eval(), tf.AutoTokenizer.from_pretrained(name)
    with torch.no_grad():
        tokens = own(**words("a photo of a cat", return_tensors="pt")).last_hidden_state[0]
    expected = torch.nn.functional.normalize(tokens.mean(0), dim=0)
    assert torch.allclose(features(text_tower(name), ["a photo of a cat", "dog"])[0], expected, atol=1e-5)


def test_the_packaged_text_model_is_known_by_its_name() -> None:
    weights_or_skip("all-MiniLM-L6-v2")
    assert text_tower("all-MiniLM-L6-v2", max_length=7).max_length == 7
    layers = cached_text_layers("all-MiniLM-L6-v2", ["a dog", "a cat"], max_length=7)
    last = torch.nn.functional.normalize(list(layers.values())[-1], dim=1)
    assert torch.allclose(last, features(text_tower("all-MiniLM-L6-v2", 7), ["a dog", "a cat"]), atol=1e-5)


def test_what_cannot_be_had_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    vit, bert = made("vit", tmp_path / "vit"), made("bert", tmp_path / "bert")
    for wrong, said in (
        (lambda: image_tower(bert), r"\(bert\) reads no pictures: use text_tower"),
        (lambda: text_tower(vit), r"\(vit\) reads no texts: use image_tower"),
        (
            lambda: image_tower(str(tmp_path / "empty")),
            r"The folder '.*empty' cannot be opened .*: check its config\.json\.",
        ),
        (lambda: cached_text_layers(bert, ["a"]), "Only packaged models are kept by name"),
        (
            lambda: text_tower("nobody/has-this-model"),
            "The model 'nobody/has-this-model' cannot be opened .*where the hub answers",
        ),
    ):
        with pytest.raises(UserError, match=said) as caught:
            wrong()
        assert "\n" not in str(caught.value)
    (tmp_path / "vit" / "preprocessor_config.json").unlink()
    with pytest.raises(UserError, match=r"check its preprocessor_config\.json"):
        image_tower(vit)
