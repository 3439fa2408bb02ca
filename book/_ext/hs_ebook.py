"""Pages for e-readers: well-formed XHTML, formulas as MathML, colours as colours, tables in the place of widgets.

What a page folds away, the code of its experiments, is left out, as in the printed book: an e-reader shows all of it.
Only at work when Sphinx is given the tag ``ebook``, as ``make epub`` does.
"""

import re
import zipfile
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# What only a script or a wide screen uses, or what the vocabulary of e-books lacks.
DROPPED = re.compile(r"^(?:data-|tabindex$|popover|on|align$|border$|clear$|frame$|rules$|valign$)")

NO_CODE = "<p>The code of the experiments is left out of this e-book: it is in the notebooks.</p>"


class _Xhtml(HTMLParser):
    """Writes HTML again as XHTML; the case of SVG's names is kept."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.open: list[str] = []
        self.skipped = 0  # depth inside of something that is left out
        self.ids: set[str] = set()
        self.experiment = False  # whether the cell that was begun last is one

    def _folded(self, tag: str, classes: set[str]) -> bool:
        """Whether this element is the code of an experiment."""
        if "cell" in classes:
            self.experiment = "tag_experiment" in classes
        return (tag == "details" and "above-input" in classes) or (self.experiment and "cell_input" in classes)

    def _tag(self, attrs: list[tuple[str, str | None]], closed: bool) -> tuple[str, str]:
        raw = self.get_starttag_text() or ""
        name = re.match(r"<([\w:-]+)", raw)
        cased = {found.lower(): found for found in re.findall(r"[\s\"']([\w:-]+)\s*=", raw)}
        kept: dict[str, str] = {}
        for key, value in attrs:
            if DROPPED.match(key) or (key == "id" and (not value or value in self.ids)):
                continue
            if key == "name" and name and name[1] == "details":
                continue
            kept.setdefault(cased.get(key, key), value if value is not None else key)
            if key == "id" and value:
                self.ids.add(value)
        tag = name[1] if name else ""
        return tag, "".join(f' {key}="{escape(value)}"' for key, value in kept.items())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        unread = tag in ("script", "button") or (tag == "style" and "svg" not in self.open)
        if self.skipped or unread or self._folded(tag, set((dict(attrs).get("class") or "").split())):
            self.skipped += tag not in VOID
            return
        name, rest = self._tag(attrs, False)
        self.out.append(f"<{name}{rest}{' /' if tag in VOID else ''}>")
        if tag not in VOID:
            self.open.append(name)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self.skipped:
            name, rest = self._tag(attrs, True)
            self.out.append(f"<{name}{rest} />")

    def handle_endtag(self, tag: str) -> None:
        if self.skipped:
            self.skipped -= tag not in VOID
        elif tag in (known := [name.lower() for name in self.open]):
            while known.pop() != tag:  # HTML leaves </p> and </li> out
                self.out.append(f"</{self.open.pop()}>")
            self.out.append(f"</{self.open.pop()}>")

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.out.append(escape(data, quote=False))


def xhtml(html: str) -> str:
    """The same elements as well-formed XML, without scripts and without what e-readers do not know.

    >>> xhtml('<p>a<br>b &nbsp; <img src=x data-k="1"><svg viewBox="0 0 1 1"/>')
    '<p>a<br />b \\xa0 <img src="x" /><svg viewBox="0 0 1 1" /></p>'
    """
    parser = _Xhtml()
    parser.feed(html)
    parser.close()
    return "".join(parser.out) + "".join(f"</{name}>" for name in reversed(parser.open))


def palette(css: str) -> dict[str, str]:
    """The custom properties of a style sheet with their light values."""
    found = dict(re.findall(r"^\s*(--hs-[\w-]+):\s*(.+?);", css, flags=re.M))
    return {name: re.sub(r"light-dark\(\s*([^,]+),[^)]*\)", r"\1", value) for name, value in found.items()}


def coloured(svg: str, colours: dict[str, str]) -> str:
    """A drawing whose variables are replaced by what they stand for: few e-readers know them."""
    known = colours | dict(re.findall(r"(--[\w-]+)\s*:\s*([^;}\"]+)", svg))

    def value(found: re.Match[str]) -> str:
        name, _, fallback = found[1].partition(",")
        inner = known.get(name.strip(), fallback.strip() or "currentColor")
        return re.sub(r"var\(([^()]*)\)", value, inner) if inner.count("var(") else inner

    svg = re.sub(r"var\(([^()]*)\)", value, svg)
    return re.sub(r"light-dark\(\s*([^,]+),[^)]*\)", r"\1", svg)


def page(body: str, colours: dict[str, str]) -> str:
    """The body of a page of the e-book."""
    body = re.sub(r"<svg\b.*?</svg>", lambda found: coloured(found[0], colours), body, flags=re.S)
    body = re.sub(r'href="(?![a-z]+:)([^"#]+)\.html(#|")', r'href="\1.xhtml\2', body)
    # Everything is open: no summary asks to show or hide, and no paragraph stands in one, as MyST-NB has it.
    body = re.sub(r"<summary>\s*<p class=\"collapsed.*?</summary>", "<summary>Code</summary>", body, flags=re.S)
    body = re.sub(r"<(/?)noscript\b", r"<\1div", body)  # what stands in the place of a script is all there is
    body = re.sub(r"<details(?![^>]* open)", "<details open", body)  # an e-reader may not be able to unfold them
    # KaTeX lets the invisible sign after "max" stand as a third part of an index, which may have two.
    return re.sub("<mo>\u2061</mo>(?=</m(?:sub|sup|subsup)>)", "", xhtml(body))


def _context(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    theme = Path(app.srcdir) / "_static" / "hs.css"
    colours = palette(theme.read_text(encoding="utf-8")) | {"--hs-sans": "sans-serif", "--hs-serif": "serif"}
    note = NO_CODE if name == app.config.root_doc else ""
    context["body"] = page(context.get("body", ""), colours) + note
    # MyST-NB's sheet styles what a screen shows; an e-book has one sheet, its own, beside the theme's.
    context["css_files"] = [sheet for sheet in context["css_files"] if "mystnb" not in str(sheet)]
    context["metatags"] = ""  # what the page with the photographs tells a browser
    context["title"] = unescape(re.sub(r"<[^>]+>", "", context.get("title", "")))


def declared(name: str, text: str) -> str:
    """The properties that the list of an e-book's files must give for a page that holds formulas or drawings."""
    held = [word for word, mark in (("mathml", "<math"), ("svg", "<svg")) if mark in text and name.endswith(".xhtml")]
    return " ".join(held)


def _declare(app: Sphinx, failed: Exception | None) -> None:
    """Write the properties, which Sphinx leaves out, into the list of files inside of the finished e-book."""
    if failed or app.builder.name != "epub":
        return
    path = Path(app.outdir) / f"{app.config.epub_basename}.epub"
    with zipfile.ZipFile(path) as book:
        files = [(item, book.read(item)) for item in book.infolist()]
    texts = {item.filename: data.decode() for item, data in files if item.filename.endswith(".xhtml")}

    def item(found: re.Match[str]) -> str:
        properties = declared(found[1], texts.get(found[1], ""))
        if not properties or "properties=" in found[0]:
            return found[0]
        return found[0].replace("<item ", f'<item properties="{properties}" ', 1)

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for entry, data in files:  # the first one, the type of the file, stays stored
            if entry.filename == "content.opf":
                data = re.sub(r'<item [^>]*href="([^"]+)"[^>]*>', item, data.decode()).encode()
            book.writestr(entry, data, compress_type=entry.compress_type)


def setup(app: Sphinx) -> dict[str, bool]:
    if app.tags.has("ebook"):
        app.connect("html-page-context", _context, priority=900)
        app.connect("build-finished", _declare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
