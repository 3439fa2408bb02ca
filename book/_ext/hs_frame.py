"""What the page frame (_templates/layout.html) needs to know about a page."""

import re
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from hs_chapters import Chapter, chapters
from sphinx.application import Sphinx

BOOK = "The book"


def launch(chapter: Chapter, repository: str, branch: str, pages: str) -> list[tuple[str, str]]:
    """(label, address) of the services that can run a chapter; none without a GitHub repository."""
    found = re.fullmatch(r"https://github\.com/([^/]+/[^/]+?)(?:\.git)?/?", repository)
    if not found:
        return []
    owner = found.group(1)
    tree = quote(f"lab/tree/notebooks/{chapter.slug}.md", safe="")
    return [
        ("Colab", f"https://colab.research.google.com/github/{owner}/blob/{pages}/_sources/{chapter.docname}.ipynb"),
        ("Binder", f"https://mybinder.org/v2/gh/{owner}/{branch}?urlpath={tree}"),
    ]


def contents(app: Sphinx, page: str) -> list[dict[str, Any]]:
    """The drawer: the front matter, the chapters by part, the back matter; present pages only."""
    known = {c.docname: c for c in chapters(app.srcdir)}
    groups: list[dict[str, Any]] = []
    for toctree in app.env.get_doctree(app.config.root_doc).findall():
        if toctree.tagname != "toctree":
            continue
        entries = []
        for name in toctree["includefiles"]:
            title = app.env.titles[name].astext() if name in app.env.titles else name
            title = known[name].title if name in known else title
            link = app.builder.get_relative_uri(page, name)
            number = known[name].number if name in known else ""
            entries.append({"title": title, "link": link, "number": number, "current": name == page})
        if entries:
            groups.append({"caption": toctree["caption"] or BOOK, "entries": entries})
    return groups


def toc(fragment: str) -> str:
    """The sections of a page without its own title; empty when there are fewer than three."""
    inner = re.search(r"<ul>\s*<li><a[^>]*href=\"#\"[^>]*>.*?</a>(.*)</li>\s*</ul>", fragment, flags=re.S)
    inside = inner.group(1).strip() if inner else ""
    return inside if inside.count("<a ") >= 3 else ""


def _description(body: str) -> str:
    """The first paragraph of a page as plain text."""
    found = re.search(r"<p>(.*?)</p>", body, flags=re.S)
    text = unescape(re.sub(r"<[^>]+>", "", found.group(1))) if found else ""
    return " ".join(text.split())[:220]


TIDY = [
    # Tables that pandas wrote scroll sideways on their own on a narrow screen.
    (
        r'<table border="1" class="(dataframe[^"]*)">(.*?)</table>',
        r'<div class="hs-scroll"><table class="\1">\2</table></div>',
    ),
    # A claim can be linked to; the cell that measured it stands right above.
    (
        r'(<div class="hs-claim"[^>]* id="([^"]+)"><p class="hs-claim__statement">.*?)(</p>)',
        r'\1<a class="headerlink" href="#\2" title="Link to this claim">#</a>\3',
    ),
    # What MyST-NB, pandas and docutils write that a screen reader cannot use.
    (r' aria-label="Toggle hidden content"', ""),
    (r"<th></th>", "<td></td>"),
    (r' role="doc-biblioentry"', ""),
    (r'<div role="list" class="citation-list"', '<div class="citation-list"'),
]


def tidy(body: str) -> str:
    """The body of a page, ready for narrow screens and for screen readers."""
    for pattern, better in TIDY:
        body = re.sub(pattern, better, body, flags=re.S)
    return body


def _context(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    body = context["body"] = tidy(context.get("body", ""))
    conf = app.config
    chapter = next((c for c in chapters(app.srcdir) if c.docname == page), None)
    context["hs_chapter"] = chapter and {
        "number": chapter.number,
        "part": chapter.part,
        "source": f"notebooks/{chapter.slug}.md",
        "launch": launch(chapter, conf.hs_repository, conf.hs_branch, conf.hs_pages_branch),
    }
    context["hs_contents"] = contents(app, page)
    context["hs_toc"] = toc(context.get("toc", "") or "") if page != conf.root_doc else ""
    context["hs_description"] = _description(body)
    context["hs_repository"] = conf.hs_repository
    styles, scripts = ["hs.css", "hs-blocks.css"], []
    if 'class="katex' in body:
        styles.insert(0, "vendor/katex/katex.min.css")
    if "data-widget=" in body:
        styles.append("hs-widgets.css")
        scripts.append("hs-widgets.js")
    context["hs_styles"], context["hs_scripts"] = styles, scripts


def setup(app: Sphinx) -> dict[str, bool]:
    for name, default in [("hs_repository", ""), ("hs_branch", "main"), ("hs_pages_branch", "gh-pages")]:
        app.add_config_value(name, default, "html", types=(str,))
    # A page is read again when one of the extensions changes.
    code = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    app.add_config_value("hs_code", sha256(code).hexdigest(), "env", types=(str,))
    app.connect("html-page-context", _context)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
