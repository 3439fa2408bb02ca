"""Every page: quiet, local, linked, accessible, and no wider than a phone."""

import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urldefrag

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RUN = """async (rules) => (await axe.run(document, {resultTypes: ['violations'],
  ...(rules && {runOnly: {type: 'rule', values: rules}})})).violations.map(v =>
  `${v.id}: ${v.nodes.map(n => n.target.join(' ')).slice(0, 3).join(' | ')}: ${v.nodes[0].failureSummary}`)"""
SETTLED = """document.fonts.ready.then(() => new Promise(done =>
  requestAnimationFrame(() => requestAnimationFrame(done))))"""


class _Links(HTMLParser):
    """The ids and the addresses a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.twice: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect ids and addresses."""
        values = dict(attrs)
        if name := values.get("id"):
            (self.twice if name in self.ids else self.ids).add(name)
        if address := values.get("href") or values.get("src"):
            self.links.add(address)


def test_no_link_inside_the_book_is_broken_and_no_id_stands_twice(book, pages):
    parsed = {name: _Links((book / name).read_text(encoding="utf-8")) for name in pages}
    wrong = [f"{name}: id {twice!r} stands twice" for name, page in parsed.items() for twice in page.twice]
    for name, page in parsed.items():
        for address in page.links:
            if re.match(r"[a-z]+:|//", address):
                continue
            path, anchor = urldefrag(unquote(address))
            target = (book / name).parent.joinpath(path).resolve() if path else book / name
            place = target.relative_to(book.resolve()).as_posix() if target.is_relative_to(book.resolve()) else path
            if not target.is_file():
                wrong.append(f"{name}: {address} leads nowhere")
            elif anchor and place in parsed and anchor not in parsed[place].ids:
                wrong.append(f"{name}: {address} names no place on that page")
    assert not wrong, "\n".join(wrong)


def test_no_page_names_another_host_for_a_script_a_style_or_an_image(book, pages):
    tag = re.compile(r'<(?:script|img|link rel="(?:stylesheet|preload|icon)")[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    wrong = [f"{name}: {found}" for name in pages for found in tag.findall((book / name).read_text(encoding="utf-8"))]
    wrong += [
        f"{path.name}: {found}"
        for path in (book / "_static").rglob("*.css")
        for found in re.findall(r"url\(['\"]?(?:https?:)?//[^)]*|@import[^;]*", path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_page_is_quiet_accessible_and_fits_a_phone(site, pages, tab):
    """No console message, no foreign request, axe-core clean in light and dark, no sideways scroll at 360 px."""
    wrong = []
    page = tab()
    for name in pages:
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.goto(site + name)
        page.evaluate(SETTLED)
        page.evaluate(AXE)
        wrong += [f"{name} (light): {violation}" for violation in page.evaluate(RUN)]
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        page.wait_for_selector("html[data-theme=dark]")
        wrong += [f"{name} (dark): {violation}" for violation in page.evaluate(RUN, ["color-contrast"])]
        page.set_viewport_size({"width": 360, "height": 740})
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wrong.append(f"{name}: {width} px wide on a screen of 360 px")
        wrong += [f"{name}: {trouble}" for trouble in page.troubles]
        page.troubles.clear()
    assert not wrong, "\n".join(wrong)


def test_a_page_unfolded_to_research_is_accessible_in_symbols_and_in_words(site, chapter, tab):
    page = tab()
    for name, formulas in product((chapter, "one-page.html"), ("symbols", "words")):
        page.goto(f"{site}{name}?depth=3&formulas={formulas}")
        page.evaluate(SETTLED)
        page.evaluate(AXE)
        assert page.evaluate(RUN) == []


def test_a_page_opens_from_disk(book, chapter, tab):
    page = tab()
    for name in ("index.html", chapter, "glossary.html"):
        page.goto((book / name).as_uri())
        page.evaluate(SETTLED)
    page.keyboard.press("/")
    page.keyboard.type("catastrophic forgetting")
    page.wait_for_selector(".hs-find li")
    assert page.troubles == []


def test_the_whole_story_on_one_page_is_the_first_button_and_fills_four_sheets(site, tab):
    page = tab()
    page.goto(site + "index.html")
    page.locator(".hs-go a").first.click()
    page.wait_for_url("**/one-page.html")
    page.evaluate(SETTLED)
    page.emulate_media(media="print")
    page.wait_for_timeout(300)  # until the page is laid out for paper
    sheets = page.pdf(format="A4").count(b"/Type /Page\n")
    assert 1 < sheets <= 4
    letters = page.evaluate(
        """[...document.querySelectorAll('.hs-drawing svg')].map(svg => Math.min(...[...svg.querySelectorAll('text')]
        .map(text => parseFloat(getComputedStyle(text).fontSize) * svg.getScreenCTM().a)))"""
    )
    assert len(letters) == 4 and min(letters) >= 8 * 96 / 72, "the drawings' letters are at least 8 points high"


def test_every_page_reads_without_javascript(site, pages, tab):
    page = tab(java_script_enabled=False)
    for name in pages:
        page.goto(site + name)
        assert page.locator("h1").first.is_visible(), name
        assert page.locator(".hs-reading:visible, .hs-bar__theme:visible").count() == 0, name
