"""``{number}``: a claim's value on another page, with its interval and a link; an unknown name is refused."""

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
sys.path.insert(0, str(ROOT / "scripts"))
import hs_numbers  # noqa: E402

from book import CELL, chapters  # noqa: E402


def claim(kind: str = "claim", verdict: str = "holds", unit: str = "points") -> dict[str, Any]:
    value = {"mean": -0.5234, "low": -4.189, "high": 3.166}
    return {"id": "near-full", "kind": kind, "verdict": verdict, "unit": unit, "digits": 1, "value": value}


def test_a_number_is_printed_with_its_interval_and_says_when_this_run_is_weaker() -> None:
    assert hs_numbers.printed(claim()) == "−0.5\u00a0points [−4.2,\u00a03.2]"
    assert hs_numbers.printed(claim(verdict="weaker")).endswith("3.2] (weaker\u00a0in\u00a0this\u00a0run)")
    assert hs_numbers.printed(claim(verdict="unchecked")) == hs_numbers.printed(claim())  # as in a smoke run
    assert hs_numbers.printed(claim(kind="fact", unit="")) == "−0.5"


def executed() -> dict[str, str]:
    """Chapter 06 as the build finds it: an executed notebook, and metrics with one claim."""
    page = json.dumps({"cells": [{"cell_type": "markdown", "source": "# LoRA\n\nText."}, output()]})
    return {"chapters/06_lora.ipynb": page, "_data/metrics/06.json": json.dumps({"claims": [claim()], "metrics": {}})}


def output() -> dict[str, Any]:
    box = '<div class="hs-claim" id="claim-near-full"></div>'
    return {"cell_type": "code", "source": "", "outputs": [{"data": {"text/html": box}}]}


def test_a_number_leads_to_the_claim_of_its_chapter(render) -> None:
    page, _ = render("It is {number}`06 near-full`.", files=executed())
    assert 'href="chapters/06_lora.html#claim-near-full"' in page and "[−4.2,\u00a03.2]" in page


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("06 near-ful", "number: chapter 06 makes no claim 'near-ful'; did you mean 'near-full'? Known: near-full."),
        ("99 near-full", "number: '99 near-full' names no claim; write a chapter and a claim, as in '06 near-full'."),
    ],
)
def test_a_number_that_no_chapter_has_stops_the_build_in_one_sentence(render, name: str, sentence: str) -> None:
    _, warnings = render(f"It is {{number}}`{name}`.", files=executed())  # `make html` runs Sphinx with -W
    assert sentence in warnings


def test_a_link_to_a_claim_that_is_gone_stops_the_build_in_one_sentence(render) -> None:
    page, warnings = render("See {chapter}`the count <06#claim-near-full>`.", files=executed())
    assert warnings == "" and 'href="chapters/06_lora.html#claim-near-full"' in page
    _, warnings = render("See {chapter}`the count <06#claim-near>`.", files=executed())
    wanted = "chapter 06 has no 'claim-near'; did you mean 'claim-near-full'? Known: claim-near-full."
    assert warnings.count("chapter role:") == 1 and wanted in warnings


def test_a_number_of_a_chapter_that_was_not_executed_says_so(render) -> None:
    page, warnings = render("It is {number}`06 near-full`.")
    assert warnings == "" and "a number that chapter 6 has not measured yet" in page


def named() -> set[tuple[str, str]]:
    """The claims that pages and chapters name, as (chapter, claim)."""
    pages = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    return set(re.findall(r"\{number\}`(\d\d) ([\w-]+)`", text)) | set(re.findall(r"<(\d\d)#claim-([\w-]+)>", text))


def left_out(cell: str) -> set[str]:
    """The claims of a code cell that a smoke run does not make."""
    skipped = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.If)]
    skipped = [node for node in skipped if ast.unparse(node.test) == "not SMOKE"]
    calls = [c for node in skipped for body in node.body for c in ast.walk(body) if isinstance(c, ast.Call)]
    made = [c for c in calls if ast.unparse(c.func) in ("run.claim", "run.null", "run.fact")]
    return {str(ast.literal_eval(c.args[0])) for c in made}


def test_a_smoke_run_makes_every_claim_that_a_page_names() -> None:
    assert left_out("if not SMOKE:\n    run.claim('a', 'b', c)\nrun.claim('d', 'e', f)") == {"a"}
    wanted = named()
    for path in chapters():
        cells = [found.group(2) for found in CELL.finditer(path.read_text(encoding="utf-8"))]
        missing = {name for cell in cells for name in left_out(cell) if (path.name[:2], name) in wanted}
        assert not missing, f"{path.name}: a smoke run makes no claim {missing}, and a page names it"


def test_a_number_and_its_unit_stay_on_one_line_in_prose_only(render) -> None:
    page, _ = render("It is 95 % of 20 MB, and *5 points*, with `8 %` and 3 MBit.")
    assert "95\u00a0% of 20\u00a0MB" in page and "5\u00a0points" in page
    assert "8 %" in page.replace('</span> <span class="pre">', " ") and "3 MBit" in page
