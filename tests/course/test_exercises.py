import pytest

from transferlib.course.exercises import check, close
from transferlib.errors import UserError


def ask(answer: object) -> str:
    return str(
        check("01-a", answer, close(3.0, 0.1), wrong=[2.0, "three"], hint="Subtract <b>first</b>.")._repr_html_()
    )


def test_open_wrong_and_right_answers_are_told_apart() -> None:
    assert 'data-state="open"' in ask(...)
    assert 'data-state="right"' in ask(3.05)
    assert 'data-state="wrong"' in ask(2.5) and "&lt;b&gt;first" in ask(2.5)
    assert 'data-state="wrong"' in ask("not a number")


def test_a_check_that_accepts_a_wrong_answer_is_refused() -> None:
    with pytest.raises(UserError, match="accepts the wrong answer 2"):
        check("01-a", ..., lambda a: True, wrong=[2], hint="")
    with pytest.raises(UserError, match="no wrong answers"):
        check("01-a", ..., lambda a: True, wrong=[], hint="")


def test_strict_mode_turns_an_open_or_wrong_answer_into_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_STRICT_EXERCISES", "1")
    for answer in (..., 2.5):
        with pytest.raises(UserError, match="Exercise '01-a'"):
            ask(answer)
    assert "Right" in ask(3.0)
