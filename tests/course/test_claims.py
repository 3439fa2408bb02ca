import pytest

from transferlib.course.claims import check_claim, html, number, spelled
from transferlib.course.intervals import Interval
from transferlib.errors import UserError

LEAD = Interval(18.2, 15.0, 21.4, 20)


def test_a_claim_holds_or_breaks_with_its_interval() -> None:
    assert check_claim("lead", "A lead of {value}.", LEAD, lambda v: v.low > 10, unit="points").holds is True
    assert check_claim("lead", "A lead of {value}.", LEAD, lambda v: v.low > 16, unit="points").holds is False
    assert check_claim("lead", "A lead of {value}.", LEAD, lambda v: v.low > 16, checked=False).holds is None


def test_the_box_shows_statement_interval_and_verdict_and_escapes_names() -> None:
    claim = check_claim("lead", "On <b>photos</b> a lead of {value}.", LEAD, lambda v: v.low > 16, unit="points")
    box = html(claim)
    assert "&lt;b&gt;photos" in box and "18.2 points [15.0, 21.4]" in box and 'data-holds="false"' in box


def test_the_box_prints_as_many_digits_as_the_statement() -> None:
    small = Interval(-0.0861, -0.0922, -0.0798, 20)
    box = html(check_claim("cosine", "A cosine of {value}.", small, lambda v: v.high < 0, digits=3))
    assert "cosine of \u22120.086." in box and "\u22120.086 [\u22120.092, \u22120.080]" in box


def test_numbers_are_printed_with_a_real_minus_and_infinity() -> None:
    assert number(-1.25) == "\u22121.2"
    assert number(float("inf")) == "∞"
    assert "15.0 to 21.4" in spelled(LEAD, "points")


def test_a_claim_without_a_value_or_a_verdict_is_refused() -> None:
    with pytest.raises(UserError, match=r"write \{value\}"):
        check_claim("x", "No number here.", LEAD, lambda v: True)
    with pytest.raises(UserError, match="must return True or False"):
        check_claim("x", "{value}", LEAD, lambda v: "yes")  # type: ignore[arg-type, return-value]
