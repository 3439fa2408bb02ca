"""A few-shot prompt: the examples one after another, then the question with its answer left open."""

from collections.abc import Sequence

from transferlib.errors import UserError

ARROW = "{x} ->{y}\n"


def shown(examples: Sequence[tuple[str, str]], template: str = ARROW) -> str:
    r"""The examples as they stand in front of every question.

    ``template`` holds {x} and {y}, {y} after {x}; give answers their leading space, as in ``("hot", " cold")``:
    language models read a space as part of the word behind it. Raises ``UserError`` for another template.

    >>> shown([("hot", " cold"), ("big", " small")])
    'hot -> cold\nbig -> small\n'
    """
    before, between, after = _parts(template)
    return "".join(before + x + between + y + after for x, y in examples)


def asked(query: str, template: str = ARROW) -> str:
    """The question, cut where the answer begins.

    >>> asked("wet")
    'wet ->'
    """
    before, between, _ = _parts(template)
    return before + query + between


def few_shot_prompt(examples: Sequence[tuple[str, str]], query: str, template: str = ARROW) -> str:
    """Both: what a language model reads before it answers. Source: Brown et al. 2020, arXiv:2005.14165, section 2.

    >>> few_shot_prompt([("hot", " cold")], "big", template="{x} is the opposite of{y}. ")
    'hot is the opposite of cold. big is the opposite of'
    """
    return shown(examples, template) + asked(query, template)


def _parts(template: str) -> tuple[str, str, str]:
    if template.count("{x}") != 1 or template.count("{y}") != 1 or template.index("{x}") > template.index("{y}"):
        raise UserError(f"The template {template!r} needs {{x}} once and, after it, {{y}} once.")
    before, rest = template.split("{x}")
    between, after = rest.split("{y}")
    return before, between, after
