import re

import numpy as np
import pytest

from transferlib.course import figures
from transferlib.errors import UserError


def drawn(alt: str = "One curve") -> str:
    figure, ax = figures.canvas()
    figures.curve(ax, [1, 2, 5], np.random.default_rng(0).random((4, 3)), "probe", "probe")
    figures.log_ticks(ax, [1, 2, 5])
    ax.set_xlabel("labels per class")
    return figures.html(figure, alt)


def test_ink_and_tones_follow_the_page_and_nothing_leaks_out_of_the_figure() -> None:
    text = drawn()
    assert "var(--hs-tone-probe, #0067a8)" in text and figures.INK not in text
    assert "<style" not in text and "<metadata" not in text and "http://" not in text.replace("http://www.w3.org", "")


def test_every_reference_inside_a_figure_finds_its_id() -> None:
    text = drawn()
    ids = set(re.findall(r'id="([^"]+)"', text))
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    assert {a or b for a, b in used} <= ids


def test_the_same_figure_is_the_same_bytes() -> None:
    assert drawn() == drawn()


def test_missing_points_are_left_out_and_one_seed_has_no_band() -> None:
    _, ax = figures.canvas()
    figures.curve(ax, [1, 2, 3], [[0.1, np.nan, 0.3]], "probe", "probe")
    assert list(ax.lines[0].get_xdata()) == [1, 3]


def test_the_drawing_scrolls_on_its_own_and_the_caption_stays() -> None:
    drawing, ax = figures.canvas()
    ax.plot([0, 1])
    page = figures.html(drawing, "A line.", "line", "What it shows.")
    inside = page.partition('<div class="hs-figure__scroll">')[2].partition("</div>")[0]
    assert inside.startswith("<svg") and inside.endswith("</svg>\n") and "<figcaption>What it shows." not in inside
    assert page.startswith('<figure class="hs-figure" id="fig-line">')


def test_bad_input_is_one_sentence() -> None:
    _, ax = figures.canvas()
    with pytest.raises(UserError, match=r"values must be \(seeds, 2\)"):
        figures.curve(ax, [1, 2], np.zeros((4, 3)), "probe", "probe")
    with pytest.raises(UserError, match="tone 'pink' is unknown"):
        figures.curve(ax, [1, 2], np.zeros((4, 2)), "probe", "pink")
    with pytest.raises(UserError, match="alt text"):
        drawn(" ")
