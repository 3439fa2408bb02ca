"""Exercises that check themselves: a helpful hint on a wrong answer, silence about an empty one."""

import os
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from transferlib.errors import UserError


def close(expected: float, tolerance: float) -> Callable[[Any], bool]:
    """Accept a number within ``tolerance`` of ``expected``."""

    def right(answer: Any) -> bool:
        return abs(float(answer) - expected) <= tolerance

    return right


def check(id: str, answer: Any, right: Callable[[Any], bool], *, wrong: Sequence[Any], hint: str) -> Any:
    """Judge ``answer`` and show the verdict; ``...`` means that the learner has not answered yet.

    ``right`` says whether an answer is right; ``wrong`` are one or more typical wrong answers: an exercise
    that would accept one of them is broken, and says so. ``hint`` is shown for a wrong answer.

    Raises ``UserError`` when the exercise is broken, and, with ``TRANSFERLIB_STRICT_EXERCISES=1`` as the tests
    set it, when the answer is missing or wrong.
    """
    if not wrong:
        raise UserError(f"Exercise {id!r} has no wrong answers to refuse: give at least one.")
    for mistake in wrong:
        if _judge(right, mistake):
            raise UserError(f"Exercise {id!r} accepts the wrong answer {mistake!r}: its check is too weak.")
    if answer is ...:
        state, words = "open", "Not answered yet. Replace the three dots and run this cell."
    elif _judge(right, answer):
        state, words = "right", "Right."
    else:
        state, words = "wrong", f"Not yet. {hint}"
    if state != "right" and os.environ.get("TRANSFERLIB_STRICT_EXERCISES") == "1":
        raise UserError(f"Exercise {id!r}: {words}")
    return _Verdict(id, state, words)


def _judge(right: Callable[[Any], bool], answer: Any) -> bool:
    # A wrong answer of the wrong type is a wrong answer, not a traceback for the learner.
    try:
        return bool(right(answer))
    except Exception:
        return False


class _Verdict:
    """What ``check`` shows: one sentence, as text and as HTML."""

    def __init__(self, exercise: str, state: str, words: str) -> None:
        self.exercise, self.state, self.words = exercise, state, words

    def __repr__(self) -> str:
        return f"[{self.exercise}] {self.words}"

    def _repr_html_(self) -> str:
        return (
            f'<div class="hs-check" data-state="{self.state}" data-exercise="{escape(self.exercise, quote=True)}">'
            f"{escape(self.words)}</div>"
        )
