"""The book's own directives: what they write, and the one sentence they say about a mistake."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXT = ROOT / "book" / "_ext"
pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install -e .[book]")
sys.path.insert(0, str(EXT))

import hs_chapters  # noqa: E402
import hs_frame  # noqa: E402
import hs_house  # noqa: E402
import hs_katex  # noqa: E402
import hs_pages  # noqa: E402
import hs_reference  # noqa: E402
import hs_speed  # noqa: E402
import hs_symbols  # noqa: E402
import hs_techniques  # noqa: E402
import hs_widgets  # noqa: E402
from hs_symbols import Symbol  # noqa: E402

from transferlib.moved import FOLDERS, MODULES  # noqa: E402


@pytest.mark.parametrize(
    ("markdown", "sentence"),
    [
        (":::{depth} 4\nText.\n:::", "depth '4' is unknown; write 2 (Deeper) or 3 (Research)."),
        (":::{formula}\nx\n:::", "put a line '---' between the LaTeX and the words."),
        (":::{formula}\nx\n---\n:::", "give the LaTeX above the line '---' and the words below it."),
        (":::{formula}\n:symbols: r\nr\n---\nwords\n:::", "symbols 'r': write 'symbol = its name'"),
        (":::{notation} A table\nx\n:::", "notation line 'x': write 'LaTeX | name'"),
        (
            ":::{notation} A table\nx | input\ny | label\n:::\n\n:::{notation} Another\nx | answer\n:::",
            "symbol 'x' is both 'input' and 'answer': give one another letter.",
        ),
        (
            ":::{formula}\n:symbols: r = rank; r = reward\nr\n---\nwords\n:::",
            "formula: symbol 'r' is both 'rank' and 'reward': give one of them another letter.",
        ),
        ("{chapter}`99`", "chapter role: '99' names no chapter; write 01 to 15"),
        ("```{api} attic\n```", "api: 'attic' is unknown; write one of overview, techniques, chapters."),
        (":::{depth-end}\n:::", "depth-end: there is no depth-start before it in this section."),
        (
            ":::{depth} 2\nText.\n:::\n\n:::{depth-end}\n:::",
            "depth-end: there is no depth-start before it in this section.",
        ),
        (":::{depth-start} 2\n:::\n\nText.", "depth-start: no depth-end follows in this section."),
        (":::{depth-start} 4\n:::\n\nText.", "depth '4' is unknown; write 2 (Deeper) or 3 (Research)."),
        ("$\\frac{1}$", "formula '\\\\frac{1}': KaTeX parse error"),
    ],
)
def test_a_mistake_gives_one_clear_sentence(render, markdown, sentence):
    _, warnings = render(markdown)
    found = [line for line in warnings.splitlines() if sentence in line]
    assert len(found) == 1, warnings
    assert "Traceback" not in warnings


def test_depth_is_a_native_details_element_that_is_closed(render):
    html, warnings = render(":::{depth} 2\n:title: Why $x$\nThe reason.\n:::")
    assert not warnings
    assert '<details class="hs-depth docutils"' in html or '<details class="hs-depth"' in html
    assert 'data-depth="2"' in html
    assert "<details open" not in html
    assert "The reason." in html


def test_a_formula_holds_symbols_and_words_and_explains_the_symbols_it_uses(render):
    notation = "# Notation\n\n:::{notation} Letters\nr | rank\nB | up-projection\nq | unused\n:::\n"
    html, warnings = render(":::{formula}\nW + \\frac{1}{r} B\n---\nweights plus a share\n:::", notation)
    assert not warnings
    assert "weights plus a share" in html
    assert 'data-sym="r"' in html
    assert "up-projection" in html
    assert "unused" not in html


def test_exercises_are_numbered_and_can_be_linked(render):
    html, _ = render(":::{exercise} First\nDo it.\n:::\n\n:::{exercise} Second\nAgain.\n:::\n\n:::{solution}\nSo.\n:::")
    assert 'id="exercise-1"' in html
    assert 'data-exercise="index#exercise-2"' in html
    assert '<details class="hs-solution' in html


def test_pages_without_a_chapter_say_so(render):
    html, warnings = render("```{gallery}\n```\n\n```{provenance}\n```\n\n```{claims}\n```\n\n```{chapter-list}\n```")
    assert not warnings
    assert html.count("hs-nothing") == 4
    assert hs_chapters.chapters(Path("/nowhere")) == []


def test_the_time_line_counts_how_much_of_the_cores_was_used():
    def ran(finished: float, seconds: float, used: float) -> dict[str, float]:
        return {"finished": finished, "wall_seconds": seconds, "processor_seconds": used, "cores": 2}

    together = {"01": ran(1120, 120, 100), "02": ran(1060, 60, 50), "03": ran(1180, 110, 90)}
    html = hs_speed.timeline(together)  # three minutes of two cores: 360 s, of which 240 were used
    assert "3.0 minutes on 2 cores" in html and "used 67 % of them" in html and "03 was the last to begin" in html
    assert hs_speed.timeline({**together, "04": ran(1400, 150, 100)}) == ""  # 70 s after all the others had ended
    assert hs_speed.timeline({"01": together["01"]}) == ""


def test_the_table_of_what_went_wrong_on_purpose_is_that_of_the_last_run(render):
    rows = [{"what": "a <full> disk, then room", "passed": 0, "of": 1, "note": ""},
            {"what": "nothing changed", "passed": True, "of": 1, "note": ""}]  # fmt: skip
    about = {"chapters": "10", "processor": "Toy", "commit": "0123456789ab+"}
    body = json.dumps({"rows": rows, "provenance": about})
    html, warnings = render("```{trust}\n```", files={"reference/trust.json": body})
    assert not warnings
    assert "></th>" not in html  # a screen reader would say nothing at an empty head
    assert (
        "a &lt;full&gt; disk, then room" in html
        and "0 of 1" in html
        and "1 of 1" in html
        and "Toy, commit 0123456789+." in html
    )
    assert "make trust" in render("```{trust}\n```")[0]


def test_versions_and_processor_stand_once_where_they_are_alike(render):
    cell = {"cell_type": "markdown", "source": ["# A title\n"], "metadata": {}}
    notebook = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    files = {}
    for number, name in (("01", "Toy"), ("02", "Toy"), ("03", "Other")):
        facts = {"versions": {"torch": "9.9"}, "processor": name, "cores": 2, "commit": "0123456789ab+", "seed": 0}
        files[f"chapters/{number}_a.ipynb"] = notebook
        files[f"_data/provenance/{number}.json"] = json.dumps(facts)
    html, _ = render("```{provenance}\n```", files=files)
    assert html.count("Toy, 2 cores; torch 9.9") == html.count("Other, 2 cores; torch 9.9") == 1
    assert html.count(">0123456789+<") == 3


def test_a_widget_without_its_metrics_says_how_to_get_them(render):
    html, warnings = render("```{widget} label_budget\n:chapter: 01\n```")
    assert not warnings
    assert "make execute" in html


def test_every_widget_is_wrapped_so_that_a_page_from_disk_can_run_it():
    bundle = hs_widgets.bundle()
    assert "export default" not in bundle
    assert 'window.hsWidgets["label_budget"] = ' in bundle
    with pytest.raises(ValueError, match="one 'export default'"):
        hs_widgets.classic("x", "const a = 1;")


def test_mark_takes_scripts_along_prefers_the_longest_and_leaves_names_alone():
    theta, star, r = Symbol(r"\theta", "weights"), Symbol(r"\theta^*", "old weights"), Symbol("r", "rank")
    tex, used = hs_symbols.mark(r"\theta_i - \theta^*_i + \text{error} / r", [theta, star, r])
    assert used == [theta, star, r]
    assert r"{\htmlData{sym=theta-star}{\theta^*_i}}" in tex
    assert r"\text{error}" in tex
    assert hs_katex.render(tex, True)


def test_override_renames_and_removes():
    symbols = [Symbol("r", "rank"), Symbol("x", "input")]
    assert hs_symbols.override(symbols, "r = reward | reward model; x =") == [Symbol("r", "reward", "reward model")]


def notebook(source, outputs=()):
    """A notebook of one markdown cell and one code cell whose outputs are HTML."""
    return json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "source": source},
                {"cell_type": "code", "source": "", "outputs": [{"data": {"text/html": html}} for html in outputs]},
            ]
        }
    )


CLAIM = '<div class="hs-claim" data-verdict="holds" id="claim-lead"><p>It leads.</p><p>9 [8, 10]</p></div>'


def test_a_chapter_is_read_from_its_notebook(tmp_path):
    (tmp_path / "chapters").mkdir()
    text = "# 06 LoRA\n\nYou will *train* {term}`weights`\nby the hundred.\n\n:::{exercise} Count $n$\n:::\n\n"
    text += "```{drawing} 06-lora\n:caption: A *thin* pair.\n```\n"
    widget = '<div class="hs-widget" data-widget="dial"></div>'
    (tmp_path / "chapters" / "06_lora.ipynb").write_text(notebook(text, [CLAIM, widget]))
    (chapter,) = hs_chapters.chapters(tmp_path)
    assert (chapter.number, chapter.title, chapter.part) == ("06", "LoRA", "Part II · Careful fine-tuning")
    assert chapter.lead == "You will train weights by the hundred."
    assert chapter.exercises == ((1, "Count $n$", "", 0),)
    assert chapter.drawings == (("06-lora", "A *thin* pair."),)
    assert chapter.claims == {"claim-lead": CLAIM}
    assert chapter.widgets == (widget,)


def test_a_claim_shown_elsewhere_links_to_its_cell_and_leaves_its_id_there():
    chapter = hs_chapters.Chapter("06", "06_lora", "LoRA", "", "")
    shown = hs_pages.linked(CLAIM, chapter, "claim-lead")
    assert ' id="' not in shown
    assert 'href="chapters/06_lora.html#claim-lead"' in shown


def test_launch_links_only_for_a_known_repository():
    chapter = hs_chapters.Chapter("01", "01_head_start", "Head start", "", "Part I")
    assert hs_frame.launch(chapter, "", "main", "gh-pages") == []
    links = dict(hs_frame.launch(chapter, "https://github.com/someone/head-start", "main", "gh-pages"))
    assert links["Colab"].endswith("/someone/head-start/blob/gh-pages/_sources/chapters/01_head_start.ipynb")
    assert links["Binder"].endswith("?urlpath=lab%2Ftree%2Fnotebooks%2F01_head_start.md")


def test_every_module_of_the_package_is_on_exactly_one_page():
    listed = [module for modules in hs_reference.pages().values() for module in modules]
    assert sorted(["transferlib", *listed]) == sorted(hs_house.MODULES)  # the package itself: on the page above them


@pytest.mark.parametrize(
    ("floors", "page", "modules"),
    [
        ((("a",), ("b", "c")), "b", ["transferlib.b", "transferlib.b.x"]),
        ((("a",), ("b", "c")), "", ["transferlib.a", "transferlib.c"]),
        ((("a",), ("c",)), "", ["transferlib.a", "transferlib.c"]),  # a folder on no floor has no page
    ],
)
def test_a_folder_is_a_page_and_the_other_files_share_one(floors, page, modules):
    known = ["transferlib", "transferlib.a", "transferlib.b", "transferlib.b.x", "transferlib.c"]
    found = hs_house.rooms(floors, known)
    assert found[page] == modules
    assert ("b" in found) == any("b" in floor for floor in floors)


def test_contributing_names_every_room():
    rooms = re.findall(r"^\| `(\w+)/` \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M)
    assert rooms == [name for name in hs_reference.pages() if name != hs_reference.ALONE]


def test_pages_stand_in_the_order_of_the_floors():
    order = [name for floor in hs_house.FLOORS for name in floor]
    folders = [name for name in hs_reference.pages() if name != hs_reference.ALONE]
    assert folders == [name for name in order if name in folders] and list(hs_reference.pages())[-1] == "files"


@pytest.mark.parametrize(
    ("word", "module"),
    [
        ("LoRA", "transferlib.peft.lora"),
        ("EWC", "transferlib.continual.penalties"),
        ("DANN", "transferlib.domains.adversarial"),
        ("WiSE-FT", "transferlib.tuning.wise_ft"),
        ("TENT", "transferlib.domains.tent"),
    ],
)
def test_a_technique_of_the_glossary_leads_to_its_module(word, module):
    entries = hs_techniques.glossary((EXT.parent / "glossary.md").read_text(encoding="utf-8"))
    names = next(names for names in entries if word in names)
    assert next(iter(hs_techniques.homes(names, [name for entry in entries for name in entry]))) == module


def test_a_common_word_is_no_technique_and_the_longest_word_wins():
    assert not hs_techniques.opens(["weight"], "Weight interpolation: a line.", ["weight", "weight interpolation"])
    assert hs_techniques.opens(["weight interpolation"], "Weight interpolation: a line.", ["weight"])
    assert not hs_techniques.opens(["filter"], "Edge detectors: each filter.")
    assert hs_techniques.opens(["Reptile"], "Learning to learn: MAML, Reptile and prototypes.")
    assert not hs_techniques.opens(["SI"], "A single SIGNAL, a vision.")
    assert hs_techniques.holding(["DPO"], ["dpo_loss", "endpoint"]) == ["dpo_loss"]
    assert hs_techniques.called(["L2-SP"], ["L2SP", "SP"]) == ["L2SP"]


def test_chapters_are_found_by_what_their_code_imports(tmp_path):
    (tmp_path / "chapters").mkdir()
    cells = [
        {"cell_type": "markdown", "source": "# 06 LoRA\n\nfrom transferlib.tuning import probes\n"},
        {
            "cell_type": "code",
            "source": "from transferlib.peft.lora import LoRA\nfrom transferlib.course import chapter",
        },
    ]
    (tmp_path / "chapters" / "06_lora.ipynb").write_text(json.dumps({"cells": cells}))
    found = hs_techniques.users(hs_chapters.chapters(tmp_path), tmp_path)
    assert found == {"transferlib.peft.lora": ["06"], "transferlib.course.chapter": ["06"]}
    assert hs_techniques.behind(tmp_path).endswith("| {chapter}`06` | {py:obj}`peft.lora <transferlib.peft.lora>` |")


def test_the_changelog_leads_from_old_addresses_to_ones_that_exist():
    table = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("### Where a module is now")[2]
    rows = {old: re.findall(r"`(\S+)`", new) for old, new in re.findall(r"^\| `(\S+)` \| (.+) \|$", table, re.M)}
    said = {old: new.split() for old, new in {**MODULES, **FOLDERS}.items()}  # what importing the old path says
    assert {old: rows.get(old) for old in said} == said
    for new in (f"transferlib.{name}" for names in rows.values() for name in names):
        module, _, name = new.rpartition(".")
        inside = hs_house.MODULES[module].read_text(encoding="utf-8") if new not in hs_house.MODULES else ""
        assert new in hs_house.MODULES or re.search(rf"^(def |class )?{name}\b", inside, re.M), new


def test_chapters_link_to_each_other_by_number_so_that_a_partial_book_renders():
    notebooks = (ROOT / "notebooks").glob("[0-9][0-9]_*.md")
    assert [path.name for path in notebooks if "/chapters/" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(("seconds", "words"), [(3.4, "3 s"), (59.4, "59 s"), (64, "1 min 04 s")])
def test_duration(seconds, words):
    assert hs_pages.duration(seconds) == words


def test_what_stands_between_depth_start_and_depth_end_is_folded_in(render) -> None:
    page, warnings = render(
        "## Part\n\n:::{depth} 2\nZero.\n:::\n\n:::{depth-start} 3\n:title: Inner\n:::\n\nOne.\n\n"
        "| a |\n|---|\n| Two |\n\n"
        "Three.\n\n:::{depth-end}\n:::\n\nFour.\n\n:::{depth-start} 2\n:::\n\nFive.\n\n:::{depth-end}\n:::"
    )
    assert warnings == ""
    boxes = page.split("<details")[1:]
    inside = [box.partition("</details>")[0] for box in boxes]
    assert [re.search(r'data-depth="(.)"', box).group(1) for box in inside] == ["2", "3", "2"]
    assert all(word in inside[1] for word in ("Inner", "One.", "Two", "Three."))
    assert "Zero." in inside[0] and "Five." in inside[2] and "Four." in boxes[1].partition("</details>")[2]
