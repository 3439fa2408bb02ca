"""Folders and tables as people have them, each case small: what is read, and what is said about the rest."""

import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from found_inputs import photos, png, table

from transferlib.datasets import archives
from transferlib.datasets.collection import collect
from transferlib.errors import UserError


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))


TEXTS = [(f"good, thing {i}" if i % 2 else f"bad thing {i}", "pos" if i % 2 else "neg") for i in range(8)]


def rows(mark: str = ",", header: str = "text,label", quoted: bool = True) -> str:
    cells = [(f'"{text}"' if quoted else text, label) for text, label in [header.split(",")[:2], *TEXTS]]
    return "".join(mark.join(pair) + "\n" for pair in cells).replace('"text"', "text")


@pytest.mark.parametrize(
    ("parts", "splits"),
    [
        (("train", "val"), {"train", "test"}),
        (("Training", "Testing"), {"train", "test"}),
        (("TRAIN", "holdout"), {"train", "test"}),
        (("train", "dev"), {"train", "test"}),
        (("train", "valid", "test"), {"train", "test"}),
        (("train_set", "Validation", "test-data"), {"train", "test"}),
    ],
)
def test_parts_of_a_split_are_never_classes(tmp_path: Path, parts: tuple[str, ...], splits: set[str]) -> None:
    found = collect(photos(tmp_path / "p", *(f"{part}/{name}" for part in parts for name in ("cat", "horse"))))
    assert found.classes == ["cat", "horse"] and set(found.splits) == splits and len(found.items) == 12
    said = " ".join(found.notes)
    assert "The split is that of the folders" in said
    if len(parts) == 3:
        assert "6 examples of the validation part are left aside" in said
    elif "val" in parts or "dev" in parts:
        assert "There is no test part: the 6 examples of the validation part are tested on." in said


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert collect(photos(tmp_path / "p", "train", "bus")).classes == ["bus", "train"]
    assert collect(photos(tmp_path / "q", "valid", "invalid")).classes == ["invalid", "valid"]


def test_each_class_may_be_split_by_itself(tmp_path: Path) -> None:
    found = collect(photos(tmp_path / "p", "cat/train", "cat/test", "dog/train", "dog/test"))
    assert found.classes == ["cat", "dog"] and sorted(set(found.splits)) == ["test", "train"]


def test_parts_without_class_folders_are_said(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "train/cat", "train/dog", "test")  # as competitions hide the labels of their test
    found = collect(root)
    assert found.classes == ["cat", "dog"] and found.splits == []
    assert any("'test' has no class folders: its 3 files are not used." in note for note in found.notes)
    with pytest.raises(UserError, match="no train part has class folders"):
        collect(photos(tmp_path / "q", "train", "test"))
    with pytest.raises(UserError, match=r"it needs a train and a test part|no train part"):
        collect(photos(tmp_path / "r", "val/a", "val/b", "test/a", "test/b"))


@pytest.mark.parametrize("way", ["PetImages", "a/b/c"])
def test_a_single_folder_in_between_is_stepped_into_and_said(tmp_path: Path, way: str) -> None:
    root = photos(tmp_path / "p", f"{way}/Cat", f"{way}/Dog")
    (root / "readme[1].txt").write_text("from the web")
    found = collect(root)
    assert found.classes == ["Cat", "Dog"] and all((found.root / item).is_file() for item in found.items)
    assert f"The folders are in the only folder, '{way}': it is read." in found.notes
    assert "1 files lie beside the only folder and are not used: 'readme[1].txt'." in found.notes


def test_a_folder_between_a_part_and_its_classes_is_stepped_into(tmp_path: Path) -> None:
    found = collect(photos(tmp_path / "p", "data/train/images/a", "data/train/images/b", "data/val/a", "data/val/b"))
    assert found.classes == ["a", "b"] and set(found.splits) == {"train", "test"}


def test_system_files_are_skipped_and_counted_once(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "cat", "dog", "__MACOSX", ".ipynb_checkpoints", "@eaDir")
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (root / "cat" / name).write_bytes(b"x")
    photos(root, "dog/@eaDir/0.png", "dog/.ipynb_checkpoints")
    found = collect(root)
    assert found.classes == ["cat", "dog"] and len(found.items) == 6
    said = [note for note in found.notes if "system files" in note]
    assert len(said) == 1 and said[0].startswith("9 hidden or system files and folders are skipped")


def test_files_beside_class_folders_are_said(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "cat", "dog")
    (root / "stray.png").write_bytes(png())
    assert "1 files lie beside the class folders and are not used: 'stray.png'." in collect(root).notes


@pytest.mark.parametrize(("part", "what"), [("test", "learn from"), ("train", "test on")])
def test_a_class_on_one_side_only_is_left_out_and_said(tmp_path: Path, part: str, what: str) -> None:
    found = collect(photos(tmp_path / "p", "train/a", "train/b", "test/a", "test/b", f"{part}/fox"))
    assert found.classes == ["a", "b"] and len(found.items) == 12
    assert f"1 classes have nothing to {what} in your split and are left out: 'fox'." in found.notes


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are no text")
def test_names_that_are_no_text_are_said_at_the_start_and_escaped(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "cat", "caf\udce9")
    (root / "cat" / "t\udce8.png").write_bytes(png(77))
    said = " ".join(collect(root).notes)
    assert r"1 class names are not UTF-8 and are shown escaped: 'caf\udce9'." in said
    assert "1 file names are not UTF-8" in said
    said.encode("utf-8")


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tgz", "tar.xz"])
def test_an_archive_is_read(tmp_path: Path, ending: str) -> None:
    root, file = photos(tmp_path / "p", "pets/cat", "pets/dog"), tmp_path / f"photos.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(file, "w") as zipped:
            for one in root.rglob("*.png"):
                zipped.write(one, one.relative_to(root))
    else:
        with tarfile.open(file, f"w:{ending.replace('tgz', 'gz').partition('.')[2] or ending.replace('tgz', 'gz')}"
                          if ending != "tar" else "w") as tarred:  # fmt: skip
            tarred.add(root / "pets", "pets")
    for _ in range(2):  # the second time it is there
        found = collect(file)
        assert found.classes == ["cat", "dog"] and all((found.root / item).is_file() for item in found.items)
    assert f"'{file.name}' is an archive: what it holds is read." in found.notes


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.png", "..\\evil.png", "C:/evil.png"])
def test_no_path_leaves_an_archive(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as zipped:
        zipped.writestr(name, b"x")
    with tarfile.open(tmp_path / "t.tar", "w") as tarred:
        tarred.addfile(tarfile.TarInfo(name), io.BytesIO())
    for file in ("z.zip", "t.tar"):
        with pytest.raises(UserError, match="leads out of it"):
            collect(tmp_path / file)
    assert not list(tmp_path.rglob("evil.png"))


def test_links_and_sizes_of_an_archive_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tarfile.TarInfo("cat")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with tarfile.open(tmp_path / "l.tar", "w") as tarred:
        tarred.addfile(link)
    with pytest.raises(UserError, match="unpack it first"):
        collect(tmp_path / "l.tar")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as zipped:
        zipped.writestr("a.png", bytes(2000))
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="unpacks to more than"):
        collect(tmp_path / "z.zip")
    assert not list((tmp_path / "cache" / "unpacked").iterdir())


@pytest.mark.parametrize("name", ["x.7z", "x.rar", "x.csv.gz", "broken.zip", "broken.tar.gz"])
def test_other_and_damaged_archives_are_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="unpack it first"):
        collect(table(tmp_path / name, b"\x1f\x8b nothing"))


def test_links_count_where_they_stand(tmp_path: Path) -> None:
    store = photos(tmp_path / "store", "a", "b")
    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "p" / name / f"{i}.png").symlink_to(store / name / f"{i}.png")
    assert len(collect(tmp_path / "p").items) == 6
    listed = "".join(f"{name}/{i}.png,{name}\n" for name in "ab" for i in range(3))
    found = collect(table(tmp_path / "p" / "all.csv", "file,label\n" + listed))
    assert len(found.items) == 6 and found.notes == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rows(";"), "separated by semicolons"),
        (rows("\t"), "separated by tabs"),
        (rows("|"), "separated by vertical bars"),
        ("sep=,\n" + rows(), "separated by commas"),
        ("sep=;\r\n" + rows(";").replace("\n", "\r\n"), "separated by semicolons"),
        (rows(";", quoted=False), "separated by semicolons"),
        (rows("\t", quoted=False).replace("\n", "\r"), "separated by tabs"),
    ],
)
def test_the_delimiter_is_found_out_and_said(tmp_path: Path, text: str, said: str) -> None:
    found = collect(table(tmp_path / "t.csv", text))
    assert (found.kind, found.classes, len(found.items)) == ("texts", ["neg", "pos"], 8) and found.items[1] == TEXTS[1][
        0
    ]
    assert said in " ".join(found.notes)


def test_usual_tables_are_read_without_a_word(tmp_path: Path) -> None:
    assert collect(table(tmp_path / "t.csv", rows())).notes == []
    assert collect(table(tmp_path / "t.tsv", rows("\t"))).notes == []
    assert collect(table(tmp_path / "bom.csv", b"\xef\xbb\xbf" + rows().encode())).notes == []
    assert len(collect(table(tmp_path / "cr.csv", rows().replace("\n", "\r"))).items) == 8
    broken = rows().replace("thing 2", "thing\n2") + f'"{"long " * 60_000}","pos"\n'
    assert len(collect(table(tmp_path / "long.csv", broken)).items) == 9


@pytest.mark.parametrize("header", ["review,sentiment", "Comment,Rating", "What they said,How"])
def test_other_names_are_proposed_and_taken(tmp_path: Path, header: str) -> None:
    text, label = header.split(",")
    file = table(tmp_path / "t.csv", rows(header=header))
    quoted = [f"'{name}'" if " " in name else name for name in (text, label)]
    with pytest.raises(UserError, match=f"Is it --text {quoted[0]} --label {quoted[1]}\\?"):
        collect(file)
    assert collect(file, columns={"text": text.upper(), "label": label}).classes == ["neg", "pos"]
    with pytest.raises(UserError, match="has no column 'labl' \\(--label\\)"):
        collect(file, columns={"text": text, "label": "labl"})


def test_columns_of_files_group_and_split_may_be_named(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "a", "b")
    lines = "".join(f"{name}/{i}.png,{name},p{i},{'Training' if i else 'Test'}\n" for name in "ab" for i in range(3))
    file = table(root / "t.csv", "photo,species,patient,fold\n" + lines)
    with pytest.raises(UserError, match="--label COLUMN, and --text COLUMN or --file COLUMN"):
        collect(file)
    found = collect(file, columns={"file": "photo", "label": "species", "group": "patient", "split": "fold"})
    assert found.kind == "images" and found.groups[:2] == ["p0", "p1"] and found.splits[:2] == ["test", "train"]
    with pytest.raises(UserError, match="exclude each other"):
        collect(file, columns={"file": "photo", "text": "species", "label": "fold"})
    with pytest.raises(UserError, match="Is it --file photo --label kind"):
        collect(table(root / "u.csv", "photo,kind\na/0.png,x\na/1.png,x\n"))


RECORDS = [{"text": text, "label": label} for text, label in TEXTS]


@pytest.mark.parametrize(
    "name", ["t.jsonl", "t.ndjson", "rows.json", "columns.json", "inside.json", "t.parquet", "t.arrow"]
)
def test_tables_of_other_formats_are_read(tmp_path: Path, name: str) -> None:
    file, whole = tmp_path / name, {key: [row[key] for row in RECORDS] for key in ("text", "label")}
    if name.endswith(".parquet"):
        pq.write_table(pa.table(whole), file)
    elif name.endswith(".arrow"):
        with pa.ipc.new_file(file, pa.table(whole).schema) as writer:
            writer.write_table(pa.table(whole))
    else:
        as_json = {"rows.json": RECORDS, "columns.json": whole, "inside.json": {"version": 1, "data": RECORDS}}
        lines = "\n".join(map(json.dumps, RECORDS))
        file.write_text(json.dumps(as_json[name]) if name in as_json else lines + "\n")
    found = collect(file)
    assert (found.kind, found.classes, found.items) == ("texts", ["neg", "pos"], [text for text, _ in TEXTS])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.jsonl", b'{"text": "a", "label": "b"}\n{"text": ', "line 2 cannot be read"),
        ("t.json", b"[1, 2]", "is not a table"),
        ("t.parquet", b"PAR1 nothing", "is not a table that can be read"),
        ("t.arrow", b"nothing at all", "is not a table that can be read"),
        ("t.xlsx", b"PK\x03\x04", "save it as CSV"),
        ("t.png", png(), "is one picture"),
    ],
)
def test_what_is_not_of_its_format_is_one_sentence(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        collect(table(tmp_path / name, content))


def test_numbers_and_nothing_in_json_are_labels_and_nothing(tmp_path: Path) -> None:
    lines = [{"text": f"t{i}", "label": i % 2} for i in range(8)] + [{"text": "none", "label": None}, {"text": "gone"}]
    found = collect(table(tmp_path / "t.jsonl", "\n".join(map(json.dumps, lines))))
    assert found.classes == ["0", "1"] and len(found.items) == 8
    assert "2 rows have no label or nothing to learn from: 'none', 'gone'." in found.notes


def test_metadata_of_a_hub_is_read(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "x", count=6)
    for i in range(6):
        (root / "x" / f"{i}.png").rename(root / f"{i}.png")
    (root / "x").rmdir()
    table(root / "metadata.csv", "file_name,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(6)))
    for path in (root, root / "metadata.csv"):
        found = collect(path)
        assert (found.kind, found.classes, len(found.items)) == ("images", ["a", "b"], 6)


def saved(place: Path, count: int = 3) -> None:
    """What ``save_to_disk`` of an ImageFolder writes: pictures inside Arrow, names of classes in its schema."""
    place.mkdir(parents=True)
    pictures = [{"bytes": png(40 * c + i), "path": f"{i}.png"} for c in range(2) for i in range(count)]
    labels = [c for c in range(2) for _ in range(count)]
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    made = pa.table({"image": pictures, "label": labels})
    made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    with pa.ipc.new_stream(place / "data-00000-of-00001.arrow", made.schema) as writer:
        writer.write_table(made)
    (place / "dataset_info.json").write_text("{}")
    (place / "state.json").write_text("{}")


def test_a_data_set_saved_by_the_library_datasets_is_read(tmp_path: Path) -> None:
    saved(tmp_path / "one")
    found = collect(tmp_path / "one")
    assert (found.kind, found.classes, found.splits) == ("images", ["cat", "dog"], [])
    assert "6 pictures are inside the table." in found.notes
    assert (found.root / found.items[0]).read_bytes() == png(0)
    for part in ("train", "test"):
        saved(tmp_path / "dict" / part)
    (tmp_path / "dict" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert "6 rows repeat an earlier row" not in " ".join(found.notes)
    with_parts = collect(tmp_path / "dict", fewest=0)
    assert set(with_parts.classes) == {"cat", "dog"}


def test_parquet_files_of_a_hub_are_read_with_their_parts(tmp_path: Path) -> None:
    (tmp_path / "d" / "data").mkdir(parents=True)
    for part, start in (("train", 0), ("validation", 4)):
        some = TEXTS[start : start + 4] + [(f"{part} more {label}", label) for label in ("pos", "neg")]
        made = pa.table({"text": [text for text, _ in some], "label": [label for _, label in some]})
        pq.write_table(made, tmp_path / "d" / "data" / f"{part}-00000-of-00001.parquet")
    found = collect(tmp_path / "d")
    assert found.kind == "texts" and set(found.splits) == {"train", "test"} and len(found.items) == 12


def test_encodings_are_read_where_unmistakable_and_asked_for_otherwise(tmp_path: Path) -> None:
    text = rows().replace("good", "größer")
    for name in ("utf-16", "utf-32", "utf-8-sig"):
        found = collect(table(tmp_path / f"{name}.csv", text.encode(name)))
        assert found.items[1] == "größer, thing 1"
    assert "'utf-32.csv' is read as utf-32." in collect(tmp_path / "utf-32.csv").notes
    for name in ("windows-1252", "utf-16-le", "utf-16-be"):
        file = table(tmp_path / f"{name}.csv", text.encode(name))
        with pytest.raises(UserError, match=r"is not UTF-8 text.*--encoding"):
            collect(file)
        assert collect(file, encoding=name).items[1] == "größer, thing 1"
    with pytest.raises(UserError, match="--encoding 'klingon' is unknown"):
        collect(tmp_path / "utf-16.csv", encoding="klingon")
    with pytest.raises(UserError, match="is not ascii"):
        collect(tmp_path / "windows-1252.csv", encoding="ascii")


def test_rows_that_do_not_fit_their_header_are_named(tmp_path: Path) -> None:
    every = "text,label\n" + "well, good thing,pos\n" * 4
    with pytest.raises(UserError, match=r"row 2 has 3 fields, row 3 has 3 fields.*, the header 2"):
        collect(table(tmp_path / "a.csv", every))
    one = 'text,label\n"two\nlines",pos\nfine,neg\nwell, good thing,pos\n'
    with pytest.raises(UserError, match="row 5 has 3 fields, the header 2"):
        collect(table(tmp_path / "b.csv", one))
    with pytest.raises(UserError, match="opens in row 3 is never closed"):
        collect(table(tmp_path / "c.csv", 'text,label\na,b\n"c,d\ne,f\n'))
    found = collect(table(tmp_path / "d.csv", rows() + "lonely\n"))
    assert "1 rows have fewer fields than the 2 of the header: rows: '10'." in found.notes
    assert len(collect(table(tmp_path / "e.csv", rows().replace("\n", ",\n"))).items) == 8
    with pytest.raises(UserError, match="two columns called 'text'"):
        collect(table(tmp_path / "f.csv", "text,text,label\na,b,c\n"))


def test_paths_of_windows_are_read_and_missing_files_come_first(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "a", "b", count=4)
    lines = [f"{name}\\{i}.png,{name}\n" for name in "ab" for i in range(4)]
    assert collect(table(root / "t.csv", "file,label\n" + "".join(lines))).items[0] == "a/0.png"
    gone = table(tmp_path / "t.csv", "file,label\n" + "".join(lines))
    with pytest.raises(UserError, match=r"^8 rows name a file that is not there: 'a\\\\0.png'"):
        collect(gone)
    far = "".join(f"/home/somebody/{name}/{i}.png,{name}\n" for name in "ab" for i in range(4))
    with pytest.raises(UserError, match=r"^8 rows name a file that is not there: '/home/somebody/a/0.png'"):
        collect(table(root / "far.csv", "file,label\n" + far))
    own = "".join(f"{root / name}/{i}.png,{name}\n" for name in "ab" for i in range(4))
    assert collect(table(root / "own.csv", "file,label\n" + own)).items[0] == "a/0.png"
    some = "file,label\n" + "".join(lines[:2]) + "".join(f"none{i}.png,b\n" for i in range(6))
    with pytest.raises(UserError, match=r"^6 rows name a file that is not there.*no class with 3 examples"):
        collect(table(root / "some.csv", some))


def test_files_and_texts_beside_each_other_are_texts_or_asked_for(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "a", "b")
    lines = "".join(f"{name}/{i}.png,words {name} {i},{name}\n" for name in "ab" for i in range(3))
    found = collect(table(tmp_path / "t.csv", "filename,text,label\n" + lines))
    assert found.kind == "texts" and "'filename' names no file here" in " ".join(found.notes)
    file = table(root / "t.csv", "filename,text,label\n" + lines)
    with pytest.raises(UserError, match="--file filename or --text text"):
        collect(file)
    assert collect(file, columns={"file": "filename"}).kind == "images"
    assert collect(file, columns={"text": "text"}).kind == "texts"


def test_missing_labels_are_missing_and_look_alikes_are_pointed_at(tmp_path: Path) -> None:
    labels = ["1"] * 3 + ["1.0"] * 3 + ["nan", "None", "", "NA"] + [" pos "] * 3 + ["POS"] * 3
    found = collect(table(tmp_path / "t.csv", "text,label\n" + "".join(f"t{i},{x}\n" for i, x in enumerate(labels))))
    assert found.classes == ["1", "1.0", "POS", "pos"]
    said = " ".join(found.notes)
    for part in ("3 rows have a label that says that there is none: 'nan', 'None', 'NA'.",
                 "1 rows have no label or nothing to learn from: 't8'.", "3 labels have spaces around them",
                 "2 class names differ only in capitals; are they one class?: 'POS', 'pos'.",
                 "4 class names look alike; are they one class?: '1', '1.0', 'POS', 'pos'."):  # fmt: skip
        assert part in said


def test_measurements_are_no_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, values in (("a", rng.random(300)), ("b", rng.integers(0, 30, 300) / 2), ("c", np.arange(300))):
        lines = "".join(f"text {i},{x}\n" for i, x in enumerate(values))
        with pytest.raises(UserError, match=r"different numbers.*these look like measurements"):
            collect(table(tmp_path / f"{name}.csv", "text,label\n" + lines))
    stars = "".join(f"text {i},{x}\n" for i, x in enumerate(rng.integers(2, 11, 300) / 2))
    assert len(collect(table(tmp_path / "stars.csv", "text,label\n" + stars)).classes) == 9
    many = "".join(f"text {i},{i % 1100}\n" for i in range(3300))
    assert len(collect(table(tmp_path / "many.csv", "text,label\n" + many)).classes) == 1100


def test_a_column_split_may_hold_validation(tmp_path: Path) -> None:
    lines = [
        f"{text.replace(',', '')},{label},{'Validation' if i > 5 else 'train'}\n"
        for i, (text, label) in enumerate(TEXTS)
    ]
    found = collect(table(tmp_path / "t.csv", "text,label,split\n" + "".join(lines)))
    assert found.splits == ["train"] * 6 + ["test"] * 2 and "no test part" in found.notes[0]
    found = collect(table(tmp_path / "u.csv", "text,label,split\n" + "".join(lines).replace("Validation", "train")))
    assert found.splits == [] and "a test part is drawn at random" in found.notes[0]


def test_rows_without_a_group_are_groups_of_their_own(tmp_path: Path) -> None:
    lines = [f"{text.replace(',', '')},{label},{'' if i < 2 else 'g'}\n" for i, (text, label) in enumerate(TEXTS)]
    found = collect(table(tmp_path / "t.csv", "text,label,group\n" + "".join(lines)))
    assert len(set(found.groups)) == 3 and "2 rows have no group: each is a group of its own." in found.notes


def test_the_only_table_of_a_folder_is_read(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "images", count=6)
    lines = "".join(f"images/{i}.png,{'ab'[i % 2]}\n" for i in range(6))
    table(root / "labels.csv", "file,label\n" + lines)
    assert collect(root).classes == ["a", "b"]
    with pytest.raises(UserError, match="names of columns and --encoding are for tables"):
        collect(photos(tmp_path / "q", "a", "b"), columns={"label": "x"})


def test_a_train_folder_beside_others_is_no_class(tmp_path: Path) -> None:
    found = collect(photos(tmp_path / "p", "train/a", "train/b", "unlabelled"))
    assert found.classes == ["a", "b"] and found.splits == []
    assert "1 folders lie beside the parts of the split and are not used: 'unlabelled'." in found.notes


def test_tables_beside_the_parts_of_a_split_are_one(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "train", "test", count=6)
    for part in ("train", "test"):
        lines = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(6))
        table(root / part / "metadata.csv", "file_name,label\n" + lines)
    found = collect(root)
    assert found.classes == ["a", "b"] and sorted(set(found.splits)) == ["test", "train"] and len(found.items) == 12
    assert "The table 'train/metadata.csv' is read." in found.notes


def test_captions_beside_class_folders_are_no_labels(tmp_path: Path) -> None:
    root = photos(tmp_path / "p", "a", "b")
    table(root / "metadata.csv", "file_name,text\na/0.png,hello\n")
    assert collect(root).classes == ["a", "b"]


def test_quotation_marks_that_would_join_rows_are_refused(tmp_path: Path) -> None:
    lines = "".join(f'"quote {i},{"pos" if i % 2 else "neg"}\n' for i in range(8))
    with pytest.raises(UserError, match="a quotation mark in row 2 is closed in another row"):
        collect(table(tmp_path / "t.csv", "text,label\n" + lines))
    inner = "".join(f'a "fine" film {i},{"pos" if i % 2 else "neg"}\n' for i in range(8))
    assert collect(table(tmp_path / "u.csv", "text,label\n" + inner)).items[0] == 'a "fine" film 0'


def test_objects_by_their_number_or_name_are_rows(tmp_path: Path) -> None:
    by_name = {f"id{i}": row for i, row in enumerate(RECORDS)}
    as_pandas = {key: {str(i): row[key] for i, row in enumerate(RECORDS)} for key in ("text", "label")}
    for value in (by_name, as_pandas):
        found = collect(table(tmp_path / "t.json", json.dumps(value)))
        assert found.items == [text for text, _ in TEXTS] and found.classes == ["neg", "pos"]


def test_paths_with_spaces_and_other_scripts_are_paths(tmp_path: Path) -> None:
    root = photos(tmp_path / "my photos שלום 🐱", "a b", "ç")
    assert collect(root).classes == ["a b", "ç"]
    assert os.fspath(collect(root).root) == os.fspath(root)
