"""What is said of pictures before they are read."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlib.datasets.collection import collect
from transferlib.errors import UserError
from transferlib.own_data.page import shown
from transferlib.own_data.survey import survey


def test_scaled_transparent_and_moving_pictures_are_counted_and_named(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4000, 81).reshape(9, 9)
    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray((ramp / (i + 1)).astype(np.uint16)).save(tmp_path / "p" / name / f"{i}.tif")
    Image.new("RGBA", (9, 9)).save(tmp_path / "p" / "a" / "clear.png")
    frames = [Image.new("RGB", (9, 9), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "p" / "b" / "x.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "p" / "b" / "broken.png").write_bytes(b"no picture")
    found = survey(collect(tmp_path / "p"))
    assert found.span == (0.0, 4095.0)
    said = " ".join(found.notes)
    for part in ("6 pictures have more than 8 bits: 0 is black and 4095 white in all of them: 'a/0.tif'",
                 "1 pictures may be transparent: they are laid on white: 'a/clear.png'.",
                 "1 pictures have several frames: the first one is read: 'b/x.gif'."):  # fmt: skip
        assert part in said
    assert "data:image/png" in shown(found, [0], ["a caption"])


def test_plain_pictures_and_texts_are_left_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / "p" / name / f"{i}.png")
    found = collect(tmp_path / "p")
    assert survey(found) == found
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(6)))
    texts = collect(tmp_path / "t.csv")
    assert survey(texts) is texts


def test_deep_pictures_that_the_common_range_leaves_black_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(np.full((9, 9), 60_000, np.uint16)).save(tmp_path / name / f"{i}.png")
    Image.fromarray(np.full((9, 9), 900, np.uint16)).save(tmp_path / "a" / "0.png")
    said = "1 of them stay below a 50th of that range, and are seen as nearly black: 'a/0.png'."
    assert said in survey(collect(tmp_path)).notes


def test_what_would_be_left_out_is_counted_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (9, 9)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    Image.new("RGB", (30, 30)).save(tmp_path / "a" / "large.png")
    monkeypatch.setattr("transferlib.datasets.pictures.PIXEL_LIMIT", 500)
    assert survey(collect(tmp_path)).notes == []
    assert survey(collect(tmp_path), name_unreadable=True).notes == [
        "2 of 8 files cannot be read and would be left out: 'a/large.png (30×30 is above the limit of 500 pixels)', "
        "'a/notes.txt (no image in a format that is read here)'."
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS: run git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (bytes(128) + b"DICM", "DICOM: export it as PNG"),
        (b"\x93NUMPY\x01\x00", "an array of numpy: save it as PNG"),
        (b"", "an empty file"),
        (b"\0\0\0\x18ftypmp42", "no image in a format that is read here"),
    ],
)
def test_files_that_are_no_pictures_are_called_by_their_kind(tmp_path: Path, content: bytes, why: str) -> None:
    for name in ("a/0.jpg", "a/1.jpg", "a/2.jpg", "b/0.jpg", "b/1.jpg", "b/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"None of the 6 items in .* can be read: {why}"):
        survey(collect(tmp_path), name_unreadable=True)


def test_colours_of_sixteen_bits_are_said(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = chunk(b"IHDR", bytes([0, 0, 0, 4, 0, 0, 0, 4, 16, 2, 0, 0, 0]))  # 4 × 4 pixels of three times 16 bits
    body = chunk(b"IDAT", zlib.compress(bytes(4 * (1 + 4 * 6)))) + chunk(b"IEND", b"")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (9, 9)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "a" / "wide.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    assert any(note.startswith("1 pictures have colours of 16 bits") for note in survey(collect(tmp_path)).notes)
