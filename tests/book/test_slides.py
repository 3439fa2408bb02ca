"""`make slides`: what a deck shows of a chapter, values in their place, and a file that stands alone."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from transferlib.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import slides  # noqa: E402
from prose import as_html, authors, pieces, plain, references  # noqa: E402

PROSE = """# 06 · LoRA

Can you <b>teach</b> it?

## The problem

A {term}`probe` trains {glue:text}`lines` lines, says {cite:t}`hu2021lora` {cite}`hu2021lora`. The loss is $a^2$.

## The idea

```{drawing} 06-lora
:caption: A correction of $r$ numbers, after {term}`LoRA <rank>`.
```

:::{formula}
:label: lora
W = B A
---
The weight is B times A.
:::

## Guess first

:::{guess} What first?
- [ ] The rank. :: No rank.
- [x] The rate. :: B starts at zero.
:::

## What happens

"""
AFTER = """::::{depth} 2
:title: Deep
Nobody sees this.
::::

## Reach for it when

- You have many tasks.
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """One staged chapter with a figure, five findings at the first depth, and one at the second."""
    source = tmp_path / "src"
    (source / "chapters").mkdir(parents=True)
    (source / "_static" / "drawings").mkdir(parents=True)
    svg = '<svg viewBox="0 0 9 9"><title>Thin matrices</title><desc>Two.</desc><text>W</text></svg>'
    (source / "_static" / "drawings" / "06-lora.svg").write_text(svg)
    (source / "references.bib").write_text(
        "@article{hu2021lora,\n  author = {Hu, Edward and Shen, Yelong and Wallis, Phillip},\n  year = {2021},\n}\n"
    )

    def shown(*html: str) -> dict[str, Any]:
        return {
            "cell_type": "code",
            "source": "",
            "outputs": [{"data": {"text/html": h}, "metadata": {}} for h in html],
        }

    value = {"data": {"application/papermill.record/text/plain": "'31'"}, "metadata": {"scrapbook": {"name": "lines"}}}
    claims = [f'<div class="hs-claim" id="claim-{i}"><p>Finding {i}</p></div>' for i in range(5)]
    cells = [
        {"cell_type": "markdown", "source": PROSE},
        {"cell_type": "code", "source": "", "outputs": [value]},
        shown('<figure class="hs-figure"><svg id="main"></svg></figure>', *claims),
        {"cell_type": "markdown", "source": ":::{depth-start} 2\n:title: More\n:::"},
        shown('<div class="hs-claim" id="claim-deep"><p>Deep finding</p></div>'),
        {"cell_type": "markdown", "source": ":::{depth-end}\n:::\n\n" + AFTER},
    ]
    (source / "chapters" / "06_lora.ipynb").write_text(json.dumps({"cells": cells}))
    return tmp_path


def test_a_deck_holds_question_drawing_formula_guess_figure_and_findings(build: Path) -> None:
    slides.make(build)
    html = (build / "slides" / "06_lora.html").read_text(encoding="utf-8")
    titles = re.findall(r'<section class="slide">.*?<h[12]>(.*?)</h[12]>', html, flags=re.S)
    assert titles == ["06 LoRA", "Thin matrices", "In a formula, and in words", "What first?", "What happens",
                      "What was found, 1", "What was found, 2", "Reach for it when"]  # fmt: skip
    assert "Can you &lt;b&gt;teach&lt;/b&gt; it?" in html and "<b>teach</b>" not in html
    assert "A probe trains 31 lines, says Hu et al. (2021). The loss is <math" in html
    assert html.count("Finding ") == 5 and "Deep finding" not in html and "Nobody sees" not in html
    assert "Not quite: The rank." in html and "Yes: The rate." in html
    assert not re.findall(
        r'(?:src|href)="(?!#|data:)[^"]*"|url\((?!"?(?:data:|#))[^)]*\)', html.partition("</head>")[0]
    )


def test_a_chapter_that_was_not_executed_is_one_sentence(build: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="CHAPTER='07' was not executed"):
        slides.make(build, "07")
    with pytest.raises(UserError, match="No chapter is staged"):
        slides.make(tmp_path / "nothing")


def test_depths_and_directives_are_told_apart(build: Path) -> None:
    found = pieces(build / "src" / "chapters" / "06_lora.ipynb")
    assert [(p.kind, p.depth) for p in found if p.section == "What happens"] == [
        *[("output", 1)] * 6, ("depth-start", 2), ("output", 2), ("depth-end", 1), ("depth", 2)
    ]  # fmt: skip


def test_roles_become_words_and_what_is_missing_is_no_silence() -> None:
    assert plain("{chapter}`06`, {chapter}`LoRA <06>`, {py:func}`a.b.c`, {doc}`/speed`", {}, {}) == (
        "chapter 6, LoRA, `c`, Speed"
    )
    with pytest.raises(KeyError):
        plain("{glue:text}`gone`", {}, {})
    assert as_html("<script>x</script>") == "<p>&lt;script&gt;x&lt;/script&gt;</p>\n"
    assert authors("author = {Ilharco, Gabriel},\nyear = {2023}") == "Ilharco (2023)"
    bib = references((ROOT / "book" / "references.bib").read_text(encoding="utf-8"))
    assert bib["hu2021lora"] == "Hu et al. (2022)" and not [label for label in bib.values() if not label.strip()]


def test_keys_turn_the_slides_and_print_is_one_slide_a_page(build: Path, browser: Any) -> None:
    slides.make(build)
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto((build / "slides" / "06_lora.html").as_uri())
    for _ in range(2):
        tab.keyboard.press("ArrowRight")
    assert tab.locator("#count").inner_text() == "3 / 8"
    assert tab.locator(".slide.now h2").inner_text().startswith("In a")
    tab.keyboard.press("ArrowLeft")
    assert not tab.locator(".slide.now aside").count() or not tab.locator(".slide.now aside").is_visible()
    tab.keyboard.press("n")
    tab.keyboard.press("Home")
    assert tab.locator(".slide.now aside").is_visible()
    assert len(re.findall(rb"/Type\s*/Page\b", tab.pdf(prefer_css_page_size=True))) == 8
    assert not errors
    tab.close()
