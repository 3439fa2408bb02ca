"""The package's reference, made from its folders and docstrings, and CHANGELOG.md as a page."""

import os
import re
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import hs_house
from docutils import nodes
from hs_reading import text
from hs_techniques import behind, short, techniques
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ALONE = "files"  # the page of the modules that stand beside the folders


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


def pages() -> dict[str, list[str]]:
    """The pages of the reference, from the ground up, each with the modules it describes."""
    return {room or ALONE: modules for room, modules in hs_house.rooms().items()}


def automodule(module: str, members: bool = True) -> str:
    """Markdown that lets autodoc describe a module, or only print its docstring."""
    return f"```{{eval-rst}}\n.. automodule:: {module}\n{'   :members:' * members}\n```\n"


def page(name: str) -> str:
    """A page of the reference: the docstring of its folder, then a section for each module."""
    folder = f"transferlib.{name}"
    head = f"# {folder}\n\n{automodule(folder, members=False)}" if name != ALONE else "# Beside the folders\n"
    # The folder stands in the title already; a file of its own is named in full.
    inside = {m: m if name == ALONE else m.removeprefix("transferlib.") for m in pages()[name] if m != folder}
    return "\n".join([head, *(f"## {title}\n\n{automodule(m)}" for m, title in inside.items())])


def overview() -> str:
    """Each page of the reference with what it holds."""
    found = [automodule("transferlib", members=False)]
    for name, modules in pages().items():
        folder = f"transferlib.{name}"
        says = hs_house.docstring(folder) if folder in modules else "One technique, one file, until it needs a second."
        links = " · ".join(short(module) for module in modules if module != folder)
        title = "beside the folders" if name == ALONE else folder
        found.append(f"{{doc}}`{title} </api/{name}>`\n: {says}\n\n  {links}\n")
    return "\n".join(found)


class Api(SphinxDirective):
    """The parts of the reference's first page: ``{api} overview``, ``techniques`` or ``chapters``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        what, source = self.arguments[0], Path(self.env.srcdir)
        parts = {"overview": overview, "techniques": lambda: techniques(source), "chapters": lambda: behind(source)}
        if what not in parts:
            raise self.error(f"api: {what!r} is unknown; write one of {', '.join(parts)}.")
        for path in (*hs_house.MODULES.values(), source / "glossary.md"):
            self.env.note_dependency(str(path))
        self.env.glob_toctrees.add(self.env.docname)  # Sphinx reads the page again when a chapter appears
        return [*self.parse_text_to_nodes(parts[what]()), *([self.tree()] if what == "overview" else [])]

    def tree(self) -> nodes.Node:
        """The hidden table of contents: every page of the reference has its place in the book."""
        names = [f"api/{name}" for name in pages()]
        tree = addnodes.toctree(
            parent=self.env.docname, entries=[(None, n) for n in names], includefiles=names, caption=None,
            rawcaption="", maxdepth=1, glob=False, hidden=True, includehidden=False, numbered=0, titlesonly=True,
        )  # fmt: skip
        return nodes.compound("", tree, classes=["toctree-wrapper"])


def _write(app: Sphinx) -> None:
    """Give Sphinx a file for each page of the reference; where there is no api.md, there is no reference."""
    folder = Path(app.srcdir) / "api"
    if not folder.with_suffix(".md").is_file():
        return
    folder.mkdir(exist_ok=True)
    for name in pages():
        path = folder / f"{name}.md"
        path.write_text(page(name), encoding="utf-8")
        # As old as what decides its text, so that Sphinx reads it again only when that changed.
        room = hs_house.PACKAGE / name if name != ALONE else hs_house.PACKAGE
        os.utime(path, (0, max(place.stat().st_mtime for place in (room, Path(__file__)))))


def _plain_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings write ``|x|`` and ``‖x‖``; reStructuredText would take the bars for a substitution."""
    for i, line in enumerate(lines):
        parts = line.split("``")  # every second part is code
        lines[i] = "``".join(re.sub(r"\|", r"\\|", part) if k % 2 == 0 else part for k, part in enumerate(parts))


def _import_once(app: Sphinx, env: Any, names: list[str]) -> None:
    """Import the package before Sphinx forks its readers: torch takes seconds, once is enough."""
    if any(name.startswith("api/") for name in names):
        for module in hs_house.MODULES:
            with suppress(Exception):  # autodoc names the module that cannot be imported
                import_module(module)


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.add_directive("changelog", Changelog)
    app.add_directive("api", Api)
    app.connect("autodoc-process-docstring", _plain_docstring, priority=900)
    app.connect("builder-inited", _write)
    app.connect("env-before-read-docs", _import_once)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
