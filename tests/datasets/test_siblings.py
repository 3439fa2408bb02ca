"""Kin of the cases in test_collection: other spellings of the same trouble, each read or said, and never guessed."""

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from found_inputs import photos, png, table

from transferlib.datasets.collection import collect
from transferlib.datasets.folder import load
from transferlib.errors import UserError


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))


def rows(header: str = "text,label", *more: str, count: int = 8) -> str:
    """``count`` texts of the classes a and b, each with the cells ``more``, where {i} is its number."""
    cells = ((f"words {i}", "ab"[i % 2], *(cell.format(i=i, third=i % 3) for cell in more)) for i in range(count))
    return header + "\n" + "".join(",".join(row) + "\n" for row in cells)


@pytest.mark.parametrize(
    "parts",
    [
        ("x_train", "x_test"),
        ("images-train", "images-val"),
        ("trainA", "testA"),
        ("1_train", "2_test"),
        ("01 Train", "02 Validation"),
        ("train2017", "val2017"),
        ("MyTrain", "MyTest"),
        ("entrenamiento", "prueba"),
        ("treino", "validação", "teste"),
    ],
)
def test_parts_that_differ_in_one_word_are_never_classes(tmp_path: Path, parts: tuple[str, ...]) -> None:
    found = collect(photos(tmp_path / "p", *(f"{part}/{name}" for part in parts for name in ("cat", "dog"))))
    assert found.classes == ["cat", "dog"] and set(found.splits) == {"train", "test"}
    assert "The split is that of the folders" in " ".join(found.notes)


def test_what_only_sounds_like_a_part_is_a_class(tmp_path: Path) -> None:
    assert collect(photos(tmp_path / "p", "steam train", "test tube")).classes == ["steam train", "test tube"]
    assert collect(photos(tmp_path / "q", "trains", "contest")).classes == ["contest", "trains"]


@pytest.mark.parametrize("outer", [("indoor", "outdoor"), ("seen", "unseen"), ("train", "test_old")])
def test_folders_that_hold_the_same_folders_are_pointed_at(tmp_path: Path, outer: tuple[str, str]) -> None:
    found = collect(photos(tmp_path / "p", *(f"{part}/{name}" for part in outer for name in ("cat", "dog"))))
    assert any("the outer ones are taken for the classes" in note for note in found.notes)
    plain = collect(photos(tmp_path / "q", "cat/front", "cat/back", "dog/front"))
    assert plain.notes == []


def test_a_stray_picture_does_not_hide_the_only_folder(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "wrap/cat", "wrap/dog")
    (root / "stray.png").write_bytes(png())
    found = collect(root)
    assert found.classes == ["cat", "dog"]
    assert "1 files lie beside the only folder and are not used: 'stray.png'." in found.notes


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_that_lead_up_are_not_followed_and_said(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "cat", "dog")
    photos(tmp_path, "elsewhere")
    (root / "back").symlink_to("..")
    (root / "cat" / "loop").symlink_to(root)
    found = collect(root)
    assert found.classes == ["cat", "dog"] and len(found.items) == 6
    said = "2 links lead to a folder above them, or to one already read, and are not followed: 'back', 'cat/loop'."
    assert said in found.notes


def test_empty_class_folders_and_folders_of_boxes_are_said(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "cat", "dog")
    (root / "bird").mkdir()
    assert "1 class folders hold no files: 'bird'." in collect(root).notes
    for names in (("images", "labels"), ("JPEGImages", "Annotations"), ("images", "masks")):
        with pytest.raises(UserError, match="boxes or outlines"):
            collect(photos(tmp_path / "-".join(names), *names))


def test_what_lies_in_a_folder_without_classes_is_named(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for i in range(3):
            table(tmp_path / "flat" / f"{name}.{i}.jpg", png(i))
    with pytest.raises(UserError, match=r"holds no labels.* 6 files lie in it: 'cat.0.jpg', 'cat.1.jpg', 'cat.2.jpg'"):
        collect(tmp_path / "flat")


def test_folders_of_text_files_are_texts(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            for i in range(4):
                table(tmp_path / "t" / part / label / f"{i}.txt", f"{label} words {i} of {part}\n")
    table(tmp_path / "t" / "train" / "pos" / "odd.txt", "caf\xe9".encode("latin-1"))
    table(tmp_path / "t" / "train" / "pos" / "empty.txt", " \n")
    table(tmp_path / "t" / "train" / "pos" / "urls.csv", "a")
    os.mkfifo(tmp_path / "t" / "train" / "pos" / "pipe.txt")
    found = collect(tmp_path / "t")
    assert (found.kind, found.classes, len(found.items)) == ("texts", ["neg", "pos"], 16)
    assert found.splits.count("train") == 8 and found.items[0] == "neg words 0 of train"
    assert "3 text files are empty or no UTF-8 text and are left out: 'train/pos/empty.txt', 'train/pos/odd.txt'" in (
        " ".join(found.notes)
    )
    assert "1 files beside the text files are not used: 'train/pos/urls.csv'." in found.notes
    with pytest.raises(UserError, match="holds texts"):
        load(str(tmp_path / "t"), "train")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_tables_called_after_parts_are_one_split(tmp_path: Path, ending: str) -> None:
    for part in ("train", "validation", "test"):
        lines = [{"text": f"{part} {i}", "label": "ab"[i % 2]} for i in range(8)]
        if part != "train":
            lines.append({"text": "train 0", "label": "a"})  # a row of the train part again: it stays there
        mark = "\t" if ending == "tsv" else ","
        text = "\n".join(map(json.dumps, lines))
        if ending != "jsonl":
            text = f"text{mark}label\n" + "".join(f"{row['text']}{mark}{row['label']}\n" for row in lines)
        table(tmp_path / "d" / f"{part}.{ending}", text)
    table(tmp_path / "d" / "README.md", "read me")
    found = collect(tmp_path / "d")
    assert (found.splits.count("train"), found.splits.count("test")) == (8, 8) and found.classes == ["a", "b"]
    said = " ".join(found.notes)
    assert f"The table 'test.{ending}' is read as the test part." in said and "2 rows repeat an earlier row" in said
    assert "1 files lie beside the tables of the split and are not read: 'README.md'." in said


def test_a_test_table_without_labels_is_left_out_and_several_others_are_asked_about(tmp_path: Path) -> None:
    table(tmp_path / "k" / "train.csv", rows())
    table(tmp_path / "k" / "test.csv", "text\nhidden one\nhidden two\n")
    found = collect(tmp_path / "k")
    assert len(found.items) == 8 and found.splits == []
    assert "2 rows have no label or nothing to learn from: 'hidden one', 'hidden two'." in found.notes
    table(tmp_path / "s" / "may.csv", rows())
    table(tmp_path / "s" / "june.csv", rows())
    with pytest.raises(UserError, match=r"holds 2 tables, 'june.csv', 'may.csv': give the one that is meant"):
        collect(tmp_path / "s")


def test_a_folder_between_a_data_set_and_its_tables_is_stepped_into(tmp_path: Path) -> None:
    for part in ("train", "test"):
        place = tmp_path / "h" / "plain"
        place.mkdir(parents=True, exist_ok=True)
        texts = {"text": [f"{part} {i}" for i in range(6)], "label": [i % 2 for i in range(6)]}
        pq.write_table(pa.table(texts), place / f"{part}-00000-of-00001.parquet")
    assert set(collect(tmp_path / "h").splits) == {"train", "test"}


def test_columns_that_are_not_used_are_said_and_twins_are_asked_about(tmp_path: Path) -> None:
    found = collect(table(tmp_path / "a.csv", rows("text,label,class,date", "x", "2024")))
    assert "2 columns are not used: 'class', 'date'." in found.notes
    twice = table(tmp_path / "b.csv", rows("text,Label,label", "x{third}"))
    with pytest.raises(UserError, match="has the columns 'Label' and 'label': say which one is meant, with --label"):
        collect(twice)
    assert collect(twice, columns={"label": "Label"}).classes == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [("set", ("train", "train", "test")), ("subset", ("Training", "Training", "valid")),
     ("is_valid", ("False", "False", "True")), ("is_train", ("1", "1", "0"))],
)  # fmt: skip
def test_a_split_under_another_name_is_taken_and_said(tmp_path: Path, name: str, cells: tuple[str, ...]) -> None:
    lines = [f"words {i},{'ab'[i % 2]},{cells[i // 8]}\n" for i in range(24)]
    found = collect(table(tmp_path / "t.csv", f"text,label,{name}\n" + "".join(lines)))
    assert (found.splits.count("train"), found.splits.count("test")) == (16, 8)
    assert f"The column {name!r} holds" in " ".join(found.notes)


def test_patients_are_groups_and_it_is_said(tmp_path: Path) -> None:
    found = collect(table(tmp_path / "t.csv", rows("text,label,Patient_ID", "p{third}", count=12)))
    assert set(found.groups) == {"p0", "p1", "p2"}
    assert "Rows with the same 'Patient_ID' stay on one side of every split." in found.notes


def test_more_ways_to_write_that_there_is_no_label(tmp_path: Path) -> None:
    labels = ["NAN", "Null", "na", "<na>", "n.a.", *["none"] * 3, *["unknown"] * 3, *"aaabbb"]
    found = collect(table(tmp_path / "t.csv", "text,label\n" + "".join(f"t{i},{x}\n" for i, x in enumerate(labels))))
    assert found.classes == ["a", "b", "none", "unknown"]
    said = " ".join(found.notes)
    assert "5 rows have a label that says that there is none: 'NAN', 'Null', 'na', '<na>', 'n.a.'." in said
    assert "2 labels may say that there is none, and are taken for classes: 'none', 'unknown'." in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# exported in 2024\n" + rows(), r"'# exported in 2024', has one field and the others have 2"),
        ("My data\n\n" + rows(), "delete what stands above the names"),
        ("text,label\n", "has a header, 'text' and so on, and no rows"),
        ("", "is empty"),
    ],
)
def test_titles_and_headers_alone_are_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        collect(table(tmp_path / "t.csv", text))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("t.json", "", "it is empty"),
        ("t.json", "[" * 100_000, "nested too deeply"),
        ("t.json", '[{"text": "a", "label": 1},\n{"text": "b", "label": 2},]', "line 2 cannot be read"),
        ("t.jsonl", '{"text": "a", "label": ' + "1" * 5000 + "}", "line 1 cannot be read"),
        ("t.json", '{"text": ["a", "b"], "label": ["x"]}', r"not of one length \('text' 2, 'label' 1\)"),
        ("t.jsonl", '{"text": "a", "label": "x", "label": "y"}', "two values called 'label'"),
        ("t.jsonl", '{"text": ["a", "b"], "label": 1}\n' * 4, "texts of .* are lists or objects"),
        ("t.jsonl", '{"text": "a", "label": {"id": 1}}\n' * 4, "labels of .* are lists or objects"),
    ],
)
def test_odd_json_is_one_sentence(tmp_path: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        collect(table(tmp_path / name, value))


def test_parts_in_one_json_are_the_split_and_rows_without_a_text_have_their_number(tmp_path: Path) -> None:
    parts: Any = {part: [{"text": f"{part} {i}", "label": "ab"[i % 2]} for i in range(8)] for part in ("train", "test")}
    assert collect(table(tmp_path / "t.json", json.dumps(parts))).splits.count("test") == 8
    parts["train"][4] = {"label": "a"}
    assert "1 rows have no label or nothing to learn from: 'row 5'." in (
        collect(table(tmp_path / "u.json", json.dumps(parts))).notes
    )
    lines = rows().replace("words 3", " ")
    assert "1 rows have no label or nothing to learn from: 'row 5'." in collect(table(tmp_path / "v.csv", lines)).notes


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_pictures_in_a_table_are_found_in_every_row_and_as_plain_bytes(tmp_path: Path) -> None:
    tints, labels = [png(i) for i in range(8)], [i % 2 for i in range(8)]
    assert len(collect(parquet(tmp_path / "a.parquet", image=tints, label=labels)).items) == 8
    late = [None] * 150 + [{"bytes": one, "path": None} for one in tints]
    found = collect(parquet(tmp_path / "b.parquet", image=late, label=[0] * 150 + labels))
    assert len(found.items) == 8 and "8 pictures are inside the table." in found.notes
    lists = [[{"bytes": one, "path": None}] for one in tints]
    with pytest.raises(UserError, match="are lists or objects"):
        collect(parquet(tmp_path / "c.parquet", image=lists, label=labels))


def test_bytes_empty_tables_and_twin_columns_of_parquet(tmp_path: Path) -> None:
    texts = [f"t {i}" for i in range(8)]
    coded = [b"a" if i % 2 else b"b" for i in range(8)]
    assert collect(parquet(tmp_path / "a.parquet", text=texts, label=coded)).classes == ["a", "b"]
    with pytest.raises(UserError, match="neither a picture nor UTF-8"):
        collect(parquet(tmp_path / "b.parquet", text=texts, label=[b"\xff\xfe\xfd"] * 8))
    with pytest.raises(UserError, match="has no rows"):
        collect(parquet(tmp_path / "c.parquet", text=pa.array([], pa.string()), label=pa.array([], pa.string())))
    twins = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["text", "label", "label"])
    pq.write_table(twins, tmp_path / "d.parquet")
    with pytest.raises(UserError, match="two columns called 'label'"):
        collect(tmp_path / "d.parquet")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{i}.png", r"Is '0.png' the file 'imgs/0.png'\?"),
        ("imgs/{i}", r"Is 'imgs/0' the file 'imgs/0.png'\?"),
        ("imgs/{i}.PNG", r"Is 'imgs/0.PNG' the file 'imgs/0.png'\?"),
        ("~/imgs/{i}.png", r"the file 'imgs/0.png'\?"),
        ("https://example.org/{i}.png", "Addresses are not fetched"),
        ("x" * 300 + "{i}.png", "8 rows name a file that is not there"),
        ("x/" * 3000 + "{i}.png", "8 rows name a file that is not there"),
    ],
)
def test_a_file_that_is_not_there_may_be_near(tmp_path: Path, written: str, said: str) -> None:
    photos(tmp_path / "p", "imgs", count=8)
    lines = "".join(f"{written.format(i=i)},{'ab'[i % 2]}\n" for i in range(8))
    with pytest.raises(UserError, match=said):
        collect(table(tmp_path / "p" / "t.csv", "file,label\n" + lines))


def test_other_files_of_data_are_refused_by_their_kind(tmp_path: Path) -> None:
    for name in ("x.db", "x.pkl", "x.h5", "x.html", "x.docx", "x.py"):
        with pytest.raises(UserError, match="is no table that is read here: save it as CSV"):
            collect(table(tmp_path / name, b"PK\x03\x04\0"))
    np.savez(tmp_path / "x.npz", train_images=np.zeros((2, 9, 9)))
    with pytest.raises(UserError, match="save each picture as a file"):
        collect(tmp_path / "x.npz")
    if Path("/dev/null").exists():
        with pytest.raises(UserError, match="neither a file nor a folder"):
            collect("/dev/null")
    with pytest.raises(UserError, match="cannot be looked at"):
        collect("x" * 5000)


def test_archives_with_a_password_with_twins_and_without_data(tmp_path: Path) -> None:
    def zipped(name: str, *members: tuple[str, bytes]) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            for member, content in members:
                file.writestr(member, content)
        return tmp_path / name

    locked = bytearray(zipped("locked.zip", ("cat/0.png", png())).read_bytes())
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UserError, match="has a password: unpack it first"):
        collect(table(tmp_path / "locked.zip", bytes(locked)))
    with pytest.warns(UserWarning, match="Duplicate name"):
        twins = zipped("twins.zip", ("cat/0.png", png(1)), ("cat/0.png", png(2)))
    with pytest.raises(UserError, match=r"holds .cat/0\.png. twice"):
        collect(twins)
    with pytest.raises(UserError, match=r"^'[^']*outer.zip' holds no labels.* 1 files lie in it: 'inner.zip'"):
        collect(zipped("outer.zip", ("inner.zip", b"x")))
    with pytest.raises(UserError, match="damaged, or of another kind"):
        collect(table(tmp_path / "cut.zip", b"PK\x03\x04 and so on"))


def labelled(path: Path, *labels: str, times: int = 4) -> Path:
    """A table of ``times`` texts of each label."""
    cells = [f'words {i} of {n},"{label}"\n' for n, label in enumerate(labels) for i in range(times)]
    return table(path, "text,label\n" + "".join(cells))


def test_blank_rows_and_headers_in_between_are_left_out_and_said(tmp_path: Path) -> None:
    lines = rows().replace("words 2", "\n,\nwords 2").replace("words 6", "text,label\nwords 6") + "\n\n"
    found = collect(table(tmp_path / "t.csv", lines))
    assert len(found.items) == 8
    assert "2 rows are blank and are left out: rows: '4', '5'." in found.notes
    assert "1 rows repeat the header and are left out: rows: '10'." in found.notes


def test_a_small_class_is_compared_with_its_look_alike_before_it_goes(tmp_path: Path) -> None:
    found = collect(table(tmp_path / "t.csv", rows() + "more,A\n"))
    assert found.classes == ["a", "b"]
    assert "2 class names differ only in capitals; are they one class?: 'A', 'a'." in found.notes


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("-1", "0", "1"), ""),
        (("True", "1", "0"), "2 class names look alike; are they one class?: '1', 'True'."),
        (("red|blue", "red", "blue|green", "green"), "2 class names may be several labels of one example"),
        (("red, blue", "red", "blue"), "'red, blue'."),
        (("0,5", "1,0", "1,5", "0,0"), ""),
        (("Korea, North", "Korea, South"), ""),
        (tuple(map(str, range(30))), ""),
        (tuple(map(str, range(40, 70))), "The labels are 30 different numbers, such as '40', '41', '42'"),
        (tuple(f"2024-01-{day:02}" for day in range(1, 31)), "The labels are 30 dates, such as '2024-01-01'"),
        (tuple(f"{day}.1.24" for day in range(1, 31)), "The labels are 30 dates, such as"),
    ],
)
def test_labels_that_may_not_be_classes_are_pointed_at(tmp_path: Path, labels: tuple[str, ...], said: str) -> None:
    found = collect(labelled(tmp_path / "t.csv", *labels))
    assert set(found.classes) == set(labels)
    assert said in " ".join(found.notes) if said else found.notes == []


def test_what_a_mac_leaves_beside_the_only_folder_is_counted(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "pets/cat", "pets/dog", "__MACOSX/pets/cat")
    table(root / ".DS_Store", b"\0")
    said = "2 hidden or system files beside the only folder are skipped: '.DS_Store', '__MACOSX'."
    assert said in collect(root).notes


def test_boxes_are_no_classes_whatever_lies_beside_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds 'Annotations', 'ImageSets', 'JPEGImages': pictures, and boxes"):
        collect(photos(tmp_path / "voc", "JPEGImages", "Annotations", "ImageSets/Main"))
    assert collect(photos(tmp_path / "faces", "mask", "no mask")).classes == ["mask", "no mask"]


@pytest.mark.parametrize("ending", ["csv", "json", "parquet", "npy"])
def test_class_folders_of_tables_are_one_sentence(tmp_path: Path, ending: str) -> None:
    for name in ("pos", "neg"):
        for i in range(3):
            table(tmp_path / "d" / name / f"{i}.{ending}", "text\nwords\n")
    with pytest.raises(UserError, match=rf"hold files of the kind \.{ending}: neither pictures nor texts"):
        collect(tmp_path / "d")


def test_a_form_for_answers_is_not_taken_for_the_data(tmp_path: Path) -> None:
    photos(tmp_path / "k", "train_images", count=8)
    table(tmp_path / "k" / "sample_submission.csv", "image_id,label\n0.png,0\n")
    labels = "".join(f"train_images/{i}.png,{'ab'[i % 2]}\n" for i in range(8))
    table(tmp_path / "k" / "train.csv", "image_id,label\n" + labels)
    found = collect(tmp_path / "k", columns={"file": "image_id"})
    assert found.classes == ["a", "b"]
    assert (
        "1 tables are forms for the answers of a competition and are not read: 'sample_submission.csv'." in found.notes
    )


def test_a_proposal_fits_the_table(tmp_path: Path) -> None:
    photos(tmp_path / "p", "img", count=8)
    numbers = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(8))
    with pytest.raises(UserError, match=r"Is it --file id --label breed\? The first row is the header"):
        collect(table(tmp_path / "p" / "labels.csv", "id,breed\n" + numbers))
    lines = [{"body": f"words {i}", "kind": "ab"[i % 2]} for i in range(8)]
    with pytest.raises(UserError, match=r"Is it --text body --label kind\?$"):
        collect(table(tmp_path / "t.jsonl", "\n".join(map(json.dumps, lines))))
    with pytest.raises(UserError, match=r"its columns are 'year'. Name the columns"):
        collect(table(tmp_path / "t.json", '[{"year": 1}, {"year": 2}]'))
    wide = ",".join(f"pixel{i}" for i in range(784))
    with pytest.raises(UserError, match=r"'pixel10' and 773 more\. Name the columns"):
        collect(table(tmp_path / "w.csv", f"label,{wide}\n1{',0' * 784}\n"))


def test_several_tables_in_one_json_are_asked_about(tmp_path: Path) -> None:
    boxes: Any = {"info": {"year": 2024}, "images": [{"id": 1}], "annotations": [{"id": 1}], "categories": [{"id": 1}]}
    with pytest.raises(UserError, match="is a COCO file: boxes or outlines"):
        collect(table(tmp_path / "coco.json", json.dumps(boxes)))
    with pytest.raises(UserError, match="holds 2 tables, 'may', 'june': save the one that is meant by itself"):
        collect(table(tmp_path / "two.json", json.dumps({"may": [{"text": "a"}], "june": [{"text": "b"}]})))


def test_the_path_of_another_machine_may_end_here(tmp_path: Path) -> None:
    photos(tmp_path / "p", "images/cat", "images/dog")
    lines = "".join(f"C:\\Users\\me\\images\\{name}\\{i}.png,{name}\n" for name in ("cat", "dog") for i in range(3))
    with pytest.raises(UserError, match=r"cat\\\\0.png' the file 'images/cat/0.png'\? Then write it so"):
        collect(table(tmp_path / "p" / "t.csv", "file,label\n" + lines))


def test_trainval_is_a_part_and_numbered_folds_are_no_classes(tmp_path: Path) -> None:
    found = collect(photos(tmp_path / "p", *(f"{part}/{name}" for part in ("trainval", "test") for name in "ab")))
    assert found.classes == ["a", "b"] and set(found.splits) == {"train", "test"}
    for number, one in enumerate(("fold", "Part_", "camera ", "patient")):
        root = photos(tmp_path / f"q{number}", *(f"{one}{i}/{name}" for i in (1, 2) for name in "ab"))
        with pytest.raises(UserError, match=r"holds folders called 'a', 'b': those are the classes\. Put the pictures"):
            collect(root)
    assert collect(photos(tmp_path / "r", "fold1", "fold2")).classes == ["fold1", "fold2"]


def test_a_folder_that_may_hold_what_has_no_label_is_pointed_at(tmp_path: Path) -> None:
    found = collect(photos(tmp_path / "p", "cat", "dog", "Unlabeled"))
    assert "1 folders may hold what has no label, and are taken for classes: 'Unlabeled'." in found.notes


def test_names_that_begin_with_the_class_are_pointed_at_and_other_names_are_not(tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("cat", "dog"):
        for i in range(3):
            (flat / f"{name}.{i}.jpg").write_bytes(png())
    with pytest.raises(UserError, match=r"Their names begin with 'cat', 'dog': if those are the classes, put each one"):
        collect(flat)
    (flat / "0001.jpg").write_bytes(png())
    with pytest.raises(UserError, match=r"holds no labels") as caught:
        collect(flat)
    assert "begin with" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"It is empty\.$"):
        collect(tmp_path / "empty")


def test_columns_that_are_taken_by_their_names_are_said(tmp_path: Path) -> None:
    body = "".join(f"text {i},{i % 2}\n" for i in range(8))
    found = collect(table(tmp_path / "a.csv", "sentence,target\n" + body))
    assert "By their names, these columns are taken: 'sentence' for the texts, 'target' for the labels." in found.notes
    assert collect(table(tmp_path / "b.csv", "Text,label\n" + body)).notes == []
    assert collect(tmp_path / "a.csv", columns={"text": "sentence", "label": "target"}).notes == []


def test_a_one_of_many_columns_is_called_so(tmp_path: Path) -> None:
    rows = "".join(f"words {i},{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)}.0\n" for i in range(9))
    with pytest.raises(UserError, match=r"In each row one of the columns 'red', 'green', 'blue' holds a 1: write its"):
        collect(table(tmp_path / "a.csv", "text,red,green,blue\n" + rows))
    with pytest.raises(UserError, match=r"Name the columns"):
        collect(table(tmp_path / "b.csv", "text,red,green,blue\n" + rows + "both,1,1,0\n"))


def test_two_lines_above_the_header_are_called_so(tmp_path: Path) -> None:
    body = "".join(f"text {i},{i % 2}\n" for i in range(8))
    with pytest.raises(UserError, match=r"'# by me', has one field and most of the others have 2: delete what stands"):
        collect(table(tmp_path / "a.csv", "# by me\n# 2024\ntext,label\n" + body))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04zzz", "a zip archive or an Excel file: save it as CSV"), (b"\x1f\x8bzz", "compressed with gzip"),
        (b"PAR1zz", "a Parquet file: save"), (b"\xd0\xcf\x11\xe0zz", "an old Excel file"), (b"%PDF-1.7\n", "a PDF"),
        (b"\n<!DOCTYPE HTML>\n<p>404</p>\n", "a web page: save it"), (b"<html><p>404</p></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", r"a pointer of Git LFS: run git lfs pull\.$"),
    ],
)  # fmt: skip
def test_a_table_that_is_something_else_is_called_so(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(UserError, match=f"is no table of text but {what}"):
        collect(table(tmp_path / "a.csv", data))


def test_a_table_without_a_header_is_pointed_at(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},{100 + i},who,text {i}\n" for i in range(8))
    with pytest.raises(UserError, match=r"The first row was read as the header: put one above it, if it is data\.$"):
        collect(table(tmp_path / "a.csv", rows))
    with pytest.raises(UserError, match=r"or --file COLUMN\.$"):
        collect(table(tmp_path / "b.csv", "a,b,c,d\n" + rows))
