"""`make pdf`: which pages, links that stay inside, everything open, and contents with the right page numbers."""

import sys
from pathlib import Path
from typing import Any

import pytest

from transferlib.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import pdf  # noqa: E402

DRAWER = """<nav class="hs-drawer"><p class="hs-drawer__part">Part II · Careful</p><ul>
<li><a href="chapters/06_lora.html"><span class="hs-drawer__number">06</span><span>LoRA &amp; rank</span></a></li>
<li><a href="chapters/07_small.html"><span class="hs-drawer__number">07</span><span>Small ways</span></a></li></ul>
<p class="hs-drawer__part">Look up</p><ul><li><a href="gallery.html"><span>Gallery</span></a></li></ul></nav>"""
FIRST = """<article class="hs-text"><section id="top"><h1>LoRA</h1><section id="idea"><h2>The idea</h2>
<p><a href="07_small.html#idea">next</a> <a href="#idea">here</a> <a href="../_modules/a.html">code</a>
<a href="https://example.org/x">far</a></p>
<svg viewBox="0 0 9 9"><defs><path id="p" d="M0 0"/></defs><use href="#p"/><g clip-path="url(#p)"/></svg>
<details class="hs-depth" data-depth="3"><summary>Deep</summary><p>folded</p></details>
<div class="cell"><details class="hide above-input"><summary>Code</summary><pre>sweep</pre></details><p>out</p></div>
<div class="cell tag_experiment"><div class="cell_input"><pre>steps</pre></div></div>
</section></section></article>"""
SECOND = """<article class="hs-text"><section id="top"><h1>Small</h1><section id="idea"><h2>Second idea</h2>
<details name="g"><summary>A</summary><p>a</p></details><details name="g"><summary>B</summary><p>b</p></details>
</section></section></article>"""


@pytest.fixture
def html(tmp_path: Path) -> Path:
    """Two chapters and a gallery, as the frame of the book writes them."""
    (tmp_path / "html" / "chapters").mkdir(parents=True)
    bodies = {"index": "", "gallery": "", "chapters/06_lora": FIRST, "chapters/07_small": SECOND}
    for name, body in bodies.items():
        text = (
            f'<!doctype html><meta charset="utf-8"><body>{DRAWER}{body or "<article class=hs-text></article>"}</body>'
        )
        (tmp_path / "html" / f"{name}.html").write_text(text, encoding="utf-8")
    return tmp_path / "html"


def test_the_pages_follow_the_drawer_and_a_chapter_can_be_chosen(html: Path) -> None:
    assert [(page["number"], page["title"], page["part"]) for page in pdf.pages(html)] == [
        ("06", "LoRA & rank", "Part II · Careful"),
        ("07", "Small ways", "Part II · Careful"),
    ]
    assert [page["name"] for page in pdf.pages(html, "07")] == ["hs-07_small"]


def test_what_cannot_be_printed_is_one_sentence(html: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="CHAPTER='6' is not among the built pages"):
        pdf.pages(html, "6")
    with pytest.raises(UserError, match="run `make book`"):
        pdf.pages(tmp_path)
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)

    class Driver:
        class chromium:  # noqa: N801, as Playwright names it
            executable_path = "/nowhere/chrome"

    with pytest.raises(UserError, match="No Chromium is found: install chromium"):
        pdf.chromium(Driver)


def test_the_assembled_page_and_its_pdf(html: Path, browser: Any) -> None:
    tab = browser.new_page()
    sheets = [{**page, "static": str(html / "_static")} for page in pdf.pages(html)]
    body = pdf.printed(tab, sheets)
    assert not tab.evaluate("document.querySelectorAll('details:not([open])').length")
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
    links = tab.evaluate("[...document.querySelectorAll('.hs-sheet a, use')].map((n) => n.getAttribute('href'))")
    assert links == ["#hs-07_small--idea", "#hs-06_lora--idea", None, "https://example.org/x", "#hs-06_lora--p"]
    assert tab.locator("g").first.get_attribute("clip-path") == "url(#hs-06_lora--p)"
    shown = tab.evaluate(
        "[...document.querySelectorAll('.hs-sheets a')].map((node) => [...node.children].map((n) => n.textContent))"
    )
    numbers = pdf.places(body)
    assert shown == [["06  LoRA & rank", "3"], ["The idea", "3"], ["07  Small ways", "4"], ["Second idea", "4"]]
    assert numbers["hs-06_lora--idea"] == 3 and numbers["hs-07_small--idea"] == 4
    assert b"https://example.org/x" in body and b"/Outlines" in body
    assert not tab.locator("pre").count() and tab.locator(".cell p").text_content() == "out"
    assert "make pdf CODE=yes prints it" in tab.locator(".hs-cover small").text_content()
    pdf.printed(tab, sheets, code=True)
    assert tab.locator(".cell details[open] pre").text_content() == "sweep"
    assert "CODE" not in tab.locator(".hs-cover").text_content()
    with pytest.raises(UserError, match="CODE='maybe' is unknown: use CODE=yes"):
        pdf.make(html.parent, code="maybe")
    tab.close()
