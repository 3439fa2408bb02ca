"""What ``--dry-run`` prints: what would be used, in about five lines, and every note."""

from pathlib import Path

import pytest

from transferlib.errors import UserError
from transferlib.own_data.preview import planned


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))
    rows = [f"text {i};{'good' if i % 2 else 'bad'};p{i // 4};{'train' if i < 8 else 'val'}" for i in range(12)]
    (tmp_path / "t.csv").write_text("review;stars;person;part\n" + "\n".join(rows))
    return tmp_path / "t.csv"


def test_five_lines_and_the_notes(table: Path) -> None:
    columns = {"text": "review", "label": "stars", "group": "person", "split": "part"}
    lines = planned(table, "smoke", columns)
    assert [line.partition(":")[0] for line in lines] == ["Read", "Classes", "Split", "Ways", "Note", "Note"]
    assert lines[0] == f"Read: 12 texts from {str(table)!r}" and lines[1] == "Classes: 2: bad (6), good (6)"
    assert lines[2] == "Split: 8 to train, 4 to test; groups: 3, each on one side of every split"
    assert lines[3].endswith("fine-tuning; 2 draws in closed form, 2 trained")
    assert "separated by semicolons" in lines[4] and "no test part" in lines[5]


def test_groups_on_both_sides_of_a_given_split_are_counted(table: Path) -> None:
    table.write_text(table.read_text().replace(";p2;", ";p1;"))
    lines = planned(table, "smoke", {"text": "review", "label": "stars", "group": "person", "split": "part"})
    assert lines[2] == "Split: 8 to train, 4 to test; groups: 2, 1 of them on both sides of your split"


def test_nothing_to_say_is_said(table: Path) -> None:
    table.write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(6)))
    lines = planned(table, "cpu", {})
    assert len(lines) == 5 and lines[-1] == "Note: nothing is left out or guessed"
    assert lines[2] == "Split: drawn at random, three in ten to test on; groups: none given"


def test_what_a_report_would_refuse_is_refused(table: Path) -> None:
    with pytest.raises(UserError, match="Name the columns"):
        planned(table, "cpu", {})
    with pytest.raises(UserError, match="huge"):
        planned(table, "huge", {})
