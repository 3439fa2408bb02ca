"""Drawings, guesses, hints and costs: what is fit for a page, and what stops the build in one sentence."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import hs_teaching  # noqa: E402

DRAWINGS = sorted((ROOT / "book" / "_static" / "drawings").glob("*.svg"))
GOOD = '<svg><title>A</title><desc>B</desc><text fill="var(--hs-ink)">c</text></svg>'


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_every_drawing_is_small_speaks_and_takes_the_themes_colours(path: Path) -> None:
    assert hs_teaching.checked(path)


def test_ids_of_drawings_are_unique_across_the_book() -> None:
    import re

    ids = [name for path in DRAWINGS for name in re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8"))]
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.parametrize(
    ("svg", "sentence"),
    [
        ("<svg></svg>", "has no <title>: say what it shows"),
        (GOOD.replace("<desc>B</desc>", "<desc></desc>"), "has no <desc>"),
        (GOOD.replace("<text", "<path"), "holds no text as text"),
        (GOOD + "<!--" + 20_000 * "x" + "-->", "above 20,000"),
        (GOOD.replace("<svg>", "<svg onload='x()'>"), "shapes and text only"),
        (GOOD.replace("</svg>", '<use href="https://other/x.svg#a"/></svg>'), "shapes and text only"),
        (GOOD.replace("var(--hs-ink)", "black"), "uses no colour of the theme"),
    ],
)
def test_a_drawing_that_is_not_fit_is_one_sentence(svg: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_text(svg)
    with pytest.raises(ValueError, match=sentence):
        hs_teaching.checked(tmp_path / "x.svg")
    with pytest.raises(ValueError, match=r"no file 'y\.svg'"):
        hs_teaching.checked(tmp_path / "y.svg")


def test_the_page_of_drawings_shows_each_with_its_caption_and_chapter(render) -> None:
    cell = {"cell_type": "markdown", "source": "# LoRA\n\n```{drawing} one\n:caption: A *thin* pair.\n```\n"}
    files = {"chapters/06_lora.ipynb": json.dumps({"cells": [cell]}), "_static/drawings/one.svg": GOOD}
    page, warnings = render("```{drawings}\n```", files=files)
    assert warnings == "" and page.count("<figure") == 1
    assert "<em>thin</em>" in page and 'href="chapters/06_lora.html"' in page and "<title>A</title>" in page


def test_a_guess_unfolds_a_reason_for_each_choice(render) -> None:
    page, warnings = render(
        "## Part\n\n:::{guess} Which is *larger*?\n- [ ] One :: It is not.\n- [x] Two :: It is.\n:::\n"
    )
    assert warnings == ""
    assert page.count("<details") == 2 and page.count('name="guess-1"') == 2
    assert 'data-guess="right"' in page and "It is not." in page and "<em>larger</em>" in page


@pytest.mark.parametrize("body", ["- [ ] One :: a\n- [ ] Two :: b", "- [x] One :: a", "- [x] One\n- [ ] Two :: b"])
def test_a_guess_without_a_right_choice_or_a_reason_stops_the_build(render, body: str) -> None:
    _, warnings = render(f"## Part\n\n:::{{guess}} Which?\n{body}\n:::\n")
    assert "guess: write two or more lines" in warnings


def test_the_cost_is_that_of_the_reference_run(tmp_path: Path) -> None:
    assert hs_teaching.badge("01", ["efficientnet-lite0"], tmp_path) == "19 MB of weights"
    run = {"whole": True, "processor_seconds": 431.2, "peak_memory_mb": 1730, "finished": 1795900000,
           "versions": {"torch": "2.14.1", "timm": "1.0.31", "transformers": "5.24.0"}}  # fmt: skip
    (tmp_path / "01.json").write_text(json.dumps({"provenance": run}))
    told = hs_teaching.badge("01", [], tmp_path)
    assert told.startswith("7 min of processor · 1.7 GB of memory · no weights · last measured on 2")
    (tmp_path / "01.json").write_text(json.dumps({"provenance": run | {"whole": False}}))
    assert "processor" not in hs_teaching.badge("01", [], tmp_path)
    with pytest.raises(ValueError, match="the weights 'resnet' are not packaged"):
        hs_teaching.badge("01", ["resnet"], tmp_path)


def test_the_map_of_the_front_page_shows_each_chapter_of_the_book_and_each_part() -> None:
    import re

    from hs_chapters import NAMES, PARTS, ROMAN

    svg = (ROOT / "book" / "_static" / "drawings" / "00-map.svg").read_text(encoding="utf-8")
    assert re.findall(r"num \w+\">(\d\d)<", svg) == sorted(NAMES)
    assert [f"{roman} · {name}" for roman, (name, _) in zip(ROMAN, PARTS, strict=True)] == re.findall(
        r'class="head">([^<]+)<', svg
    )
