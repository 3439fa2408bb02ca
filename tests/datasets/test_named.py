import gzip
import os
import re
import struct
import time
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from transferlib.datasets import base
from transferlib.datasets.named import load
from transferlib.errors import UserError

EVERY = [
    ("fashion-mnist", {}), ("digits", {}), ("emoji", {"style": "all"}), ("emoji", {"label": "category"}),
    ("emoji", {"label": "name"}), *(("sentiment", {"domain": d}) for d in ("tweets", "amazon", "movie", "nyt")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), EVERY, ids=str)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_embedded_set_is_whole(name: str, options: dict[str, str], split: str) -> None:
    base.archive.cache_clear()
    start = time.perf_counter()
    data = load(name, split, **options)
    print(f"{name} {options} {split}: {len(data)} in {time.perf_counter() - start:.2f} s")
    assert len(data.x) == len(data.y) == len(data.meta) == len(data) > 200
    assert data.y.dtype == torch.int64
    assert data.y.unique().tolist() == list(range(len(data.classes)))
    if isinstance(data.x, torch.Tensor):
        assert data.x.dtype == torch.uint8
        assert data.x.ndim == 4
        assert int(data.x.max()) > 200
    else:
        assert all(text.strip() for text in data.x)


def test_a_changed_image_does_not_change_the_next_load() -> None:
    for name in ("fashion-mnist", "emoji", "digits"):
        first = load(name)
        kept = first.x.clone()
        first.x.zero_()
        assert torch.equal(load(name).x, kept)
        assert torch.equal(load(name).y, first.y)


def test_fashion_is_balanced_and_digits_are_scikit_learns() -> None:
    assert load("fashion-mnist").y.bincount().tolist() == [800] * 10
    assert load("fashion-mnist", "test").y.bincount().tolist() == [200] * 10
    assert load("fashion-mnist").y[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]  # as the original file begins
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
    trained = set(load("emoji", "train", label="group").meta["codepoint"])
    assert not trained & set(load("emoji", "test", label="name").meta["codepoint"])


@pytest.mark.parametrize("style", ["noto", "twemoji", "fluent", "openmoji"])
def test_no_vendor_repeats_a_drawing_and_flags_are_left_out(style: str) -> None:
    parts = [load("emoji", split, style=style, label="name") for split in ("train", "test")]
    assert not any((part.meta["category"] == "Flags").any() for part in parts)
    small = [torch.nn.functional.avg_pool2d(part.x.float(), 4).flatten(1) for part in parts]
    every = torch.cat(small)
    apart = torch.cdist(every, every).fill_diagonal_(torch.inf) / every.shape[1] ** 0.5
    assert float(apart.min()) > 2  # grey levels; compression may take one of the three that were asked for


def test_every_emoji_group_allows_a_budget_of_eighteen() -> None:
    data = load("emoji")
    assert len(data.classes) == 14
    assert int(data.y.bincount().min()) >= 18
    assert [data.classes[i] for i in data.y.tolist()] == data.meta["group"].tolist()


def test_an_emoji_tile_is_where_its_name_says() -> None:
    parts = [load("emoji", split, label="name", style="twemoji") for split in ("train", "test")]
    [red] = [part.x[i] for part in parts for i, name in enumerate(part.classes) if name == "red circle"]
    assert red[0, 32, 32] > 180
    assert max(red[1:, 32, 32].tolist()) < 90
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
        (lambda: load(3), "The data set 3 is no name"),
        (lambda: load("folder:x", size=0), "The image size 0 is not usable"),
        (lambda: load("torchvision:CIFAR10", size="big"), "The image size 'big' is not usable"),
        (lambda: load("torchvision:CIFAR10", limit=-1), "The limit -1 is not usable"),
        (lambda: load("torchvision:FakeData"), "torchvision's FakeData cannot be loaded by name alone"),
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
    with pytest.raises(UserError, match=r"fashion-mnist\.npz is damaged: reinstall transferlib"):
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
    assert train.x.shape == (14, 3, 32, 32)
    assert test.x.shape == (6, 3, 32, 32)
    assert not set(train.meta["file"]) & set(test.meta["file"])
    assert train.classes == ["cat", "dog <b>"]


def test_files_that_are_no_images_are_named_and_left_out(photos: Path) -> None:
    cut = (photos / "cat/0.png").read_bytes()[:60]
    for name, data in {"notes.txt": b"hello", "empty.png": b"", "cut.png": cut}.items():
        (photos / "cat" / name).write_bytes(data)
    with pytest.warns(UserWarning, match=r"\d of \d+ files .* are no readable images"):
        both = [file for split in ("train", "test") for file in load(f"folder:{photos}", split).meta["file"]]
    assert sorted(both) == sorted(f"{c}/{i}.png" for c in ("cat", "dog <b>") for i in range(10))


def test_grey_palette_transparent_sixteen_bit_and_turned_images_are_read_right(tmp_path: Path) -> None:
    from transferlib.datasets.pictures import read

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
    from transferlib.datasets import pictures

    monkeypatch.setattr(pictures, "PIXEL_LIMIT", 3000)
    Image.new("RGB", (100, 100)).save(photos / "cat" / "huge.png")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        names = [n for s in ("train", "test") for n in load(f"folder:{photos}", s).meta["file"]]
    assert "cat/huge.png" not in names
    assert any("huge.png" in str(w.message) for w in said)


def test_links_that_loop_add_nothing(photos: Path) -> None:
    before = load(f"folder:{photos}").meta["file"].tolist()
    for name, target in {"again": photos, "self": photos / "cat"}.items():
        (photos / "cat" / name).symlink_to(target, target_is_directory=True)
    assert load(f"folder:{photos}").meta["file"].tolist() == before


def test_a_link_to_images_elsewhere_is_followed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = tmp_path_factory.mktemp("away")
    Image.new("RGB", (8, 8)).save(away / "far.png")
    (photos / "cat" / "linked").symlink_to(away, target_is_directory=True)
    assert "cat/linked/far.png" in [f for s in ("train", "test") for f in load(f"folder:{photos}", s).meta["file"]]


def test_pipes_and_postscript_are_left_out(photos: Path) -> None:
    os.mkfifo(photos / "cat" / "pipe.png")
    Image.new("RGB", (8, 8)).save(photos / "dog <b>" / "page.eps")
    with pytest.warns(UserWarning, match="are no readable images") as said:
        names = [n for s in ("train", "test") for n in load(f"folder:{photos}", s).meta["file"]]
    assert len(names) == 20
    assert all(n.endswith(".png") for n in names)
    assert any("pipe.png" in str(w.message) for w in said)
    assert any("page.eps (UnidentifiedImageError)" in str(w.message) for w in said)  # never handed to PostScript


def test_a_class_means_the_same_number_in_given_train_and_test_parts(tmp_path: Path) -> None:
    for part, names in {"train": "abc", "test": "ac"}.items():
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), "white").save(tmp_path / part / name / "one.png")
    train, test = load(f"folder:{tmp_path}"), load(f"folder:{tmp_path}", "test")
    assert train.classes == test.classes == ["a", "b", "c"]
    assert train.y.tolist() == [0, 1, 2]
    assert test.y.tolist() == [0, 2]


def test_an_empty_folder_and_a_single_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 0 class folders"):
        load(f"folder:{tmp_path}")
    (tmp_path / "cat").mkdir()
    with pytest.raises(UserError, match="has 1 class folders: at least two"):
        load(f"folder:{tmp_path}")
    (tmp_path / "dog").mkdir()
    with pytest.raises(UserError, match="holds no readable image"):
        load(f"folder:{tmp_path}")
    for i in range(4):
        Image.new("RGB", (8, 8)).save(tmp_path / "dog" / f"{i}.png")
    with pytest.raises(UserError, match="holds readable images of one class only, 'dog'"):
        load(f"folder:{tmp_path}")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.mark.usefixtures("no_network")
def test_without_a_network_a_torchvision_set_is_one_sentence(tmp_path: Path) -> None:
    for name in ("CIFAR10", "OxfordIIITPet", "EuroSAT"):
        with pytest.raises(UserError, match=rf"{name} is not in .* could not be downloaded .*no network") as caught:
            load(f"torchvision:{name}", root=str(tmp_path))
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_a_torchvision_set_on_disk_is_read_as_its_files_say(tmp_path: Path) -> None:
    ours = load("fashion-mnist")
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):  # the idx format: magic number, sizes, bytes
        pixels = struct.pack(">4I", 2051, 50, 28, 28) + ours.x[:50].numpy().tobytes()
        labels = struct.pack(">2I", 2049, 50) + ours.y[:50].to(torch.uint8).numpy().tobytes()
        for kind, data in {"images-idx3": pixels, "labels-idx1": labels}.items():
            (folder / f"{part}-{kind}-ubyte").write_bytes(data)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(data))
    read = load("torchvision:FashionMNIST", root=str(tmp_path))
    assert torch.equal(read.x, ours.x[:50].expand(-1, 3, -1, -1))
    assert torch.equal(read.y, ours.y[:50])
    assert read.classes[9] == "Ankle boot"
    few = load("torchvision:FashionMNIST", root=str(tmp_path), size=16, limit=7)
    assert few.x.shape == (7, 3, 16, 16)


def test_torchvision_sets_without_parts_or_with_other_part_names_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    class Whole:
        classes = ("a", "b")

        def __init__(self, root: str, download: bool = False) -> None:
            self.labels: list[object] = [i % 2 for i in range(20)]

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, i: int) -> tuple[Image.Image, object]:
            return Image.new("L", (10 + i, 12), i), self.labels[i]  # sizes differ: resized

    class Named(Whole):
        def __init__(self, root: str, split: str = "trainval", download: bool = False) -> None:
            if split not in ("trainval", "test"):
                raise ValueError(split)
            super().__init__(root)

    class Boxes(Whole):
        def __init__(self, root: str, download: bool = False) -> None:
            self.labels = [{"box": i} for i in range(20)]

    monkeypatch.setattr(torchvision.datasets, "EuroSAT", Whole)
    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", Named)
    monkeypatch.setattr(torchvision.datasets, "Kitti", Boxes)
    train, test = load("torchvision:EuroSAT"), load("torchvision:EuroSAT", "test")
    assert train.x.shape == (14, 3, 64, 64)
    assert test.x.shape == (6, 3, 64, 64)
    grey = [int(v) for part in (train, test) for v in part.x[:, 0, 0, 0]]
    assert sorted(grey) == list(range(20))
    assert len(load("torchvision:OxfordIIITPet")) == 20
    with pytest.raises(UserError, match="Kitti has no single class label per image"):
        load("torchvision:Kitti")
