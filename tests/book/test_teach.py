"""The page for teachers: a part for every chapter, no measured number typed, and exercises that follow the chapters."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from hs_chapters import NAMES, tasks  # noqa: E402
from hs_graded import about, graded  # noqa: E402
from hs_reading import Exercise  # noqa: E402

PAGE = (ROOT / "book" / "teach.md").read_text(encoding="utf-8")
PARTS = re.split(r"^## ", PAGE, flags=re.M)[1:]


def test_every_chapter_has_its_part_under_its_name() -> None:
    titles = [part.split("\n", 1)[0] for part in PARTS]
    assert [title[:2] for title in titles] == sorted(NAMES)
    for title in titles:
        notebook = next((ROOT / "notebooks").glob(f"{title[:2]}_*.md")).read_text(encoding="utf-8")
        written = re.search(r"^# (.+)$", notebook, flags=re.M)
        assert written and title[3:] == written[1], "the chapter has another title now"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part[:2])
def test_a_part_has_minutes_board_questions_misunderstandings_and_exercises(part: str) -> None:
    number, line = part[:2], part.split("\n")[2]
    said = re.fullmatch(rf"\{{chapter\}}`{number}` · (\d+) minutes: (.+)\.", line)
    assert said, "write the minutes as in the other parts"
    each = [
        int(n) * (2 if "each of two" in step else 1) for step in said[2].split(", ") for n in re.findall(r"^\d+", step)
    ]
    assert sum(each) == int(said[1]), "the steps do not add up to the lesson"
    for label, least in (("Ask", 3), ("Often misunderstood", 3)):
        body = part.partition(f"\n{label}\n")[2].partition("\n\n")[0]
        assert body.count("- ") >= least, label
    assert "\nOn the board\n: " in part and f"```{{graded}} {number}\n```" in part


def test_no_measured_number_is_typed() -> None:
    assert not re.findall(r"\d+(?:[.,]\d+)?\s*(?:%|points?\b|percent)", PAGE)


def test_exercises_are_graded_by_kind_and_keep_their_own_numbers() -> None:
    prose = (
        ":::{exercise} Open *end*\n:kind: project\n:minutes: 60\n\nDo it.\n:::\n\n"
        "::::{exercise} Plain {term}`one <probe>`\nCount.\n::::\n\n:::{exercise} Guess\n:kind: predict\n:::\n"
    )
    found = tasks(prose)
    assert found == ((1, "Open end", "project", 60), (2, "Plain one", "", 0), (3, "Guess", "predict", 0))
    assert [about(one) for one in found] == ["project · hard · 60 min", "", "predict · easy"]
    assert [one[0] for one in graded(found)] == [2, 3, 1]
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.md")):
        text = path.read_text(encoding="utf-8")
        assert len(tasks(text)) == len(re.findall(r"\{exercise\}", text))
        assert {task.kind for task in tasks(text)} <= {"", *Exercise.KINDS}
