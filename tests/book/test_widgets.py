"""Every widget in a browser: in a page opened from disk, and as the one module that JupyterLab runs."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
import hs_widgets

from transferlib.widgets import base, domain_gap, spring

SPAN = {"mean": 0.5, "lo": 0.4, "hi": 0.6}
LINE = {"n": [1, 5, 20], "mean": [0.3, 0.4, 0.5], "lo": [0.2, 0.3, 0.4], "hi": [0.4, 0.5, 0.6]}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)


def points(gain):
    return [{"k": k, **SPAN, "train": 0.9, "gain": gain if k else None} for k in (0, 1, 2)]


STATES = {
    "dial": {"title": "What does it do?", "start_n": 0, "datasets": [
        {"label": "Digits <b>", "x": ["0", "1", "10"], "x_label": "λ", "y_label": "accuracy (%)",
         "say": ["a", "b", "c"], "series": [{"label": "old", "mean": [1, 2, 3], "lo": [0, 1, 2], "hi": [2, 3, 4]}]}]},
    "domain_gap": domain_gap.two_clouds(steps=3, points=5),
    "freeze_depth": {"title": "How <b> deep?", "start_n": 5, "start_k": 0, "chance": 0.1,
        "layers": ["stem", "blocks.0"],
        "depths": [{"k": k, "trainable": 10, "memory": 1_500_000, "stored": 40} for k in (0, 1, 2)],
        "budgets": [{"n": 5, "seeds": 4, "points": points(SPAN)}]},
    "label_budget": {"title": "A head start", "start_n": 1, "datasets": [
        {"id": "a", "label": "A <b>", "chance": 0.1, "gaps": [{"a": "probe", "b": "scratch", **LINE}],
         "strategies": [{"id": "probe", "label": "probe", **LINE}, {"id": "scratch", "label": "scratch", **LINE}]}]},
    "layer_explorer": {"title": "Layers", "start": 0,
        "layers": [{"id": i, "label": f"{i} <b>", "shape": "3 × 3", "filters": PIXEL, "note": "n"} for i in "abc"],
        "sets": [{"id": "a", "label": "A", "chance": 0.1, "seeds": 3, "trained": [SPAN] * 3, "random": [SPAN] * 3,
                  "pictures": [{"label": "shoe", "src": PIXEL, "maps": [PIXEL] * 3}]}]},
    "spring": spring.example(),
    "two_spaces": {"title": "Two <b> spaces", "start": 0,
                   "labelled": [[0.1 * i, 0.4 * (i % 2), i % 2] for i in range(6)],
                   "new": [[0, 0.1, 0], [0.5, 0.5, 1]]},
}  # fmt: skip
PLACES = {"dial": "n", "domain_gap": "at", "freeze_depth": "k", "label_budget": "n", "layer_explorer": "layer",
          "spring": "place", "two_spaces": "few"}  # fmt: skip
MODEL = """async ([module, state]) => {
  const listeners = {};
  window.values = { state };
  window.kernel = (name, value) => { values[name] = value; (listeners[`change:${name}`] ?? []).forEach((f) => f()); };
  const model = { get: (name) => values[name], set: (name, value) => { values[name] = value; }, save_changes() {},
    on: (event, f) => { (listeners[event] ??= []).push(f); },
    off: (event, f) => { listeners[event] = listeners[event].filter((known) => known !== f); } };
  const { default: widget } = await import(URL.createObjectURL(new Blob([module], { type: "text/javascript" })));
  window.stop = widget.render({ model, el: document.body });
  window.heard = () => Object.values(listeners).flat().length;
}"""


@pytest.fixture
def on_disk(tmp_path):
    """A page with every widget, opened from disk."""
    (tmp_path / "w.js").write_text(hs_widgets.bundle(), encoding="utf-8")
    (tmp_path / "w.css").write_text(hs_widgets.styles(), encoding="utf-8")
    twins = "".join(import_module(f"transferlib.widgets.{name}").html(state) for name, state in STATES.items())
    head = '<meta charset="utf-8"><link rel="stylesheet" href="w.css"><script defer src="w.js"></script>'
    path = tmp_path / "page.html"
    path.write_text(f'<!doctype html><html lang="en"><head>{head}</head><body>{twins}</body></html>', encoding="utf-8")
    return path.as_uri()


def test_a_page_from_disk_brings_every_widget_to_life(tab, on_disk):
    page = tab()
    page.goto(on_disk)
    assert page.locator("section.hs-kit").count() == len(STATES)
    assert page.locator(".hs-widget__fallback").count() == 0
    assert page.locator("section.hs-kit b").count() == 0  # labels are text
    for name, place in PLACES.items():
        root = page.locator(f'[data-widget="{name}"] section')
        before, shown = root.get_attribute(f"data-{place}"), root.get_by_role("slider").get_attribute("aria-valuetext")
        root.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        assert root.get_attribute(f"data-{place}") != before, name
        assert root.get_by_role("slider").get_attribute("aria-valuetext") != shown
        page.wait_for_timeout(350)
        assert root.locator("[data-role=live]").inner_text()
        assert root.locator("details").count() == 1
    assert page.troubles == []


@pytest.mark.parametrize("width", [360, 1000])
def test_no_widget_is_wider_than_the_page_and_each_has_its_own_style(tab, on_disk, width):
    page = tab(viewport={"width": width, "height": 900})
    page.goto(on_disk)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # One rule of each sheet, so that a sheet which was cut short is noticed at every width.
    for css, prop, value in [(".hs-dg__key", "display", "flex"), (".hs-fd__costs", "display", "grid"),
                             (".hs-lb__name", "font-weight", "600"), (".hs-le__looks", "display", "grid"),
                             (".hs-sp__coil", "fill", "none"), (".hs-ts__point", "cursor", "grab")]:  # fmt: skip
        if css != ".hs-lb__name" or width > 560:
            assert page.locator(css).first.evaluate(f"e => getComputedStyle(e).getPropertyValue('{prop}')") == value


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("light", ["true", "false"])
def test_in_jupyterlab_the_module_follows_the_kernel_wears_its_theme_and_leaves_nothing(tab, name, light):
    page = tab()
    page.set_content(f'<style>{base.styles(name)}</style><body data-jp-theme-light="{light}"></body>')
    page.evaluate(MODEL, [base.module(name), STATES[name]])
    root, place = page.locator("section.hs-kit"), PLACES[name]
    paper = root.evaluate("e => getComputedStyle(e).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if light == "true" else "rgb(24, 32, 40)")
    to = {"label_budget": 20}.get(name, 2)
    page.evaluate(f"kernel('{place}', {to})")
    assert root.get_attribute(f"data-{place}") == str(to)
    root.get_by_role("slider").focus()
    page.keyboard.press("Home")
    assert page.evaluate(f"values['{place}']") == (1 if name == "label_budget" else 0)
    page.evaluate("stop()")
    assert root.count() == 0 and page.evaluate("heard()") == 0
    assert page.troubles == []


def test_a_point_moves_in_both_spaces_with_the_arrow_keys_and_goes_back(tab, on_disk):
    page = tab()
    page.goto(on_disk)
    root = page.locator('[data-widget="two_spaces"] section')
    places = lambda: [root.locator(f'[data-point="{k}-0"]').get_attribute("cx") for k in (0, 1)]  # noqa: E731
    before = places()
    root.locator('[data-point="0-0"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert all(float(now) > float(was) for now, was in zip(places(), before, strict=True))
    root.get_by_role("button", name="Put the points back").click()
    assert places() == before


def test_a_point_is_dragged_in_the_good_space(tab, on_disk):
    page = tab()
    page.goto(on_disk)
    root = page.locator('[data-widget="two_spaces"] section')
    point = root.locator('[data-point="1-1"]')
    point.scroll_into_view_if_needed()
    box, shown = point.bounding_box(), root.locator(".hs-kit__readout").inner_text()
    page.mouse.move(box["x"] + 7, box["y"] + 7)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] + 40, steps=4)
    page.mouse.up()
    moved = point.bounding_box()
    assert abs(moved["x"] + 7 - (box["x"] - 60)) < 3 and abs(moved["y"] + 7 - (box["y"] + 40)) < 3
    assert "of the new points are right" in shown


def test_the_spring_shows_the_closed_form_at_every_strength_and_follows_a_dragged_weight(tab, on_disk):
    page = tab()
    page.goto(on_disk)
    root, state = page.locator('[data-widget="spring"] section'), spring.example()
    for weight in state["weights"]:
        root.get_by_role("radio", name=weight["label"]).check()
        root.get_by_role("slider").focus()
        page.keyboard.press("Home")
        for strength in state["strengths"]:
            at = spring.rest(strength, weight["stiffness"])
            old, new = weight["stiffness"] * at**2 / 2, (at - 3) ** 2 / 2
            assert f"{at:.2f}" in root.locator(".hs-kit__verdict").inner_text()
            shown = [root.locator(".hs-kit__row strong").nth(i).inner_text() for i in range(3)]
            assert list(map(float, shown)) == pytest.approx([old, new, new + strength * old], abs=0.006)
            page.keyboard.press("ArrowRight")
    rests, box = root.locator(".hs-sp__rest"), root.locator("svg.hs-kit__chart").bounding_box()
    before = float(rests.get_attribute("cx"))
    page.mouse.move(box["x"] + box["width"] - 40, box["y"] + 60)
    page.mouse.down()
    page.mouse.up()
    assert float(rests.get_attribute("cx")) > before and root.get_attribute("data-place") == "0"
