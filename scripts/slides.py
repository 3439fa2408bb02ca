"""A deck of slides for each executed chapter: question, drawings, main figure and findings, in one HTML file each."""

import base64
import re
import sys
from html import escape
from pathlib import Path
from typing import Annotated

import typer
from entry import main
from prose import Piece, as_html, glued, inline, options, pieces, plain, references

from transferlib.errors import UserError, nearest

HERE = Path(__file__).resolve().parent
BOOK = HERE.parent / "book"
FONTS = ("source-sans-3-latin-wght-normal", "source-serif-4-latin-wght-normal")
BEHIND = ("How it was measured", "Under the hood", "Exercises", "Sources")  # what a deck leaves to the chapter
PER_SLIDE = 3  # findings that can be read from the last row
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def slide(title: str, body: str, notes: list[str], css: str = "show") -> str:
    """One slide with its title, what it shows, and the notes below."""
    told = f"<aside>{''.join(notes)}</aside>" if any(notes) else ""
    return f'<section class="slide"><h2>{title}</h2><div class="{css}">{body}</div>{told}</section>'


def drawing(piece: Piece, folder: Path, notes: list[str], say: dict[str, dict[str, str]]) -> str:
    """A slide with a drawing; its caption stands below it."""
    told, _ = options(piece.body)
    svg = (folder / f"{piece.argument}.svg").read_text(encoding="utf-8")
    caption = f'<p class="caption">{inline(plain(told.get("caption", ""), **say))}</p>'
    title = re.search(r"<title[^>]*>(.*?)</title>", svg, flags=re.S)
    return slide(title[1].strip() if title else escape(piece.section), svg + caption, notes)


def formula(piece: Piece) -> str:
    """A slide with a formula, in symbols and in words."""
    from hs_katex import mathml, render

    tex, _, words = options(piece.body)[1].partition("\n---\n")
    aligned = (
        f"\\begin{{aligned}}{tex}\\end{{aligned}}" if "\\begin" not in tex and ("&" in tex or "\\\\" in tex) else tex
    )
    return slide("In a formula, and in words", mathml(render(aligned, True)) + as_html(words), [])


def guess(piece: Piece) -> str:
    """A slide that asks; the reasons stand in the notes."""
    found = re.findall(r"^- \[([ x])\] (.+?) :: (.+)$", piece.body, flags=re.M)
    choices = "".join(f"<li>{inline(choice)}</li>" for _, choice, _ in found)
    reasons = [as_html(f"**{'Yes' if right == 'x' else 'Not quite'}: {choice}** {why}") for right, choice, why in found]
    return slide(inline(piece.argument), f'<ol class="choices" type="A">{choices}</ol>', reasons)


def bullets(parts: list[Piece], title: str, say: dict[str, dict[str, str]]) -> list[str]:
    """A slide with what a section says in a list, or in its paragraphs."""
    body = "\n\n".join(piece.body for piece in parts if piece.kind == "text" and piece.section == title)
    return [slide(title, f'<div class="points">{as_html(plain(body, **say))}</div>', [])] if body else []


def deck(notebook: Path, number: str, source: Path) -> list[str]:
    """The slides of one chapter, as HTML."""
    from hs_chapters import read_chapter

    chapter, parts = read_chapter(notebook, source / "none"), pieces(notebook)
    say = {"values": glued(notebook), "sources": references((source / "references.bib").read_text(encoding="utf-8"))}
    first = [
        piece for piece in parts if piece.depth == 1 and piece.section not in ("Under the hood", "Exercises", "Sources")
    ]

    def prose(section: str) -> list[str]:
        return [as_html(plain(p.body, **say)) for p in first if p.kind == "text" and p.section == section]

    opening = prose("The problem") or prose("The idea")[:1]
    slides = [
        f'<section class="slide"><p class="part">{escape(chapter.part)}</p><h1>{number} {escape(chapter.title)}</h1>'
        f'<p class="question">{escape(chapter.lead)}</p><aside>{"".join(opening)}</aside></section>'
    ]
    drawn = [piece for piece in parts if piece.kind == "drawing" and piece.depth == 1]
    for i, piece in enumerate(drawn):
        told = prose(piece.section) if i == 0 else []
        slides.append(drawing(piece, source / "_static" / "drawings", told, say))
    if not drawn:
        idea = "".join(prose("The idea")[:3])
        slides.append(slide("The idea", idea, prose("The idea")[3:]))
    slides += [formula(piece) for piece in first if piece.kind == "formula"][:1]
    slides += [guess(piece) for piece in first if piece.kind == "guess"]
    # A chapter in the second form shows its one main figure and the findings of the first depth under "What happens".
    new = any(piece.section == "What happens" for piece in first)
    outputs = [p for p in first if p.kind == "output" and (p.section == "What happens" or not new)]
    figures = [p for p in outputs if re.search(r'class="hs-(?:widget|figure)"', p.body)]
    if figures:
        slides.append(slide(escape(figures[0].section), figures[0].body, prose(figures[0].section)))
    claims = [box for p in outputs for box in re.findall(r'<div class="hs-claim".*?</div>', p.body, flags=re.S)]
    for start in range(0, len(claims), PER_SLIDE):
        title = "What was found" + (f", {start // PER_SLIDE + 1}" if len(claims) > PER_SLIDE else "")
        slides.append(slide(title, "".join(claims[start : start + PER_SLIDE]), []))
    return slides + bullets(first, "Reach for it when", say) + bullets(first, "Watch out", say)


def page(title: str, slides: list[str]) -> str:
    """The deck as one file that asks no other file for anything."""
    from hs_widgets import bundle, styles

    faces = ""
    for name, family in zip(FONTS, ("Source Sans 3", "Source Serif 4"), strict=True):
        data = base64.b64encode((BOOK / "_static" / "vendor" / "fonts" / f"{name}.woff2").read_bytes()).decode()
        faces += (
            f'@font-face {{ font-family: "{family}"; font-weight: 200 900; src: url("data:font/woff2;base64,{data}") }}'
        )
    theme = (BOOK / "_static" / "hs.css").read_text(encoding="utf-8")
    roots = "\n".join(re.findall(r"^:root \{.*?^\}", theme, flags=re.M | re.S))
    blocks = (BOOK / "_static" / "hs-blocks.css").read_text(encoding="utf-8")
    alive = any("data-widget=" in html for html in slides)
    css = "\n".join(
        [faces, roots, blocks, styles() if alive else "", (HERE / "slides.css").read_text(encoding="utf-8")]
    )
    scripts = [(HERE / "slides.js").read_text(encoding="utf-8"), *([bundle()] if alive else [])]
    bar = (
        '<nav id="bar" aria-label="Slides"><span id="count"></span><button id="tell">Notes</button>'
        '<button id="back" aria-label="Previous slide">←</button>'
        '<button id="on" aria-label="Next slide">→</button></nav>'
    )
    return (
        '<!doctype html>\n<html lang="en" class="hs-js">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<style>\n{css}\n</style>\n</head>\n<body>\n<main class="hs-deck">\n{chr(10).join(slides)}\n</main>\n{bar}\n'
        + "".join(f"<script>\n{script}\n</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


@app.command()
def make(
    build: Annotated[Path, typer.Option(envvar="TRANSFERLIB_BUILD", help="Folder the chapters were executed into.")],
    only: Annotated[str, typer.Option(help="Chapters, such as 01,06; empty: all that were executed.")] = "",
) -> None:
    """Write slides/06_lora.html and its like into the folder of the build."""
    sys.path.insert(0, str(BOOK / "_ext"))
    found = {path.stem[:2]: path for path in sorted((build / "src" / "chapters").glob("[0-9][0-9]_*.ipynb"))}
    wanted = only.replace(",", " ").split() or list(found)
    if not found:
        raise UserError(f"No chapter is staged in {build / 'src'}: run `make execute`, or `make read`, first.")
    for number in wanted:
        if number not in found:
            raise UserError(f"CHAPTER={number!r} was not executed: {nearest(number, list(found))}")
    (build / "slides").mkdir(parents=True, exist_ok=True)
    total = 0
    for number in wanted:
        slides = deck(found[number], number, build / "src")
        total += len(slides)
        title = re.sub(r"<[^>]+>", "", slides[0].partition("<h1>")[2].partition("</h1>")[0])
        (build / "slides" / f"{found[number].stem}.html").write_text(page(title, slides), encoding="utf-8")
    print(f"{len(wanted)} decks, {total} slides: {build / 'slides'}")


if __name__ == "__main__":
    main(app)
