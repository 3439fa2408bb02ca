"""The built book, a server for it, and a real browser; each says why when it is not there."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def html() -> Path:
    """The folder of the built pages; ``HS_HTML`` names another one."""
    return Path(os.environ.get("HS_HTML", ROOT / "build" / "html"))


@pytest.fixture(scope="session")
def book() -> Path:
    """The built pages; where there are none, the smoke profile builds them, which takes minutes."""
    if (html() / "index.html").is_file():
        return html()
    if not (ROOT / ".venv" / ".ready").is_file():
        pytest.skip(f"the book is not built: no {html() / 'index.html'}; run `make book` first")
    # The flags of the make that runs the tests are not for the make that builds the book.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "TRANSFERLIB_BUILD"))}
    subprocess.run(["make", "--no-print-directory", "book", "PROFILE=smoke"], cwd=ROOT, env=own, check=True)
    return ROOT / "build" / "smoke" / "html"


@pytest.fixture(scope="session")
def pages(book: Path) -> list[str]:
    """Every page of the book, without the listings of source code."""
    found = [path.relative_to(book).as_posix() for path in sorted(book.rglob("*.html"))]
    return [name for name in found if not name.startswith(("_modules/", "_static/"))]


@pytest.fixture(scope="session")
def chapter(pages: list[str]) -> str:
    """The first chapter."""
    found = [name for name in pages if name.startswith("chapters/")]
    if not found:
        pytest.skip("no chapter has been executed: run `make execute` first")
    return found[0]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def site(book: Path) -> Iterator[str]:
    """The address of the book on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(book)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, as the system installed it."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed: the pages are not tested in a browser here")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as tools:
        running = tools.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


def _watched(page: Any) -> Any:
    """The page, whose ``troubles`` list gathers console errors and requests to other hosts."""
    page.troubles = []
    page.on("console", lambda m: m.type in ("error", "warning") and page.troubles.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: page.troubles.append(f"error: {error}"))
    local = ("http://127.0.0.1:", "file:", "data:", "blob:")
    page.on("request", lambda r: r.url.startswith(local) or page.troubles.append(f"request: {r.url}"))
    return page


@pytest.fixture(scope="session")
def watched() -> Callable[[Any], Any]:
    """Listens to a page that a test opened itself: see ``_watched``."""
    return _watched


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a fresh tab, watched."""
    contexts = []

    def open_tab(**options: Any) -> Any:
        options = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options}
        context = browser.new_context(**options)
        contexts.append(context)
        return _watched(context.new_page())

    yield open_tab
    for context in contexts:
        context.close()


EXT = Path(__file__).resolve().parents[2] / "book" / "_ext"


@pytest.fixture(scope="module")
def render(tmp_path_factory):
    """Build one page in a bare book; gives its HTML and the warnings."""
    from sphinx.application import Sphinx
    from sphinx.util.console import nocolor
    from sphinx.util.docutils import docutils_namespace

    nocolor()

    def build(markdown: str, notation: str = "", files: dict[str, str] | None = None) -> tuple[str, str]:
        folder = tmp_path_factory.mktemp("book")
        source = folder / "src"
        source.mkdir()
        (source / "conf.py").write_text(
            f"import sys; sys.path.insert(0, {str(EXT)!r})\n"
            "extensions = ['myst_parser', 'hs_katex', 'hs_reading', 'hs_teaching', 'hs_widgets']\n"
            "extensions += ['hs_pages', 'hs_numbers', 'hs_units', 'hs_terms', 'hs_reference']\n"
            "html_theme = 'basic'\nhtml_math_renderer = 'hs_katex'\n"
            "myst_enable_extensions = ['colon_fence', 'dollarmath']\nexclude_patterns = ['notation.md']\n"
        )
        (source / "index.md").write_text(f"# A page\n\n{markdown}\n")
        for name, content in {**(files or {}), **({"notation.md": notation} if notation else {})}.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(content)
        warnings = StringIO()
        with docutils_namespace():
            Sphinx(source, source, folder / "out", folder / "doctrees", "html", status=None, warning=warnings).build()
        return (folder / "out" / "index.html").read_text(), warnings.getvalue()

    return build
