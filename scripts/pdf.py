"""Print the built book, or one chapter of it, as a PDF with Chromium: everything open, contents with page numbers."""

import re
import shutil
from html import unescape
from pathlib import Path
from typing import Annotated, Any

import typer
from entry import main

from transferlib.errors import UserError, nearest, needs

HERE = Path(__file__).resolve().parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LEFT_OUT = ("gallery",)  # the charts of the chapters once more
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FOLDED = ".cell details.hide.above-input, .cell.tag_experiment .cell_input"  # the code of an experiment
NO_CODE = " The code of the experiments is left out: it is in the notebooks, and make pdf CODE=yes prints it."
SETTLED = "document.fonts.ready.then(() => new Promise((done) => setTimeout(done, 300)))"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def pages(html: Path, chapter: str = "") -> list[dict[str, str]]:
    """The pages to print in reading order, from the contents in the drawer of the first one."""
    first = html / "index.html"
    if not first.is_file():
        raise UserError(
            f"There are no built pages in {html}: run `make book`, or `make read` for the recorded results."
        )
    drawer = re.search(r'<nav class="hs-drawer".*?</nav>', first.read_text(encoding="utf-8"), flags=re.S)
    found, part = [], ""
    for caption, link, inner in re.findall(
        r'<p class="hs-drawer__part">(.*?)</p>|<a href="([^"#]+)"[^>]*>(.*?)</a>', drawer[0] if drawer else "", re.S
    ):
        part = unescape(caption) or part
        if not link:
            continue
        number = re.search(r"__number\">(\d+)<", inner)
        label = unescape(re.sub(r"<span class=\"hs-drawer__number\">.*?</span>|<[^>]+>", "", inner)).strip()
        path = (html / unescape(link)).resolve()
        found.append({"name": f"hs-{path.stem}", "address": path.as_uri(), "part": part, "title": label,
                      "number": number[1] if number else "", "html": path.read_text(encoding="utf-8")})  # fmt: skip
    known = [page["number"] for page in found if page["number"]]
    if chapter and chapter not in known:
        raise UserError(f"CHAPTER={chapter!r} is not among the built pages: {nearest(chapter, known)}")
    return [
        page
        for page in found
        if (page["number"] == chapter if chapter else page["name"].removeprefix("hs-") not in LEFT_OUT)
    ]


def chromium(driver: Any) -> str:
    """The path of a Chromium: the system's, else Playwright's own."""
    for path in (*map(shutil.which, NAMES), driver.chromium.executable_path):
        if path and Path(path).is_file():
            return str(path)
    raise UserError("No Chromium is found: install chromium with your system, or run `playwright install chromium`.")


def places(pdf: bytes) -> dict[str, int]:
    """The page, from 1, on which each named place of a PDF by Chromium stands.

    Skia writes the page tree and the table of destinations as plain objects.
    """
    objects = {int(number): body for number, body in re.findall(rb"(?ms)^(\d+) 0 obj\s(.*?)^endobj", pdf)}
    (root,) = [int(n) for n in re.findall(rb"/Type\s*/Catalog.*?/Pages (\d+) 0 R", pdf, re.S)]

    def leaves(number: int) -> list[int]:
        kids = re.search(rb"/Kids\s*\[(.*?)\]", objects[number], re.S)
        return [leaf for kid in re.findall(rb"(\d+) 0 R", kids[1]) for leaf in leaves(int(kid))] if kids else [number]

    order = {number: page for page, number in enumerate(leaves(root), 1)}
    named = re.findall(rb"/([^\s/\[\]<>()]+)\s*\[(\d+) 0 R\s*/XYZ", pdf)
    return {
        re.sub(rb"#([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), name).decode(): order[int(number)]
        for name, number in named
        if int(number) in order
    }


def printed(tab: Any, sheets: list[dict[str, str]], code: bool = False) -> bytes:
    """The PDF of some pages; ``code`` prints what a page folds away, too, the code of its experiments.

    It is printed twice: the first one tells on which page each entry of the contents is.
    """
    tab.goto(sheets[0]["address"])
    anchors = tab.evaluate((HERE / "assemble.js").read_text(encoding="utf-8"), sheets)
    static = Path(sheets[0]["static"])
    for sheet in ("vendor/katex/katex.min.css", "hs.css", "hs-blocks.css", "hs-widgets.css"):
        if (static / sheet).is_file():
            tab.evaluate(
                "(href) => new Promise((done) => document.head.append(Object.assign(document.createElement('link'),"
                " {rel: 'stylesheet', href, onload: done, onerror: done})))",
                (static / sheet).as_uri(),
            )
    tab.add_style_tag(content=(HERE / "pdf.css").read_text(encoding="utf-8"))
    if (static / "hs-widgets.js").is_file():
        tab.add_script_tag(path=static / "hs-widgets.js")
    if not code:
        tab.evaluate(f"document.querySelectorAll('{FOLDED}').forEach((box) => box.remove())")
        tab.evaluate("(line) => document.querySelector('.hs-cover small')?.append(line)", NO_CODE)
    tab.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    tab.evaluate(SETTLED)
    options = {"prefer_css_page_size": True, "print_background": True, "outline": True, "tagged": True}
    numbers = places(tab.pdf(**options))
    if missing := [anchor for anchor in anchors if anchor not in numbers]:
        raise UserError(f"The PDF holds no place {missing[0]!r}, one of {len(missing)}: Chromium printed it otherwise.")
    tab.evaluate(
        "(numbers) => document.querySelectorAll('[data-place]').forEach((n) => {"
        " n.textContent = numbers[n.dataset.place]; })",
        numbers,
    )
    return bytes(tab.pdf(**options))


@app.command()
def make(
    build: Annotated[Path, typer.Option(envvar="TRANSFERLIB_BUILD", help="Folder the book was built in.")],
    chapter: Annotated[str, typer.Option(help="One chapter, such as 06; empty: the whole book.")] = "",
    code: Annotated[str, typer.Option(help="yes: with the code of the experiments, twice as many sheets.")] = "no",
) -> None:
    """Write head-start.pdf, or head-start-06.pdf for one chapter, into the folder of the build."""
    if code not in ("no", "yes"):
        raise UserError(f"CODE={code!r} is unknown: use CODE=yes to print the code of the experiments, or CODE=no.")
    needs("playwright", "dev", "Printing the book")
    from playwright.sync_api import sync_playwright

    sheets = pages(build / "html", chapter)
    for sheet in sheets:
        sheet["static"] = str((build / "html" / "_static").resolve())
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(driver), args=FLAGS)
        tab = browser.new_page(viewport={"width": 760, "height": 1000}, reduced_motion="reduce", color_scheme="light")
        tab.set_default_timeout(600_000)
        body = printed(tab, sheets, code == "yes")
        browser.close()
    target = build / f"head-start{'-' + chapter if chapter else ''}.pdf"
    target.write_bytes(body)
    count = len(re.findall(rb"/Type\s*/Page\b", body))
    print(f"{len(sheets)} pages of the book on {count} sheets, {len(body) / 1e6:.1f} MB: {target}")


if __name__ == "__main__":
    main(app)
