"""One HTML file that needs nothing else: lists, examples, tables and the page around them. Every name is escaped."""

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd
from PIL import Image

from transferlib.datasets.found import Collection, shortened
from transferlib.datasets.pictures import read

MOST = 200  # characters of a text that are shown
CSS = Path(__file__).with_name("report.css")


def listed(sentences: Sequence[str]) -> str:
    """Sentences as an HTML list. They are text: markup in a file's name stays visible and does nothing.

    >>> listed(["a < b"])
    '<ul><li>a &lt; b</li></ul>'
    """
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def note(sentence: str) -> str:
    """A sentence as a paragraph."""
    return f"<p>{escape(sentence)}</p>"


def decided(decision: str, basis: str) -> str:
    """The decision, and what it rests on."""
    return f'<p class="hs-decision"><strong>{escape(decision)}</strong></p>{note(basis)}'


def code(lines: Sequence[str]) -> str:
    """Lines of a program."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def table(frame: pd.DataFrame, label: str) -> str:
    """A whole table, in a box that scrolls by itself where the page is narrower; ``label`` names it for who listens."""
    if frame.index.name:  # in the corner, and not in a row of its own
        frame = frame.rename_axis(index=None, columns=frame.index.name)
    inner = re.sub(r"(?<=\d), (?=[−\d.]+\])", ",&nbsp;", frame.to_html(border=0, escape=True))  # [54.2, 72.0]
    return f'<div class="hs-table" tabindex="0" role="region" aria-label="{escape(label, quote=True)}">{inner}</div>'


def shown(found: Collection, rows: Sequence[int], captions: Sequence[str], size: int = 96) -> str:
    """Examples side by side with what is to be said about each, as HTML: small pictures inside the page, or texts."""
    parts = []
    for row, caption in zip(rows, captions, strict=True):
        item = found.items[row]
        body = f"<q>{escape(shortened(item, MOST))}</q>"
        if found.kind == "images":
            buffer = io.BytesIO()
            Image.fromarray(read(found.root / item, size, found.span).permute(1, 2, 0).numpy()).save(
                buffer, "PNG"
            )  # → (H, W, 3)
            data = base64.b64encode(buffer.getvalue()).decode()
            name = escape(item, quote=True)
            body = (
                f'<img src="data:image/png;base64,{data}" alt="{name}" title="{name}" width="{size}" height="{size}">'
            )
        parts.append(f"<figure>{body}<figcaption>{escape(caption)}</figcaption></figure>")
    return f'<div class="hs-examples hs-examples--{found.kind}">{"".join(parts)}</div>'


def page(title: str, decision: str, sections: Sequence[tuple[str, Sequence[str]]]) -> str:
    """The whole file: ``decision`` first, then each section's heading and its pieces of HTML."""
    name = escape(title)
    parts = [f"<section><h2>{escape(head)}</h2>\n{chr(10).join(pieces)}</section>" for head, pieces in sections]
    text = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>Report: {name}</title><style>{CSS.read_text(encoding='utf-8')}</style></head>\n"
        f"<body><main><h1>{name}</h1>\n{decision}\n{chr(10).join(parts)}\n"
        "<footer>Written by Head Start, chapter 15. Intervals are 95 %.</footer></main></body></html>\n"
    )
    return text.encode("utf-8", "backslashreplace").decode()  # a file's name may be no text
