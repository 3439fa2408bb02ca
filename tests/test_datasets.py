import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transferlib.datasets import base, load
from transferlib.errors import UserError

EVERY = [
    ("fashion-mnist", {}), ("digits", {}), ("emoji", {"style": "all"}), ("emoji", {"label": "category"}),
    ("emoji", {"label": "name"}), *(("sentiment", {"domain": d}) for d in ("tweets", "amazon", "movie", "nyt")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), EVERY, ids=str)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_embedded_set_is_whole(name: str, options: dict[str, str], split: str) -> None:
    data = load(name, split, **options)
    assert len(data.x) == len(data.y) == len(data.meta) == len(data) > 200
    assert data.y.dtype == torch.int64
    assert data.y.unique().tolist() == list(range(len(data.classes)))
    if isinstance(data.x, torch.Tensor):
        assert data.x.dtype == torch.uint8 and data.x.ndim == 4 and int(data.x.max()) > 200
    else:
        assert all(text.strip() for text in data.x)


def test_fashion_is_balanced_and_digits_are_scikit_learns() -> None:
    assert load("fashion-mnist").y.bincount().tolist() == [800] * 10
    from sklearn.datasets import load_digits

    ours = torch.cat([load("digits", s).x for s in ("train", "test")])[:, 0]
    assert np.array_equal((ours.numpy().astype(float) * 16 / 255).round(), load_digits().images)


def test_emoji_styles_show_the_same_things_in_the_same_order_and_splits_share_no_code_point() -> None:
    parts = {style: load("emoji", style=style) for style in ("noto", "twemoji", "fluent", "openmoji")}
    names = [part.meta["codepoint"].tolist() for part in parts.values()]
    assert all(n == names[0] for n in names)
    assert not torch.equal(parts["noto"].x, parts["fluent"].x)
    together = load("emoji", style="all")
    assert torch.equal(together.x[len(names[0]) : 2 * len(names[0])], parts["twemoji"].x)
    for label in ("group", "category", "name"):
        seen = set(load("emoji", "train", label=label).meta["codepoint"])
        assert not seen & set(load("emoji", "test", label=label).meta["codepoint"])
    assert not set(load("emoji", "train", label="group").meta["codepoint"]) & set(load("emoji", "test", label="name").meta["codepoint"])


def test_an_emoji_tile_is_where_its_name_says() -> None:
    data = load("emoji", label="name", style="twemoji")
    red = data.x[data.meta["name"].tolist().index("red circle")]
    assert red[:, 32, 32].tolist()[0] > 180 and max(red[:, 32, 32].tolist()[1:]) < 90
    assert red[:, 0, 0].tolist() == pytest.approx([255] * 3, abs=6)


@pytest.mark.parametrize("domain", ["tweets", "amazon", "movie", "nyt"])
def test_no_test_sentence_was_seen_in_training_in_another_spelling(domain: str) -> None:
    def plain(texts: list[str]) -> set[str]:
        return {" ".join(re.findall(r"[a-z]+", text.lower())) for text in texts}

    train, test = load("sentiment", "train", domain=domain), load("sentiment", "test", domain=domain)
    assert not plain(train.x) & plain(test.x)
    assert ((train.meta["rating"] > 0.5).to_numpy() == train.y.numpy().astype(bool)).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: load("fashion-mist"), "Unknown data set 'fashion-mist': did you mean 'fashion-mnist'"),
        (lambda: load("emoji", "validation"), "Split 'validation' of 'emoji' is unknown"),
        (lambda: load("emoji", style="Noto2"), "Emoji style 'Noto2' is unknown: did you mean 'noto'"),
        (lambda: load("emoji", label="colour"), "Emoji label 'colour' is unknown"),
        (lambda: load("sentiment", domain="movies"), "did you mean 'movie'"),
        (lambda: load("digits", size=3), "'digits' does not know the option 'size'"),
        (lambda: load("folder:"), "Unknown data set 'folder:'"),
        (lambda: load("folder:/no/such/place"), "There is no folder '/no/such/place'"),
        (lambda: load("torchvision:CIFAR11"), "torchvision has no data set 'CIFAR11': did you mean 'CIFAR10'"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_damaged_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in base.EMBEDDED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (tmp_path / "fashion-mnist.npz").read_bytes()
    (tmp_path / "fashion-mnist.npz").write_bytes(whole[:-9] + b"x" + whole[-8:])
    monkeypatch.setattr(base, "EMBEDDED", tmp_path)
    base.archive.cache_clear()
    with pytest.raises(UserError, match=r"fashion-mnist\.npz is damaged: install transferlib again"):
        base.archive("fashion-mnist.npz")
    base.archive.cache_clear()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of ten images, one of each made difficult in its own way."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog <b>"):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_a_folder_becomes_two_disjoint_splits(photos: Path) -> None:
    train, test = load(f"folder:{photos}", size=32), load(f"folder:{photos}", "test", size=32)
    assert train.x.shape == (14, 3, 32, 32) and test.x.shape == (6, 3, 32, 32)
    assert not set(train.meta["file"]) & set(test.meta["file"])
    assert train.classes == ["cat", "dog <b>"]


def test_files_that_are_no_images_are_named_and_left_out(photos: Path) -> None:
    for name, data in {"notes.txt": b"hello", "empty.png": b"", "cut.png": (photos / "cat/0.png").read_bytes()[:60]}.items():
        (photos / "cat" / name).write_bytes(data)
    with pytest.warns(UserWarning, match=r"\d of \d+ files .* are no readable images"):
        both = [load(f"folder:{photos}", split).meta["file"].tolist() for split in ("train", "test")]
    assert sorted(sum(both, [])) == sorted(f"{c}/{i}.png" for c in ("cat", "dog <b>") for i in range(10))


def test_grey_palette_transparent_sixteen_bit_and_turned_images_are_read_right(tmp_path: Path) -> None:
    from transferlib.datasets.folder import read

    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (64, 1))
    for mode in ("L", "P", "RGBA", "CMYK"):
        Image.fromarray(ramp).convert(mode).save(tmp_path / f"{mode}.tif")
        assert read(tmp_path / f"{mode}.tif", 64)[0, 0].float().diff().sum() > 200
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert torch.allclose(read(tmp_path / "deep.png", 64)[0, 0].float(), torch.from_numpy(ramp[0]).float(), atol=2)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(ramp).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert read(tmp_path / "turned.jpg", 64)[0, :, 32].float().diff().sum() > 200


def test_a_picture_above_the_pixel_limit_is_left_out(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transferlib.datasets import folder

    monkeypatch.setattr(folder, "PIXEL_LIMIT", 3000)
    Image.new("RGB", (100, 100)).save(photos / "cat" / "huge.png")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        names = [n for s in ("train", "test") for n in load(f"folder:{photos}", s).meta["file"]]
    assert "cat/huge.png" not in names and any("huge.png" in str(w.message) for w in said)


def test_links_that_loop_end(photos: Path) -> None:
    os.symlink(photos, photos / "cat" / "again", target_is_directory=True)
    data = load(f"folder:{photos}")
    assert len(data) < 60


def test_an_empty_folder_and_a_single_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 0 class folders"):
        load(f"folder:{tmp_path}")
    (tmp_path / "cat").mkdir()
    with pytest.raises(UserError, match="has 1 class folders: at least two"):
        load(f"folder:{tmp_path}")
    (tmp_path / "dog").mkdir()
    with pytest.raises(UserError, match="holds no readable image"):
        load(f"folder:{tmp_path}")
