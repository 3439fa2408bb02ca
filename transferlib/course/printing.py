"""How a number and an interval are printed: one family of functions, so that a page says it in one way."""

from transferlib.course.intervals import Interval


def number(value: float, digits: int = 1) -> str:
    """A number as it is printed: a real minus sign, ``digits`` decimals, ``∞`` for infinity.

    >>> number(3.14159, 2), number(-1.26), number(float("inf"))
    ('3.14', '−1.3', '∞')
    """
    if abs(value) == float("inf"):
        return "∞" if value > 0 else "\u2212∞"
    return f"{value:.{digits}f}".replace("-", "\u2212")


def ends(value: Interval, digits: int = 1) -> str:
    """The two ends.

    >>> ends(Interval(18.2, 15.0, 21.4, 20))
    '15.0 to 21.4'
    """
    return f"{number(value.low, digits)} to {number(value.high, digits)}"


def bracketed(value: Interval, unit: str = "", digits: int = 1) -> str:
    """The short way to print an interval, for tables and boxes: mean, unit, ends.

    >>> span = Interval(18.2, 15.0, 21.4, 20)
    >>> bracketed(span), bracketed(span, "points", digits=0)
    ('18.2 [15.0, 21.4]', '18 points [15, 21]')
    """
    unit = f" {unit}" if unit else ""
    return f"{number(value.mean, digits)}{unit} [{number(value.low, digits)}, {number(value.high, digits)}]"


def ranged(value: Interval, digits: int = 1) -> str:
    """As :func:`bracketed`, in words.

    >>> ranged(Interval(18.2, 15.0, 21.4, 20))
    '18.2 (15.0 to 21.4)'
    """
    return f"{number(value.mean, digits)} ({ends(value, digits)})"


def plus_minus(value: Interval, digits: int = 1) -> str:
    """As :func:`bracketed`, for an interval that reaches as far down as up.

    >>> plus_minus(Interval(18.2, 15.0, 21.4, 20))
    '18.2 ± 3.2'
    """
    return f"{number(value.mean, digits)} ± {number(value.high - value.mean, digits)}"


def spelled(value: Interval, unit: str = "", digits: int = 1) -> str:
    """An interval in a sentence, where nobody has told the reader what the ends are.

    >>> spelled(Interval(18.2, 15.0, 21.4, 20), "points").replace(chr(160), " ")
    '18.2 points (95 % interval 15.0 to 21.4)'
    """
    unit = f" {unit}" if unit else ""
    return f"{number(value.mean, digits)}{unit} (95\u00a0% interval {ends(value, digits)})"
