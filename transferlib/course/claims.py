"""Claims, nulls and facts: a sentence of the book, the measured value it rests on, and what may be concluded.

A *claim* says on which side of a threshold a quantity lies: it *holds* when the whole interval does, is *weaker here*
when the interval includes the threshold, and is *contradicted* when the whole interval lies on the other side. A wider
interval can therefore never make a false claim true. A *null* says that no difference was seen, and how large one this
run could have seen. A *fact* is a count or an identity: true by construction, and without an interval.
"""

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from transferlib.course.intervals import Interval
from transferlib.course.printing import bracketed, number, spelled
from transferlib.errors import UserError

WORDS = {
    "holds": "Checked",
    "weaker": "Weaker in this run",
    "contradicted": "Contradicted in this run",
    "unchecked": "Not checked: this profile has too few seeds",
    "null": "No difference seen",
    "fact": "By construction",
}


@dataclass(frozen=True)
class Claim:
    """``statement`` as read, ``value`` behind it, ``where`` it was measured, ``verdict``: a key of ``WORDS``.

    The claim says that the quantity lies ``above`` and ``below`` these thresholds, either of which may be None.
    ``digits`` decimals are printed.
    """

    id: str
    statement: str
    value: Interval
    verdict: str
    above: float | None = None
    below: float | None = None
    unit: str = ""
    where: str = ""
    digits: int = 1
    kind: str = "claim"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the metrics file, with the sentence that the terminal prints."""
        return {**asdict(self), "value": self.value._asdict(), "spoken": self.spoken()}

    @property
    def condition(self) -> str:
        """``above 5 points``, ``between −4 and 4 points``; what a null or a fact stands for, in words."""
        unit = f" {self.unit}" if self.unit else ""
        if self.kind != "claim":
            return "that no difference is seen" if self.kind == "null" else "an identity"
        if self.above is not None and self.below is not None:
            return f"between {threshold(self.above)} and {threshold(self.below)}{unit}"
        side = "above" if self.above is not None else "below"
        limit = self.above if self.above is not None else self.below
        assert limit is not None  # check_claim sees to it
        return f"{side} {threshold(limit)}{unit}"

    def spoken(self) -> str:
        """One line for the terminal: which claim, its statement, value, interval and condition."""
        words = {"weaker": "is weaker here", "contradicted": "is contradicted"}.get(self.verdict, self.verdict)
        measured = spelled(self.value, self.unit, max(self.digits, 2))
        return f"claim {self.id!r} {words}: {self.statement} Measured {measured}; claimed {self.condition}."


def threshold(value: float) -> str:
    """A threshold as its author wrote it: ``5``, ``0.3``, ``−4``."""
    return f"{value:g}".replace("-", "\u2212")


def verdict(value: Interval, above: float | None, below: float | None) -> str:
    """``holds``, ``weaker`` or ``contradicted``, by where the interval lies.

    >>> verdict(Interval(8, 6, 10, 20), 5, None), verdict(Interval(6, 3, 9, 20), 5, None)
    ('holds', 'weaker')
    >>> verdict(Interval(2, 0, 4, 20), 5, None), verdict(Interval(2, 0, 4, 20), -3, 3)
    ('contradicted', 'weaker')
    """
    lower = float("-inf") if above is None else above
    upper = float("inf") if below is None else below
    if value.low > lower and value.high < upper:
        return "holds"
    return "contradicted" if value.high <= lower or value.low >= upper else "weaker"


def check_claim(
    id: str,
    statement: str,
    value: Interval,
    *,
    above: float | None = None,
    below: float | None = None,
    unit: str = "",
    where: str = "",
    checked: bool = True,
    digits: int = 1,
) -> Claim:
    """Check one empirical statement against its interval.

    ``above=5``: larger than 5 (``low > 5``). ``below=0``: smaller. Both: as good as, within a margin
    (``low > above and high < below``). ``checked=False`` records it without a verdict (too few seeds).

    Raises:
        UserError: no ``{value}`` in the statement, no threshold, or thresholds with nothing between them.
    """
    if above is None and below is None:
        raise UserError(f"Claim {id!r} names no threshold: give above=, below=, or both for 'as good as'.")
    if above is not None and below is not None and above >= below:
        raise UserError(f"Claim {id!r}: nothing lies above {above:g} and below {below:g}: swap the two thresholds.")
    said = filled(id, statement, value, unit, digits)
    return Claim(
        id, said, value, verdict(value, above, below) if checked else "unchecked", above, below, unit, where, digits
    )


def check_null(
    id: str, statement: str, value: Interval, *, unit: str = "", where: str = "", digits: int = 1, checked: bool = True
) -> Claim:
    """A difference that was looked for and not seen; the box says how large one this run could have seen.

    It is *weaker here* when this run's interval leaves out 0: there the difference was seen.

    Raises:
        UserError: no ``{value}`` in the statement, or one seed only, which could have seen nothing.
    """
    if checked and value.detectable == float("inf"):
        raise UserError(f"Null {id!r} rests on one seed, which could have seen no difference: give it more seeds.")
    seen = "null" if value.low <= 0 <= value.high else "weaker"
    said = filled(id, statement, value, unit, digits)
    return Claim(id, said, value, seen if checked else "unchecked", None, None, unit, where, digits, "null")


def check_fact(
    id: str,
    statement: str,
    value: float,
    holds: bool,
    *,
    unit: str = "",
    where: str = "",
    digits: int = 0,
    checked: bool = True,
) -> Claim:
    """A count, an identity, something true by construction: no interval, and a broken one stops the build."""
    exact = Interval(value, value, value, 1)
    said, seen = filled(id, statement, exact, unit, digits), "fact" if holds else "contradicted"
    seen = seen if checked else "unchecked"
    return Claim(id, said, exact, seen, None, None, unit, where, digits, "fact")


def filled(id: str, statement: str, value: Interval, unit: str, digits: int) -> str:
    """The statement with the measured number where it says ``{value}``."""
    if "{value}" not in statement:
        raise UserError(f"Claim {id!r}: write {{value}} in the statement where the measured number belongs.")
    return statement.replace("{value}", f"{number(value.mean, digits)}{' ' + unit if unit else ''}")


def html(claim: Claim, recorded: str = "") -> str:
    """The claim as a small box: statement, verdict in words, interval and what it covers, condition, the record."""
    unit = f" {claim.unit}" if claim.unit else ""
    said = escape(claim.statement, quote=False).replace("'", "\u2019")  # as the prose around it is set
    parts = [f"<strong>{WORDS[claim.verdict]}</strong>"]
    if claim.value.low != claim.value.high:
        parts.append(f"{bracketed(claim.value, claim.unit, claim.digits)}, 95 % interval over {claim.value.covers}")
    if claim.verdict == "null":
        seen = number(claim.value.detectable, claim.digits)
        parts.append(f"this run could have seen a difference of {seen}{unit}")
    if claim.verdict in ("weaker", "contradicted"):
        parts.append(f"claimed: {claim.condition}")
    parts += [escape(part) for part in (claim.where, recorded) if part]
    return (
        f'<div class="hs-claim" data-verdict="{claim.verdict}" id="claim-{escape(claim.id, quote=True)}">'
        f'<p class="hs-claim__statement">{said}</p>'
        f'<p class="hs-claim__evidence">{" · ".join(parts)}</p></div>'
    )
