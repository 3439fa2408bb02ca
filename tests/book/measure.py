"""Print, for every page of the built book: bytes over the wire, paint time on a slow processor, layout shift.

``python tests/book/measure.py [folder]``; the folder is build/html unless HS_HTML or the argument names another.
"""

import gzip
import shutil
import sys
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from conftest import FLAGS, _Quiet, html

OBSERVE = """() => new Promise(done => {
  const found = {lcp: 0, cls: 0};
  new PerformanceObserver(list => { for (const e of list.getEntries()) found.lcp = e.startTime; })
    .observe({type: 'largest-contentful-paint', buffered: true});
  new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) found.cls += e.value; })
    .observe({type: 'layout-shift', buffered: true});
  setTimeout(() => done(found), 700);
})"""
LIMITS = {"kilobytes": 1500.0, "paint ms": 1000.0, "shift": 0.1}


def weigh(folder: Path, addresses: list[str]) -> float:
    """Kilobytes of the files a page asked for, as a server that compresses would send them."""
    total = 0
    for address in addresses:
        path = folder / address
        data = path.read_bytes() if path.is_file() else b""
        total += len(data) if path.suffix in (".woff2", ".png") else len(gzip.compress(data, 6))
    return total / 1000


def measure(browser: Any, site: str, folder: Path, name: str, slow: int = 4, loads: int = 3) -> dict[str, float]:
    """One page: kilobytes, largest contentful paint with the processor slowed ``slow`` times, layout shift.

    The paint is the fastest of ``loads`` cold loads, what the page can do; the shift is the worst of them.
    """
    found = [load(browser, site, folder, name, slow) for _ in range(loads)]
    best = min(found, key=lambda one: one["paint ms"])
    return {**best, "shift": max(one["shift"] for one in found)}


def load(browser: Any, site: str, folder: Path, name: str, slow: int) -> dict[str, float]:
    """One cold load of one page."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(site).split("?")[0].split("#")[0]))
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slow})
    page.goto(site + name)
    found = page.evaluate(OBSERVE)
    context.close()
    return {"kilobytes": weigh(folder, sorted(set(asked))), "paint ms": found["lcp"], "shift": found["cls"]}


def main() -> int:
    """Measure every page and print the table; 1 when a page is over a limit."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else html()
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*.html"))]
    names = [name for name in names if not name.startswith(("_modules/", "_static/"))]
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    over = 0
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        print(f"{'page':36} {'kB gzip':>9} {'paint ms, 4x slower':>20} {'shift':>7}")
        for name in names:
            found = measure(browser, f"http://127.0.0.1:{server.server_port}/", folder, name)
            bad = [key for key, limit in LIMITS.items() if found[key] > limit]
            over += bool(bad)
            print(
                f"{name:36} {found['kilobytes']:9.0f} {found['paint ms']:20.0f} {found['shift']:7.3f} "
                f"{'over: ' + ', '.join(bad) if bad else ''}"
            )
        browser.close()
    server.shutdown()
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
