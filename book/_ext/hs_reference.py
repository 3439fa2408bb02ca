"""The package's reference from its docstrings, and CHANGELOG.md as a page and as a feed."""

import re
from contextlib import suppress
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from hs_reading import text
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import transferlib

PACKAGE = Path(transferlib.__file__).parent
ROOMS = {
    "reused": (
        "What is reused",
        ("backbones", "language", "weights", "extraction", "layers", "filters", "similarity", "selfsupervised"),
    ),
    "data": ("What it is reused on", ("datasets", "budgets", "domains", "collection", "scan", "datacheck")),
    "strategies": (
        "How it is reused",
        ("strategies", "freezing", "groups", "probes", "lora", "deltas", "adapters", "prompts", "patterns"),
    ),
    "forgetting": ("Keeping what was known", ("fisher", "persample", "forgetting", "rehearsal", "progressive")),
    "domains": ("Crossing a domain gap", ("alignment", "adversarial", "reweighting", "test_time")),
    "tasks": ("Many tasks", ("multitask", "meta")),
    "preferences": ("Preferences", ("preference",)),
    "running": (
        "Running it",
        ("training", "team", "curves", "sweep", "decision", "calibration", "saved", "words", "profiles", "provenance"),
    ),
    "showing": (
        "Showing it",
        ("chapter", "figures", "claims", "intervals", "exercises", "report", "widgets", "errors"),
    ),
}


class Changelog(SphinxDirective):
    """CHANGELOG.md of the repository, without its title."""

    def run(self) -> list[nodes.Node]:
        path = changelog(Path(self.env.app.confdir))
        if path is None:
            return [text("p", "hs-nothing", "No changes have been recorded yet.")]
        self.env.note_dependency(str(path))
        lines = path.read_text(encoding="utf-8").split("\n")
        body = "\n".join(line for line in lines if not line.startswith("# "))
        return self.parse_text_to_nodes(body, allow_section_headings=True)


def changelog(start: Path) -> Path | None:
    """CHANGELOG.md as it was staged, or the one of the repository when the pages are built where they lie."""
    places = [start / "_data" / "CHANGELOG.md", start.resolve().parent / "CHANGELOG.md"]
    return next((path for path in places if path.is_file()), None)


def feed(markdown: str, base: str) -> str:
    """CHANGELOG.md as an Atom feed: one entry a heading ``## [version] - date`` or ``## date``."""
    entries = []
    dates = []
    for block in re.split(r"^## +", markdown, flags=re.M)[1:]:
        title, _, rest = block.partition("\n")
        date = re.search(r"\d{4}-\d\d-\d\d", title)
        if not date:
            continue
        dates.append(date.group())
        name = re.sub(r"[\[\]]", "", title).strip()
        slug = re.sub(r"[^0-9a-z.]+", "-", name.lower())
        address = f"{base.rstrip('/')}/changes.html" if base else "changes.html"
        entries.append(
            f"<entry><title>{escape(name)}</title><id>urn:head-start:{slug}</id>"
            f'<updated>{date.group()}T00:00:00Z</updated><link href="{escape(address)}"/>'
            f'<content type="text">{escape(rest.strip())}</content></entry>'
        )
    updated = max(dates, default="1970-01-01")
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        "<title>Changes to Head Start</title><id>urn:head-start:changes</id>"
        f"<author><name>the Head Start authors</name></author><updated>{updated}T00:00:00Z</updated>"
        f"{''.join(entries)}</feed>\n"
    )


def _feed(app: Sphinx, config: Any) -> None:
    """Write the feed where Sphinx collects static files."""
    path = changelog(Path(app.confdir))
    folder = Path(app.doctreedir) / "hs_static"
    folder.mkdir(parents=True, exist_ok=True)
    content = feed(path.read_text(encoding="utf-8") if path else "", config.html_baseurl)
    (folder / "changes.xml").write_text(content, encoding="utf-8")


def listed(room: str) -> list[str]:
    """The modules of a room; the last room also takes what no other room names."""
    named = {name for _, modules in ROOMS.values() for name in modules}
    rest = [p.stem for p in sorted(PACKAGE.glob("[a-z]*.py")) if p.stem not in named]
    return [*ROOMS[room][1], *(rest if room == list(ROOMS)[-1] else [])]


def exists(name: str) -> bool:
    """Whether the package has a module or a package of that name."""
    return (PACKAGE / f"{name}.py").is_file() or (PACKAGE / name / "__init__.py").is_file()


class Api(SphinxDirective):
    """``{api} strategies``: the modules of one room of the package, from their docstrings."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        room = self.arguments[0]
        if room not in ROOMS:
            raise self.error(f"api: room {room!r} is unknown; write one of {', '.join(ROOMS)}.")
        found = [name for name in listed(room) if exists(name)]
        if not found:
            return [text("p", "hs-nothing", "Not written yet.")]
        parts = []
        for name in found:
            path = PACKAGE / f"{name}.py"
            if path.is_file():
                self.env.note_dependency(str(path))
            parts.append(
                f"## transferlib.{name}\n\n```{{eval-rst}}\n.. automodule:: transferlib.{name}\n   :members:\n```\n"
            )
        return self.parse_text_to_nodes("\n".join(parts), allow_section_headings=True)


def _plain_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings write ``|x|`` and ``‖x‖``; reStructuredText would take the bars for a substitution."""
    for i, line in enumerate(lines):
        parts = line.split("``")  # every second part is code
        lines[i] = "``".join(re.sub(r"\|", r"\\|", part) if k % 2 == 0 else part for k, part in enumerate(parts))


def _import_once(app: Sphinx, env: Any, names: list[str]) -> None:
    """Import the package before Sphinx forks its readers: torch takes seconds, once is enough."""
    if any(name.startswith("api/") for name in names):
        for module in (name for room in ROOMS for name in listed(room) if exists(name)):
            with suppress(Exception):  # autodoc names the module that cannot be imported
                import_module(f"transferlib.{module}")


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.add_directive("changelog", Changelog)
    app.add_directive("api", Api)
    app.connect("autodoc-process-docstring", _plain_docstring, priority=900)
    app.connect("config-inited", _feed)
    app.connect("env-before-read-docs", _import_once)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
