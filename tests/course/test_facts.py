"""One condition, one number, whichever chapter prints it."""

from typing import Any

from transferlib.course.facts import Condition, disagreements

SAME = Condition(task="fashion", backbone="efficientnet-lite0", pixels=48, way="probe", labels=5, metric="accuracy")


def body(chapter: str, value: float, condition: Condition = SAME) -> dict[str, Any]:
    return {"chapter": chapter, "metrics": {"probe_5": {"mean": value}}, "conditions": {"probe_5": condition.words()}}


def test_two_chapters_that_disagree_are_named_with_both_numbers() -> None:
    (sentence,) = disagreements([body("01", 68.4), {"chapter": "02", "metrics": {}}, body("03", 58.7)])
    assert sentence.startswith(
        "chapter 01 says probe_5 = 68.4 and chapter 03 says probe_5 = 58.7, both for task fashion"
    )
    assert "pixels 48" in sentence


def test_equal_numbers_and_other_conditions_agree() -> None:
    other = Condition(
        task="fashion", backbone="efficientnet-lite0", pixels=96, way="probe", labels=5, metric="accuracy"
    )
    assert disagreements([body("01", 68.4), body("03", 68.4), body("05", 58.7, other)]) == []
