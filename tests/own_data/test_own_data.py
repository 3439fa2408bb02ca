"""Your own data: what is found, what is left out and said, and that nothing is computed twice."""

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transferlib.datasets.collection import Collection, collect
from transferlib.errors import UserError
from transferlib.own_data import checks as datacheck
from transferlib.own_data import scan, splits


def picture(file: Path, seed: int, size: tuple[int, int] = (40, 40), mode: str = "RGB") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(file)
    return file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for c, name in enumerate(("cat", "dog")):
        for i in range(6):
            picture(tmp_path / "photos" / name / f"{i}.png", 10 * c + i)
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def small_net(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Mean colours instead of a network, and a cache of its own."""
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))

    class Colours(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float().view(len(x), 3, -1)[:, :, :8].flatten(1)  # (N, 3, H, W) → (N, 24)

    monkeypatch.setattr(scan, "at_depth", lambda *_: Colours())


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_found_with_its_classes(photos: Path) -> None:
    found = collect(photos)
    assert (found.kind, found.classes, len(found.items), found.notes) == ("images", ["cat", "dog"], 12, [])
    assert found.items[0] == "cat/0.png" and found.y == [0] * 6 + [1] * 6


def test_train_and_test_folders_are_the_split(photos: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("a", "b"):
            for i in range(3):
                picture(tmp_path / "given" / part / name / f"{i}.png", i)
    found = collect(tmp_path / "given")
    assert found.splits == ["train"] * 6 + ["test"] * 6
    learned, tested = splits.split(found, np.arange(12), seed=5)
    assert learned.tolist() == list(range(6)) and tested.tolist() == list(range(6, 12))


def test_odd_names_are_only_names(tmp_path: Path) -> None:
    names = ["with space", 'it\'s "quoted"', "<script>alert(1)<", "שלום", "🐱"]
    for name in names:
        for i in range(3):
            picture(tmp_path / "odd" / name / f"{name}{i}.png", i)
    assert collect(tmp_path / "odd").classes == sorted(names)


def test_a_csv_of_images_and_one_of_texts(photos: Path) -> None:
    rows = "".join(f"cat/{i}.png,c,g{i // 2}\ndog/{i}.png,d,h{i // 2}\n" for i in range(6))
    found = collect(table(photos / "all.csv", "file,label,group\n" + rows))
    assert found.kind == "images" and found.groups[:2] == ["g0", "h0"]
    texts = "".join(f"good {i},yes\nbad {i},no\n" for i in range(4))
    found = collect(table(photos / "texts.csv", "Text,Label\n" + texts))
    assert found.kind == "texts" and found.items[0] == "good 0" and found.classes == ["no", "yes"]


def test_rows_that_cannot_be_used_are_left_out_and_named(photos: Path) -> None:
    picture(photos.parent / "outside.png", 99)
    rows = [f"cat/{i}.png,c" for i in range(6)] + [f"dog/{i}.png,d" for i in range(5)]
    rows += ["cat/0.png,c", "dog/5.png,c", "dog/5.png,d", "gone.png,d", "../outside.png,d", "cat/1.png,", ",c"]
    found = collect(table(photos / "all.csv", "file,label\n" + "\n".join(rows)))
    said = " ".join(found.notes)
    assert len(found.items) == 11
    for part in ("1 rows repeat an earlier row: 'cat/0.png'", "2 rows give one item two labels: 'dog/5.png'",
                 "1 rows name a file that is not there: 'gone.png'",
                 "1 rows point outside the CSV's folder: '../outside.png'",
                 "2 rows have no label or nothing to learn from"):  # fmt: skip
        assert part in said


def test_small_and_look_alike_classes_are_said(photos: Path) -> None:
    picture(photos / "one" / "0.png", 5)
    for i in range(3):
        picture(photos / "Dog" / f"{i}.png", 50 + i)
    found = collect(photos)
    assert found.classes == ["Dog", "cat", "dog"]
    assert "1 classes have fewer than 3 examples and are left out: 'one'." in found.notes
    assert "2 class names differ only in capitals; are they one class?: 'Dog', 'dog'." in found.notes


def test_what_cannot_be_a_collection_is_one_sentence(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "single" / "cat").mkdir(parents=True)
    for i in range(3):
        picture(tmp_path / "single" / "cat" / f"{i}.png", i)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("text,label\nvoilà,a\n".encode("latin-1"))
    cases = {
        tmp_path / "nowhere": "There is nothing at",
        tmp_path / "empty": "holds no labels",
        tmp_path / "single": "one class only, 'cat'",
        latin: "is not UTF-8",
        table(tmp_path / "a.csv", "text,y\nx,1\n"): "has no column 'label': its columns are 'text', 'y'",
        table(tmp_path / "b.csv", "x,label\nx,1\n"): "has no column 'file' \\(images\\) or 'text'",
        table(tmp_path / "c.csv", ""): "is not a CSV table",
        table(tmp_path / "d.csv", "text,label,split\na,1,fold 7\n"): "The column 'split' of .* holds 'fold 7'",
    }
    for path, sentence in cases.items():
        with pytest.raises(UserError, match=sentence):
            collect(path)


def test_a_loop_of_links_ends(photos: Path) -> None:
    (photos / "cat" / "again").symlink_to(photos)
    assert len(collect(photos).items) >= 12


def test_unreadable_pictures_are_named_with_their_reason_and_the_rest_is_kept(photos: Path, monkeypatch) -> None:
    from transferlib.datasets import pictures

    monkeypatch.setattr(pictures, "PIXEL_LIMIT", 10_000)
    whole = (photos / "cat" / "0.png").read_bytes()
    (photos / "cat" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (photos / "cat" / "empty.png").write_bytes(b"")
    (photos / "cat" / "text.png").write_text("no picture")
    picture(photos / "cat" / "huge.png", 3, (200, 200))
    picture(photos / "cat" / "dot.png", 4, (1, 1))
    for mode, name in (("CMYK", "cmyk.jpg"), ("P", "palette.gif"), ("L", "grey.png")):
        picture(photos / "dog" / name, 7, mode=mode)
    Image.fromarray(np.full((30, 30), 40_000, np.uint16)).save(photos / "dog" / "deep.png")
    frames = [Image.new("RGB", (30, 30), c) for c in ("red", "blue")]
    frames[0].save(photos / "dog" / "moving.gif", save_all=True, append_images=frames[1:])
    seen = scan.scan(collect(photos), size=16)
    note = seen.found.notes[-1]
    assert note.startswith("4 of 22 files cannot be read:")
    for part in (
        "cat/empty.png (an empty file)",
        "cat/huge.png (200×200 is above the limit",
        "cat/text.png (no image",
        "cat/truncated.png (",
    ):
        assert part in note
    assert len(seen.found.items) == 18 and str(photos) not in note
    assert (1, 1) in seen.sizes


def test_ten_new_pictures_cost_ten(photos: Path) -> None:
    first = scan.scan(collect(photos), size=16)
    assert first.computed == 12
    assert scan.scan(collect(photos), size=16).computed == 0
    for i in range(10):
        picture(photos / "cat" / f"new{i}.png", 70 + i)
    (photos / "dog" / "0.png").rename(photos / "dog" / "renamed.png")
    more = scan.scan(collect(photos), size=16)
    assert more.computed == 10
    at = more.found.items.index("dog/renamed.png")
    assert torch.equal(more.features[at], first.features[first.found.items.index("dog/0.png")])
    assert scan.scan(collect(photos), size=8).computed == 22  # another size is another feature


def test_an_interrupted_scan_goes_on(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CHUNK", 4)
    real, calls = scan.features, []

    def dies(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(scan, "features", dies)
    with pytest.raises(KeyboardInterrupt):
        scan.scan(collect(photos), size=16)
    monkeypatch.setattr(scan, "features", real)
    assert scan.scan(collect(photos), size=16).computed == 4


def test_a_cache_that_cannot_be_written_is_one_sentence(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path / "build"))
    assert scan.scan(collect(photos), size=16).computed > 0  # kept in the build folder
    monkeypatch.setenv("TRANSFERLIB_BUILD", str(tmp_path / "file"))
    with pytest.raises(UserError, match="can be written to: set TRANSFERLIB_CACHE"):
        scan.scan(collect(photos), size=16)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "seen").write_text("")
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "odd"))
    with pytest.raises(UserError, match="The features cannot be kept in"):
        scan.scan(collect(photos), size=16)
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "full"))
    monkeypatch.setattr(
        scan, "features", lambda *a, **k: (_ for _ in ()).throw(sqlite3.OperationalError("disk is full"))
    )
    with pytest.raises(UserError, match=r"disk is full.*free some space"):
        scan.scan(collect(photos), size=16)


def test_nothing_readable_is_one_sentence(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "bad" / name / f"{i}.png").write_text(f"no {i}")
    with pytest.raises(UserError, match="None of the 6 items"):
        scan.scan(collect(tmp_path / "bad"), size=16)


def test_repeated_content_is_dropped_and_torn_labels_too(photos: Path) -> None:
    same = (photos / "cat" / "0.png").read_bytes()
    (photos / "cat" / "copy.png").write_bytes(same)
    torn = (photos / "cat" / "1.png").read_bytes()
    (photos / "dog" / "torn.png").write_bytes(torn)
    picture(photos / "dog" / "tiny.png", 80, (5, 5))
    checked = datacheck.check(scan.scan(collect(photos), size=16))
    notes = " ".join(checked.scan.found.notes)
    assert "1 files repeat the content of another: 'cat/copy.png'" in notes
    assert "2 files have the same content and different labels: 'cat/1.png', 'dog/torn.png'" in notes
    assert "1 images are narrower than 24 pixels, and kept: 'dog/tiny.png'" in notes
    assert checked.counts["examples"].tolist() == [5, 7]
    assert len(checked.scan.features) == len(checked.scan.found.items) == len(checked.together) == 12


def collection(y: list[int], groups: list[str] | None = None) -> Collection:
    names = [str(c) for c in sorted(set(y))]
    return Collection("texts", Path(), [str(i) for i in range(len(y))], y, names, groups or [], [], [])


def test_near_duplicates_and_groups_stay_on_one_side_of_a_split() -> None:
    g = torch.Generator().manual_seed(0)
    y = [0, 1] * 30
    x = torch.randn(60, 16, generator=g)
    x[1::4] = x[::4] + 0.01 * torch.randn(15, 16, generator=g)  # every fourth has a lookalike of the other class
    seen = scan.Scan(collection(y, [str(i // 3) for i in range(60)]), [str(i) for i in range(60)], x, [(1, 1)] * 60, 0)
    checked = datacheck.check(seen)
    assert len(checked.alike) == 15 and not checked.alike["same_label"].any()
    for seed in range(5):
        learned, tested = splits.split(checked.scan.found, checked.together, seed)
        assert sorted([*learned.tolist(), *tested.tolist()]) == list(range(60))
        side = np.zeros(60, int)
        side[tested.numpy()] = 1
        assert all(len(set(side[3 * i : 3 * i + 3])) == 1 for i in range(20))
        assert all(side[a] == side[b] for a, b in zip(checked.alike["a"], checked.alike["b"], strict=True))


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_the_frames_of_a_fixed_camera_stay_on_one_side(noise: float) -> None:
    g = torch.Generator().manual_seed(0)
    scenes = torch.randn(40, 64, generator=g)
    shown = [i % 40 for i in range(200)]  # five frames of each scene, each alike to all of the others
    x = scenes[shown] + noise * torch.randn(200, 64, generator=g)
    seen = scan.Scan(collection([i % 2 for i in shown]), [str(i) for i in range(200)], x, [(1, 1)] * 200, 0)
    checked = datacheck.check(seen, threshold=0.8)
    assert len(checked.alike) == 40 * 10  # all pairs of five, not only each frame's nearest
    for seed in range(3):
        learned, tested = splits.split(checked.scan.found, checked.together, seed)
        assert not {shown[i] for i in learned.tolist()} & {shown[i] for i in tested.tolist()}


def test_large_data_is_split_fast_with_clusters_whole_and_classes_even(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    y = rng.choice(3, 900, p=[0.6, 0.3, 0.1])
    together = np.concatenate([np.arange(600), 600 + np.arange(300) // 3])  # the last 300 in threes
    found = Collection("texts", Path(), ["x"] * 900, y.tolist(), ["a", "b", "c"], [], [], [])
    monkeypatch.setattr(splits, "MANY", 500)
    seen = set()
    for seed in range(5):
        learned, tested = splits.split(found, together, seed)
        assert not set(together[learned]) & set(together[tested]) and len(learned) + len(tested) == 900
        assert np.bincount(y[tested]) / np.bincount(y) == pytest.approx([1 / 3] * 3, abs=0.06)
        seen.add(tuple(tested.tolist()))
    assert len(seen) == 5


def test_a_class_without_test_examples_is_named() -> None:
    found = collection([0] * 9 + [1] * 9, ["all"] * 9 + [str(i) for i in range(9)])
    with pytest.raises(UserError, match="Class '0' has nothing to"):
        splits.split(found, np.array([0] * 9 + list(range(1, 10))), seed=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_one_sentence(photos: Path) -> None:
    photos.chmod(0)
    with pytest.raises(UserError, match="may not be read"):
        collect(photos)
    photos.chmod(0o755)


def test_a_class_that_reading_or_copies_leave_too_small_goes_and_is_named(photos: Path) -> None:
    for i in range(3):
        picture(photos / "fox" / f"{i}.png", 50)  # one picture, three times
        (photos / "gnu").mkdir(exist_ok=True)
        (photos / "gnu" / f"{i}.png").write_bytes(b"")
    left = datacheck.check(scan.scan(collect(photos)))
    found = left.scan.found
    assert found.classes == ["cat", "dog"] and sorted(set(found.y)) == [0, 1]
    assert list(left.counts["examples"]) == [6, 6]
    assert any("left with fewer than 3 examples and are left out: 'fox', 'gnu'" in note for note in found.notes)


def test_the_size_fits_half_of_the_examples(photos: Path) -> None:
    assert scan.fitting_size(collect(photos)) == 64
    for name in ("cat", "dog"):
        for i in range(8):
            picture(photos / name / f"large{i}.png", i, (150, 130))
    (photos / "cat" / "broken.png").write_bytes(b"no picture")
    assert scan.fitting_size(collect(photos)) == 128
    rows = "".join(f"{'word ' * n}{i},{label}\n" for i, (n, label) in enumerate([(3, "a"), (3, "b")] * 4))
    assert scan.fitting_size(collect(table(photos / "short.csv", "text,label\n" + rows))) == 32
    rows = "".join(f"{'word ' * 60}{i},{label}\n" for i, label in enumerate("abababab"))
    assert scan.fitting_size(collect(table(photos / "long.csv", "text,label\n" + rows))) == 128


def test_two_groups_are_learned_from_and_tested_on_and_one_is_a_sentence() -> None:
    together = np.arange(12) // 6
    found = collection([0, 1] * 6, [f"camera {i}" for i in together])
    for seed in range(4):
        learned, tested = splits.split(found, together, seed)
        assert {frozenset(together[learned]), frozenset(together[tested])} == {frozenset({0}), frozenset({1})}
    one = collection([0, 1] * 6, ["camera"] * 12)
    with pytest.raises(UserError, match="Every example is of the one group 'camera'"):
        splits.split(one, np.zeros(12, int), seed=0)
    same = collection([0] * 6 + [1] * 6, [f"camera {i}" for i in together])
    with pytest.raises(UserError, match=r"Class .* of the group 'camera \d', .* Give each class two groups"):
        splits.split(same, together, seed=0)


def test_groups_that_can_be_split_fairly_are() -> None:
    # Class 1 lives in two of five groups: the first of three parts has none of it, and must not be the test part.
    together = np.repeat(np.arange(5), [4, 5, 4, 4, 4])
    found = collection([int(i in (9, 10, 17, 18)) for i in range(21)], [str(i) for i in together])
    for seed in range(6):
        _, tested = splits.split(found, together, seed)
        assert {found.y[i] for i in tested.tolist()} == {0, 1}


def test_one_pair_of_twins_among_many_examples_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "MANY", 50)
    together = np.array([*range(60), 60, 60])
    found = collection([0, 1] * 31)
    for seed in range(3):
        learned, tested = splits.split(found, together, seed)
        assert len(learned) + len(tested) == 62 and not set(together[learned]) & set(together[tested])


def test_features_that_are_all_the_same_are_said_and_nothing_is_a_twin() -> None:
    seen = scan.Scan(collection([0, 1] * 6), [str(i) for i in range(12)], torch.ones(12, 4), [(1, 1)] * 12, 0)
    checked = datacheck.check(seen)
    assert len(checked.alike) == 0 and len(set(checked.together.tolist())) == 12
    assert "The pretrained network sees the same in every example" in checked.scan.found.notes[-1]


def test_a_class_that_reading_leaves_on_one_side_of_a_given_split_goes(photos: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("a", "b", "c"):
            for i in range(4):
                picture(tmp_path / "given" / part / name / f"{i}.png", number_of(part, name, i))
    for i in range(4):
        (tmp_path / "given" / "test" / "c" / f"{i}.png").write_bytes(b"no picture")
    found = datacheck.check(scan.scan(collect(tmp_path / "given"))).scan.found
    assert found.classes == ["a", "b"]
    assert "1 classes have nothing to test on in your split and are left out: 'c'." in found.notes


def number_of(part: str, name: str, i: int) -> int:
    return 1000 * ("train", "test").index(part) + 100 * "abc".index(name) + i


@pytest.mark.skipif(os.name != "posix", reason="other systems refuse names that are no text")
def test_a_file_whose_name_is_no_text_is_an_example(photos: Path) -> None:
    for name in ("caf\udce9.png", "\udce9.png"):
        (photos / "cat" / name).write_bytes((photos / "cat" / "0.png").read_bytes())
    notes = " ".join(datacheck.check(scan.scan(collect(photos))).scan.found.notes)
    assert "2 files repeat the content of another" in notes and r"caf\udce9.png" in notes
    notes.encode("utf-8")


def test_texts_longer_than_the_window_are_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Words(torch.nn.Module):
        def tokenizer(self, text: str, **_: bool) -> dict[str, list[int]]:
            return {"input_ids": [len(word) for word in text.split()]}

    monkeypatch.setattr(scan, "at_depth", lambda *_: Words())
    monkeypatch.setattr(scan, "features", lambda net, x, **_: torch.tensor([[float(len(t)), 1.0] for t in x]))
    rows = "".join(f"{'word ' * (33 if i < 2 else 32)}{i},{'ab'[i % 2]}\n" for i in range(8)).replace(" 7,", ",")
    found = collect(table(tmp_path / "t.csv", "text,label\n" + rows))
    for _ in range(2):  # the second time from what was kept
        seen = scan.scan(found, size=33)
        assert seen.found.notes[-1].startswith(
            "2 of 8 texts are longer than the 33 tokens that the network reads, and cut off there: 'word word"
        )
    assert seen.sizes[0] == (34, 34)
    assert scan.scan(found, size=64).found.notes == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
def test_a_pipe_among_the_pictures_is_named_and_not_waited_for(photos: Path) -> None:
    os.mkfifo(photos / "cat" / "pipe.png")
    (photos / "cat" / "gone.png").symlink_to("/nowhere")
    seen = scan.scan(collect(photos), size=16)
    assert len(seen.keys) == 12 and "2 of 14 files cannot be read" in " ".join(seen.found.notes)
    assert "cat/pipe.png (not a regular file)" in " ".join(seen.found.notes)
    assert "cat/gone.png (a link to a file that is not there)" in " ".join(seen.found.notes)
