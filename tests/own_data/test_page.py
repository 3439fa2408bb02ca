"""Pieces of a page: whatever a name holds, it is text."""

from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from transferlib.datasets.collection import Collection
from transferlib.own_data.page import code, decided, listed, note, page, shown, table

ODD = """<img src=x onerror="alert('1')"> & co"""
SAFE = "&lt;img src=x onerror=&quot;alert(&#x27;1&#x27;)&quot;&gt; &amp; co"


class Read(HTMLParser):
    """Tags, names of attributes, and every text or attribute's value."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append(tag)
        self.names += [name for name, _ in attrs]
        self.words += [str(value) for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


@pytest.mark.parametrize(
    "html",
    [
        listed([ODD]), note(ODD), decided(ODD, "b"), decided("a", ODD), code([ODD]),
        page(ODD, "", []), page("a", "", [(ODD, [])]),
        table(pd.DataFrame({ODD: [1]}), "a"), table(pd.DataFrame({"a": [ODD]}), "a"),
        table(pd.DataFrame({"a": [1]}, index=[ODD]), "a"), table(pd.DataFrame({"a": [1]}), ODD),
        shown(Collection("texts", None, [ODD], [0], ["a"], [], [], []), [0], ["b"]),
        shown(Collection("texts", None, ["a"], [0], ["a"], [], [], []), [0], [ODD]),
    ],
)  # fmt: skip
def test_markup_in_a_name_does_nothing(html: str) -> None:
    read = Read()
    read.feed(html)
    assert "img" not in read.tags and not [name for name in read.names if name.startswith("on")]
    assert ODD in read.words, "and it is shown, or said, as it is"


def test_a_text_that_is_not_shown_to_its_end_says_so() -> None:
    texts = ["word " * 50, "short"]
    html = shown(Collection("texts", None, texts, [0, 0], ["a"], [], [], []), [0, 1], ["", ""])  # type: ignore[arg-type]
    assert "word…</q>" in html and "<q>short</q>" in html


def test_a_list_is_escaped_exactly() -> None:
    assert listed([ODD]) == f"<ul><li>{SAFE}</li></ul>"


def test_a_table_is_whole_however_long_it_is() -> None:
    names = [f"{'long ' * 30}{i}" for i in range(300)]
    html = table(pd.DataFrame({"class": names}, index=names), "counts")
    assert html.count("<tr") == 301 and "..." not in html and "long 299</th>" in html and "long 299</td>" in html


def test_the_decision_stands_before_the_parts() -> None:
    html = page("t", decided("Use it.", "basis"), [("Part one", ["<p>1</p>"]), ("Part two", ["<p>2</p>"])])
    order = [html.index(part) for part in ("<h1>t</h1>", "Use it.", "Part one", "<p>1</p>", "Part two", "<p>2</p>")]
    assert order == sorted(order) and html.startswith("<!doctype html>") and "://" not in html
