"""What a prompt looks like, character by character."""

import pytest

from transferlib.errors import UserError
from transferlib.incontext.prompts import asked, few_shot_prompt, shown


def test_prompts_show_the_examples_and_leave_the_answer_open() -> None:
    assert few_shot_prompt([("hot", " cold"), ("{y}", " {x}")], "big") == "hot -> cold\n{y} -> {x}\nbig ->"
    assert few_shot_prompt([], "big", "Q: {x}\nA:{y}\n\n") == "Q: big\nA:"


def test_a_prompt_is_its_examples_and_its_question_so_that_the_first_can_be_read_once() -> None:
    examples, template = [("hot", " cold"), ("big", " small")], "Q: {x}\nA:{y}\n\n"
    assert few_shot_prompt(examples, "wet", template) == shown(examples, template) + asked("wet", template)
    assert shown(examples) == shown(examples[:1]) + shown(examples[1:]) and shown([]) == ""


@pytest.mark.parametrize("template", ["{y} {x}", "{x}", "{x} {x} {y}", ""])
def test_a_template_that_cannot_be_filled_is_one_sentence(template: str) -> None:
    for work in (lambda: few_shot_prompt([], "a", template), lambda: shown([], template), lambda: asked("a", template)):
        with pytest.raises(UserError, match=r"needs \{x\} once and, after it, \{y\} once"):
            work()
