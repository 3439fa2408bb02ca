"""The search index: one script, loaded when the reader first searches, that also works from a folder on disk."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

SILENT = (nodes.raw, nodes.math_block, nodes.comment, nodes.literal_block, addnodes.toctree, addnodes.index)


def _words(node: nodes.Node) -> str:
    """The readable text of a node, without code, formulas, and what has an entry of its own."""
    if isinstance(node, nodes.Text):
        return str(node)
    if isinstance(node, (*SILENT, nodes.section, nodes.title, addnodes.desc, addnodes.glossary)):
        return ""
    gap = "" if isinstance(node, nodes.TextElement) and node.tagname != "hs_box" else " "
    return gap.join(_words(child) for child in node.children)


def entries(doctree: nodes.document) -> list[tuple[str, str, str]]:
    """(anchor, title, text) of the sections, glossary terms and documented functions of a page."""
    found: list[tuple[str, str, str]] = []
    for section in doctree.findall(nodes.section):
        title = section.next_node(nodes.title)
        text = " ".join(_words(child) for child in section.children)
        anchor = section["ids"][0] if section["ids"] else ""
        found.append((anchor, title.astext() if title else "", " ".join(text.split())))
    for item in doctree.findall(nodes.definition_list_item):
        if isinstance(item.parent.parent, addnodes.glossary):
            body = " ".join(item.next_node(nodes.definition).astext().split())
            found += [(term["ids"][0], term.astext(), body) for term in item.findall(nodes.term)]  # every name of it
    for signature in doctree.findall(addnodes.desc_signature):
        if signature["ids"]:
            body = signature.parent.next_node(addnodes.desc_content)
            first = body.next_node(nodes.paragraph) if body else None
            name = f"{signature.get('module', '')}.{signature.get('fullname', '')}".strip(".")
            found.append((signature["ids"][0], name, " ".join(first.astext().split()) if first else ""))
    return found


def _write(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.name != "html":
        return
    pages = []
    for name in sorted(app.env.found_docs):
        doctree = app.env.get_doctree(name)
        found = entries(doctree)
        if found:
            # The first section is the page itself: its title is the page's.
            pages.append([f"{name}.html", found[0][1], found])
    text = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    (Path(app.outdir) / "_static" / "hs-index.js").write_text(f"window.hsIndex={text};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
