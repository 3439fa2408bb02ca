"""Every form of an interval prints the same numbers in the same way."""

from transferlib.course.intervals import Interval, mean_interval
from transferlib.course.printing import bracketed, ends, number, plus_minus, ranged, spelled


def test_numbers_are_printed_with_a_real_minus_and_infinity() -> None:
    assert number(-1.25) == "\u22121.2" and number(-0.0861, 3) == "\u22120.086"
    assert number(float("inf")) == "∞" and number(float("-inf")) == "\u2212∞"


def test_every_form_of_an_interval_prints_the_same_numbers() -> None:
    span = Interval(-0.4, -2.25, 1.45, 20)
    assert ends(span) == "\u22122.2 to 1.4"
    assert bracketed(span) == "\u22120.4 [\u22122.2, 1.4]"
    assert bracketed(span, "points", 2) == "\u22120.40 points [\u22122.25, 1.45]"
    assert ranged(span, 2) == "\u22120.40 (\u22122.25 to 1.45)"
    assert plus_minus(span, 2) == "\u22120.40 ± 1.85"
    assert spelled(span, "points") == "\u22120.4 points (95\u00a0% interval \u22122.2 to 1.4)"
    assert plus_minus(mean_interval([1.0])) == "1.0 ± ∞"
