"""Claims, nulls and facts: what an interval allows to say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transferlib.course.claims import Claim, check_claim, check_fact, check_null, html, verdict
from transferlib.course.intervals import Interval
from transferlib.errors import UserError

LEAD = Interval(18.2, 15.0, 21.4, 20)
finite = st.floats(-100, 100)


def test_a_claim_holds_is_weaker_or_is_contradicted() -> None:
    assert check_claim("lead", "A lead of {value}.", LEAD, above=10).verdict == "holds"
    assert check_claim("lead", "A lead of {value}.", LEAD, above=16).verdict == "weaker"
    assert check_claim("lead", "A lead of {value}.", LEAD, above=22).verdict == "contradicted"
    assert check_claim("lead", "A lead of {value}.", LEAD, below=22).verdict == "holds"
    assert check_claim("lead", "A lead of {value}.", LEAD, below=10).verdict == "contradicted"
    assert check_claim("lead", "A lead of {value}.", LEAD, above=14, below=22).verdict == "holds"
    assert check_claim("lead", "A lead of {value}.", LEAD, above=14, below=20).verdict == "weaker"
    assert check_claim("lead", "A lead of {value}.", LEAD, above=-3, below=3).verdict == "contradicted"
    assert check_claim("lead", "A lead of {value}.", LEAD, above=16, checked=False).verdict == "unchecked"


def test_the_claim_that_broke_the_first_edition_on_another_processor_is_weaker_there() -> None:
    """Chapter 08's ``rate`` on a Xeon: measured 21.9 [1.3, 42.5]."""
    assert check_claim("rate", "{value}", Interval(21.9, 1.3, 42.5, 3), above=5).verdict == "weaker"


@given(finite, st.floats(0.01, 50), st.sampled_from([2, 5, 20]), st.none() | finite, st.none() | finite)
def test_widening_never_makes_a_false_claim_true(
    mean: float, half: float, factor: float, above: float | None, below: float | None
) -> None:
    narrow = Interval(mean, mean - half, mean + half, 5)
    wide = Interval(mean, mean - factor * half, mean + factor * half, 5)
    if (above, below) != (None, None):
        assert verdict(narrow, above, below) == "holds" or verdict(wide, above, below) != "holds"
        assert verdict(narrow, above, below) == "contradicted" or verdict(wide, above, below) != "contradicted"


def test_a_null_says_what_the_run_could_have_seen() -> None:
    null = check_null("same", "A difference of {value}.", Interval(0.4, -1.0, 1.8, 8), unit="points")
    assert null.verdict == "null" and "this run could have seen a difference of 1.9 points" in html(null)
    seen = check_null("same", "A difference of {value}.", LEAD)
    assert seen.verdict == "weaker" and "claimed: that no difference is seen" in html(seen)
    with pytest.raises(UserError, match="rests on one seed, which could have seen no difference"):
        check_null("same", "{value}", Interval(0.4, float("-inf"), float("inf"), 1))


def test_a_fact_has_no_interval_and_a_broken_one_is_contradicted() -> None:
    fact = check_fact("fewer", "{value} times fewer.", 291.9, holds=True)
    assert fact.verdict == "fact" and "292 times fewer" in html(fact) and "interval" not in html(fact)
    assert check_fact("fewer", "{value} times fewer.", 2, holds=False).verdict == "contradicted"


def test_the_box_shows_statement_interval_and_verdict_and_escapes_names() -> None:
    box = html(check_claim("lead", "On <b>photos</b> a lead of {value}.", LEAD, above=16, unit="points"))
    assert "&lt;b&gt;photos" in box and "18.2 points [15.0, 21.4]" in box and 'data-verdict="weaker"' in box
    assert "95 % interval over 20 seeds" in box and "claimed: above 16 points" in box and "Weaker in this run" in box
    both = html(check_claim("lead", "{value}", LEAD._replace(examples=400), above=16))
    assert "over 20 seeds × 400 test examples" in both


def test_the_terminal_gets_value_interval_and_threshold() -> None:
    told = check_claim("lead", "A lead of {value}.", LEAD, above=16, unit="points").as_dict()["spoken"]
    start, _, end = told.partition(" (95\u00a0% interval 15.00 to 21.40); ")
    assert start == "claim 'lead' is weaker here: A lead of 18.2 points. Measured 18.20 points"
    assert end == "claimed above 16 points."


def test_the_box_prints_as_many_digits_as_the_statement() -> None:
    small = Interval(-0.0861, -0.0922, -0.0798, 20)
    box = html(check_claim("cosine", "A cosine of {value}.", small, below=0, digits=3))
    assert "cosine of \u22120.086." in box and "\u22120.086 [\u22120.092, \u22120.080]" in box


def test_a_claim_without_a_value_or_a_threshold_is_refused() -> None:
    with pytest.raises(UserError, match=r"write \{value\}"):
        check_claim("x", "No number here.", LEAD, above=0)
    with pytest.raises(UserError, match="names no threshold: give above=, below="):
        check_claim("x", "{value}", LEAD)
    with pytest.raises(UserError, match="nothing lies above 3 and below -3"):
        check_claim("x", "{value}", LEAD, above=3, below=-3)


def test_every_field_of_a_claim_a_null_and_a_fact() -> None:
    told: dict[str, Any] = {"unit": "points", "where": "on toys", "digits": 2}
    claim = check_claim("lead", "A lead of {value}.", LEAD, above=14, below=22, **told)
    said = "A lead of 18.20 points."
    assert claim == Claim("lead", said, LEAD, "holds", 14, 22, "points", "on toys", 2, "claim")
    none = Interval(0.4, -1.0, 1.8, 8)
    null = check_null("same", "A gap of {value}.", none, **told)
    assert null == Claim("same", "A gap of 0.40 points.", none, "null", None, None, "points", "on toys", 2, "null")
    assert check_null("same", "{value}", none, checked=False).verdict == "unchecked"
    fact = check_fact("fewer", "{value} of them.", 291.94, True, unit="MB", where="counted", digits=1)
    exact = Interval(291.94, 291.94, 291.94, 1)
    assert fact == Claim("fewer", "291.9 MB of them.", exact, "fact", None, None, "MB", "counted", 1, "fact")
    assert check_fact("fewer", "{value}", 2, True, checked=False).verdict == "unchecked"
    bare = (
        check_claim("lead", "{value}", LEAD, above=1),
        check_null("n", "{value}", none),
        check_fact("f", "{value}", 2, True),
    )
    assert [(c.unit, c.where, c.statement) for c in bare] == [("", "", "18.2"), ("", "", "0.4"), ("", "", "2")]
    assert claim.as_dict()["value"] == LEAD._asdict()


def test_an_end_of_the_interval_at_a_threshold_does_not_hold() -> None:
    at = Interval(2.0, 1.0, 3.0, 8)
    assert verdict(at, 1.0, None) == "weaker" == verdict(at, None, 3.0)
    assert verdict(at, 3.0, None) == "contradicted" == verdict(at, None, 1.0)
    for ends in ((0.0, 1.0), (-1.0, 0.0)):  # an interval that touches 0 saw no difference
        assert check_null("n", "{value}", Interval(0.5, *ends, 8)).verdict == "null"
    assert check_null("n", "{value}", Interval(0.5, 0.1, 1.0, 8)).verdict == "weaker"
    with pytest.raises(UserError, match="nothing lies above 2 and below 2"):
        check_claim("lead", "{value}", LEAD, above=2, below=2)


@pytest.mark.parametrize(
    ("limits", "told"),
    [({"above": 14}, "holds"), ({"above": 16}, "is weaker here"), ({"above": 30}, "is contradicted")],
)
def test_the_terminal_says_each_verdict_in_words(limits: dict[str, float], told: str) -> None:
    assert (
        check_claim("lead", "It is {value}.", LEAD, **limits).spoken().startswith(f"claim 'lead' {told}: It is 18.2.")
    )
    assert "claimed above \u22123." in check_claim("lead", "{value}", LEAD, above=-3).spoken()


def test_the_whole_box() -> None:
    claim = check_claim('a"b', "Here's <{value}>.", LEAD, above=30, unit="points", where="on <toys>")
    assert html(claim, "as <recorded>") == (
        '<div class="hs-claim" data-verdict="contradicted" id="claim-a&quot;b">'
        '<p class="hs-claim__statement">Here\u2019s &lt;18.2 points&gt;.</p>'
        '<p class="hs-claim__evidence"><strong>Contradicted in this run</strong> · 18.2 points [15.0, 21.4], 95 % '
        "interval over 20 seeds · claimed: above 30 points · on &lt;toys&gt; · as &lt;recorded&gt;</p></div>"
    )
    null = html(check_null("n", "{value}", Interval(0.4, -1.0, 1.8, 8), digits=2))
    assert null.endswith("this run could have seen a difference of 1.93</p></div>")


def test_a_refusal_names_the_claim() -> None:
    for check in (check_claim, check_null):
        with pytest.raises(UserError, match="Claim 'lead': write"):
            check("lead", "no number", LEAD, **({"above": 1} if check is check_claim else {}))
    with pytest.raises(UserError, match="Claim 'fewer': write"):
        check_fact("fewer", "no number", 2, True)
