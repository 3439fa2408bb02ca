"""The prose of a staged chapter in pieces that a slide can show: paragraphs, directives and what cells put out."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(:{3,}|`{3,})\{([\w-]+)\} *(.*)$")
ROLE = re.compile(r"\{([a-z:]+)\}`([^`]+)`")


@dataclass(frozen=True)
class Piece:
    """One piece: its kind (``text``, ``output`` or the directive's name), its section, depth, argument and body."""

    kind: str
    section: str
    depth: int
    argument: str
    body: str


def pieces(notebook: Path) -> list[Piece]:
    """The pieces of an executed chapter, in order; code is left out."""
    found: list[Piece] = []
    section, depth = "", 1
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            shown = ["".join(output.get("data", {}).get("text/html", "")) for output in cell["outputs"]]
            found += [Piece("output", section, depth, "", html) for html in shown if html]
            continue
        lines = "".join(cell["source"]).split("\n")
        while lines:
            line = lines.pop(0)
            if fence := FENCE.match(line):
                mark, name, argument = fence.groups()
                stop = next((i for i, other in enumerate(lines) if other.strip() == mark), len(lines))
                body, lines = "\n".join(lines[:stop]), lines[stop + 1 :]
                depth = int(argument) if name == "depth-start" else 1 if name == "depth-end" else depth
                found.append(Piece(name, section, int(argument) if name == "depth" else depth, argument, body))
            elif line.startswith("## "):
                section = line.removeprefix("## ").strip()
            elif line.startswith("```"):
                stop = next((i for i, other in enumerate(lines) if other.startswith("```")), len(lines))
                lines = lines[stop + 1 :]
            elif line.strip() and not line.startswith(("#", "+++", "(")):
                block = [line]
                while lines and lines[0].strip() and not FENCE.match(lines[0]):
                    block.append(lines.pop(0))
                found.append(Piece("text", section, depth, "", "\n".join(block)))
    return found


def options(body: str) -> tuple[dict[str, str], str]:
    """The options at the head of a directive's body, and what stands below them."""
    lines, found = body.split("\n"), {}
    while lines and (option := re.match(r"^:(\w+): *(.*)$", lines[0])):
        found[option[1]] = option[2]
        lines.pop(0)
    return found, "\n".join(lines).strip()


def glued(notebook: Path) -> dict[str, str]:
    """The values that the chapter recorded for its text, by name."""
    found = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if name := output.get("metadata", {}).get("scrapbook", {}).get("name"):
                text = next((v for k, v in output["data"].items() if k.endswith("text/plain")), "")
                found[name] = "".join(text).strip("'\"")
    return found


def authors(entry: str) -> str:
    """``"Hu et al. (2021)"`` from the fields of a BibTeX entry."""
    who = re.search(r"author\s*=\s*[{\"](.*?)[}\"],?\s*$", entry, flags=re.M | re.S)
    year = re.search(r"year\s*=\s*[{\"]?(\d{4})", entry)
    names = [name.split(",")[0].strip() for name in re.split(r"\s+and\s+", who[1])] if who else []
    names = [re.sub(r"[{}\\]", "", name) for name in names]
    label = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{label} ({year[1]})" if year else label


def references(bib: str) -> dict[str, str]:
    """What a slide calls each source of the bibliography."""
    return {key: authors(body) for key, body in re.findall(r"^@\w+\{([^,\s]+),(.*?)^\}", bib, flags=re.M | re.S)}


def plain(markdown: str, values: dict[str, str], sources: dict[str, str]) -> str:
    """Markdown without the book's roles: values in their place, sources by name, terms and links as their words.

    Raises ``KeyError`` for a value that the chapter did not record or a source that is not in the bibliography.
    """

    def spoken(found: re.Match[str]) -> str:
        role, text = found.groups()
        label = re.sub(r"\s*<[^>]*>$", "", text)
        if role == "glue:text":
            return values[text.split(":")[0]]
        if role.startswith("cite"):
            return " and ".join(sources[key.strip()] for key in text.split(",")) if role == "cite:t" else ""
        if role == "chapter":
            return f"chapter {int(text)}" if text.isdigit() else label
        if role.startswith("py:"):
            return f"`{label.rsplit('.', 1)[-1]}`"
        return label.removeprefix("/").replace("-", " ").capitalize() if role == "doc" else label

    told = re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", ROLE.sub(spoken, markdown))
    return re.sub(r" +([.,;:])", r"\1", told)


def as_html(markdown: str) -> str:
    """A few paragraphs or a list as HTML; formulas in the line become MathML."""
    from docutils.core import publish_parts
    from hs_katex import mathml, render

    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(mathml(render(found[1])))
        return f"\ue000{len(kept) - 1}\ue001"

    source = re.sub(r"(?<![\\$])\$([^$\n]+)\$", keep, markdown)
    # docutils finds the parser of MyST by this name; raw HTML and included files stay out.
    settings = {"raw_enabled": False, "file_insertion_enabled": False, "doctitle_xform": False, "report_level": 4,
                "myst_disable_syntax": ["html_inline", "html_block"]}  # fmt: skip
    html = publish_parts(source, parser="myst", writer="html5", settings_overrides=settings)["body"]
    return re.sub("\ue000(\\d+)\ue001", lambda found: kept[int(found[1])], str(html))


def inline(markdown: str) -> str:
    """One paragraph without its ``<p>``."""
    return re.sub(r"^<p>(.*)</p>\s*$", r"\1", as_html(markdown), flags=re.S)
