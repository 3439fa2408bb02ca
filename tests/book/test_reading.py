"""What a reader does: depth, symbols and words, the chart, search, explanations, progress."""

import re

import pytest


@pytest.fixture
def how(site):
    """A page that always holds a folded box and a formula."""
    return f"{site}how-to-read.html"


def is_open(page, depth):
    return page.locator(f"details.hs-depth[data-depth='{depth}']").first.evaluate("box => box.open")


def test_depth_unfolds_and_goes_along_to_the_next_page(site, how, tab):
    page = tab()
    page.goto(how)
    assert not is_open(page, 2)
    page.get_by_role("radio", name="Deeper").check(force=True)
    assert is_open(page, 2)
    page.goto(f"{site}glossary.html")
    page.goto(how)
    assert is_open(page, 2)
    assert page.get_by_role("radio", name="Deeper").is_checked()


def test_depth_can_be_linked_and_is_set_before_the_first_paint(how, tab):
    page = tab()
    page.goto(f"{how}?depth=3&formulas=words")
    assert page.locator("html").get_attribute("data-depth") == "3"
    assert is_open(page, 2)
    assert page.locator(".hs-formula__words").first.is_visible()


def test_an_unknown_depth_is_ignored(how, tab):
    page = tab()
    page.goto(f"{how}?depth=9")
    assert page.locator("html").get_attribute("data-depth") == "1"


def test_depth_is_chosen_from_the_keyboard(how, tab):
    page = tab()
    page.goto(how)
    page.get_by_role("radio", name="Essentials").focus()
    page.keyboard.press("ArrowRight")
    assert is_open(page, 2)


def test_words_replace_symbols_and_one_formula_can_be_turned_alone(site, how, tab):
    page = tab()
    page.goto(how)
    symbols, words = page.locator(".hs-formula__symbols").first, page.locator(".hs-formula__words").first
    assert symbols.is_visible()
    assert not words.is_visible()
    page.locator(".hs-flip").first.click()
    assert words.is_visible()
    assert not symbols.is_visible()
    page.locator(".hs-flip").first.click()
    page.get_by_role("radio", name="Words").check(force=True)
    page.goto(f"{site}notation.html")
    page.goto(how)
    assert words.is_visible()
    assert not symbols.is_visible()


def test_without_javascript_both_versions_stand_there_and_boxes_open_by_hand(how, tab):
    page = tab(java_script_enabled=False)
    page.goto(how)
    assert page.locator(".hs-formula__symbols").first.is_visible()
    assert page.locator(".hs-formula__words").first.is_visible()
    page.locator("details.hs-depth summary").first.click()
    assert page.locator(".hs-depth__body").first.is_visible()


def test_a_symbol_shows_its_glossary_entry_on_hover_and_on_focus(how, tab):
    page = tab()
    page.goto(how)
    page.locator(".hs-equation [data-sym='r']").first.hover()
    page.wait_for_selector(".hs-tip:popover-open")
    assert "inner width r" in page.locator(".hs-tip").inner_text()
    page.keyboard.press("Escape")
    assert page.locator(".hs-tip:popover-open").count() == 0
    page.locator(".hs-flip").first.focus()
    page.keyboard.press("Tab")
    page.wait_for_selector(".hs-tip:popover-open")
    link = page.locator(".hs-symbol a:focus")
    assert link.get_attribute("aria-describedby") == "hs-tip"


def test_a_term_shows_its_glossary_entry(how, tab):
    page = tab()
    page.goto(how)
    page.locator("a:has(> .std-term)").first.hover()
    page.wait_for_selector(".hs-tip:popover-open")
    assert "checked against a condition" in page.locator(".hs-tip").inner_text()


def test_search_finds_catastrophic_forgetting(site, tab):
    page = tab()
    page.goto(f"{site}index.html")
    page.keyboard.press("/")
    page.keyboard.type("catastrophic forgetting")
    page.wait_for_selector(".hs-find li")
    first = page.locator(".hs-find a").first
    assert first.locator("b").inner_text() == "catastrophic forgetting"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"glossary\.html#term-catastrophic-forgetting$"))


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("LoRA", "api/peft.html#module-transferlib.peft.lora"),
        ("EWC", "api/continual.html#transferlib.continual.penalties.EWC"),
        ("DANN", "api/domains.html#transferlib.domains.adversarial.fit_dann"),
        ("WiSE-FT", "api/tuning.html#module-transferlib.tuning.wise_ft"),
        ("TENT", "api/domains.html#module-transferlib.domains.tent"),
    ],
)
def test_search_finds_the_code_of_a_technique_in_four_guesses(site, tab, word, place):
    page = tab()
    page.goto(f"{site}search.html?q={word}")
    page.wait_for_selector("#hs-search-page li")
    found = page.locator("#hs-search-page li a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert place in [address.removeprefix("./") for address in found[:4]], found


def test_every_module_that_the_first_page_names_is_described_once(book, pages):
    texts = {name: (book / name).read_text(encoding="utf-8") for name in pages if name.startswith("api")}
    described = re.findall(r'id="module-(transferlib[\w.]*)"', "".join(texts.values()))
    named = set(re.findall(r'href="api/\w+\.html#module-(transferlib[\w.]*)"', texts["api.html"]))
    folders = {name.removesuffix(".html").replace("api/", "transferlib.") for name in texts} - {
        "transferlib.files",
        "api",
    }
    assert len(described) == len(set(described)) > 50
    assert set(described) == {"transferlib"} | folders | named


def test_search_says_when_nothing_is_found_and_the_search_page_takes_an_address(site, tab):
    page = tab()
    page.goto(f"{site}search.html?q=fine-tuning")
    page.wait_for_selector("#hs-search-page li")
    assert page.locator("#hs-search-page b").first.inner_text() == "fine-tuning"
    page.locator("#hs-search-page input").fill("zzzz")
    page.wait_for_selector("text=Nothing holds all of “zzzz”")


def test_dark_mode_is_kept(how, tab):
    page = tab(color_scheme="light")
    page.goto(how)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark mode").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_the_contents_open_without_javascript(site, tab):
    page = tab(java_script_enabled=False)
    page.goto(f"{site}glossary.html")
    page.get_by_role("button", name="Contents", exact=True).click()
    assert page.locator("#hs-contents a", has_text="Notation").is_visible()


def chart(page):
    if page.locator(".hs-lb .hs-kit__slider").count() == 0:
        pytest.skip("no chapter with the label-budget chart has been executed")
    return page.locator(".hs-lb").first


def test_the_slider_moves_chart_and_read_out_by_keyboard(site, tab):
    page = tab()
    page.goto(f"{site}index.html")
    box = chart(page)
    before = (box.get_attribute("data-n"), box.locator(".hs-kit__readout").inner_text())
    cursor = box.locator(".hs-kit__cursor").get_attribute("d")
    box.locator(".hs-kit__slider").focus()
    page.keyboard.press("ArrowLeft")
    assert box.get_attribute("data-n") != before[0]
    assert box.locator(".hs-kit__readout").inner_text() != before[1]
    assert box.locator(".hs-kit__cursor").get_attribute("d") != cursor
    page.wait_for_timeout(400)
    assert f"{box.get_attribute('data-n')} labels per class" in box.locator("[data-role=live]").inner_text()


def test_the_slider_moves_chart_and_read_out_by_mouse(site, tab):
    page = tab()
    page.goto(f"{site}index.html")
    box = chart(page)
    before = (box.get_attribute("data-n"), box.locator(".hs-kit__readout").inner_text())
    box.locator(".hs-kit__slider").scroll_into_view_if_needed()
    place = box.locator(".hs-kit__slider").bounding_box()
    page.mouse.click(place["x"] + 0.1 * place["width"], place["y"] + place["height"] / 2)
    assert box.get_attribute("data-n") != before[0]
    assert box.locator(".hs-kit__readout").inner_text() != before[1]


def test_the_numbers_of_the_chart_are_a_table_without_javascript(site, tab):
    page = tab(java_script_enabled=False)
    page.goto(f"{site}index.html")
    if page.locator(".hs-widget").count() == 0:
        pytest.skip("no chapter with the label-budget chart has been executed")
    assert page.locator(".hs-widget table").first.is_visible()


def test_an_exercise_that_was_ticked_stays_ticked_and_counts(site, chapter, tab):
    page = tab()
    page.goto(site + chapter)
    if page.locator(".hs-done input").count() == 0:
        pytest.skip("the first chapter has no exercise")
    page.locator(".hs-done input").first.check()
    page.reload()
    assert page.locator(".hs-done input").first.is_checked()
    page.goto(f"{site}exercises.html")
    assert "ticked off 1 of" in page.locator(".hs-progress").inner_text()


def test_print_hides_the_bar_and_keeps_the_chosen_depth(how, tab):
    page = tab()
    page.goto(f"{how}?depth=2")
    page.emulate_media(media="print")
    assert not page.locator(".hs-bar").is_visible()
    assert page.locator(".hs-depth__body").first.is_visible()
    page.goto(f"{how}?depth=1")
    assert not page.locator("details.hs-depth").first.is_visible()
