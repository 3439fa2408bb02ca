"""A number and its unit stay on one line: the space between them does not break."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SPACE = re.compile(r"(?<=\d) (?=(?:%|MB|GB|ms|points?)(?!\w))")
EXACT = (nodes.literal, nodes.literal_block, nodes.raw, nodes.math, nodes.math_block, nodes.comment)


def kept(text: str) -> str:
    """The text with a no-break space before each unit.

    >>> kept("of 95 % in 20 MBit")
    'of 95\\xa0% in 20 MBit'
    """
    return SPACE.sub("\u00a0", text)


def join(app: Sphinx, doctree: Any) -> None:
    """In everything that is read as prose; code and formulas stay as they were written."""
    for text in list(doctree.findall(nodes.Text)):
        parent = text.parent
        while parent is not None and not isinstance(parent, EXACT):
            parent = parent.parent
        if parent is None and kept(text) != text:
            text.parent.replace(text, nodes.Text(kept(text)))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", join)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
