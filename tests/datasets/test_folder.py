"""One walk over class folders: a data set and a collection of the same folder hold the same files."""

import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlib.datasets.collection import collect
from transferlib.datasets.named import load
from transferlib.errors import UserError


def picture(file: Path, tint: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((9, 9, 3), tint, np.uint8)).save(file)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for i in range(7):
            picture(tmp_path / "photos" / name / ("deep/er" if i > 4 else "") / f"{i}.png", i)
    return tmp_path / "photos"


def files(path: Path) -> list[str]:
    return sorted(file for split in ("train", "test") for file in load(f"folder:{path}", split).meta["file"])


def test_both_find_the_same_files_with_the_same_labels(photos: Path, tmp_path: Path) -> None:
    picture(photos / ".hidden" / "0.png")
    picture(photos / "cat" / ".hidden.png")
    picture(tmp_path / "away" / "far.png")
    (photos / "dog" / "linked").symlink_to(tmp_path / "away", target_is_directory=True)
    (photos / "dog" / "again").symlink_to(photos, target_is_directory=True)
    found = collect(photos)
    assert files(photos) == sorted(found.items) and len(found.items) == 15
    labels = dict(zip(found.items, found.y, strict=True))
    train = load(f"folder:{photos}")
    assert train.classes == found.classes == ["cat", "dog"]
    assert train.y.tolist() == [labels[file] for file in train.meta["file"]]


def test_a_given_split_is_the_same_in_both(photos: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("a", "b"):
            for i in range(3):
                picture(tmp_path / "given" / part / name / f"{i}.png")
    found = collect(tmp_path / "given")
    for part in ("train", "test"):
        ours = [item for item, split in zip(found.items, found.splits, strict=True) if split == part]
        assert load(f"folder:{tmp_path / 'given'}", part).meta["file"].tolist() == ours


def test_small_classes_stay_in_a_data_set_and_leave_a_comparison(photos: Path) -> None:
    picture(photos / "fox" / "0.png")
    assert collect(photos).classes == ["cat", "dog"] and collect(photos, fewest=1).classes == ["cat", "dog", "fox"]
    assert load(f"folder:{photos}").classes == ["cat", "dog", "fox"]


def test_a_folder_without_files_is_no_class(photos: Path) -> None:
    (photos / "bee").mkdir()
    (photos / "eel").mkdir()
    train = load(f"folder:{photos}")
    assert train.classes == ["cat", "dog"] and set(train.y.tolist()) == {0, 1}


def test_names_that_look_alike_are_pointed_at_by_both(photos: Path) -> None:
    picture(photos / "Cat" / "0.png")
    said = "2 class names differ only in capitals; are they one class?: 'Cat', 'cat'."
    assert said in collect(photos, fewest=1).notes
    with pytest.warns(UserWarning, match=re.escape(said)):
        load(f"folder:{photos}")


def test_a_sound_folder_is_loaded_without_a_word(photos: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(files(photos)) == 14


def test_too_few_classes_are_counted(tmp_path: Path) -> None:
    for count, said in ((0, "has 0 class folders"), (1, "has 1 class folders"), (2, "holds no readable image")):
        for number in range(count):
            (tmp_path / str(number)).mkdir(exist_ok=True)
        for ask in (lambda: collect(tmp_path), lambda: load(f"folder:{tmp_path}")):
            with pytest.raises(UserError, match=said):
                ask()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are no text")
def test_a_class_whose_name_is_not_utf8_has_a_label_that_can_be_written(photos: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9"))
    for i in range(3):
        picture(odd / f"{i}.png")
    found = collect(photos)
    assert found.classes == ["caf\\udce9", "cat", "dog"]
    assert all((found.root / item).is_file() for item in found.items)
    "".join(found.classes).encode("utf-8")
