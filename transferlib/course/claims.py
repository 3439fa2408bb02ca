"""Claims: a sentence of the book, the measured interval it rests on, and whether it holds."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from transferlib.course.intervals import Interval
from transferlib.errors import UserError


@dataclass(frozen=True)
class Claim:
    """``statement`` as read, the ``value`` behind it, ``where`` it was measured, ``holds`` or None if unchecked.

    ``digits`` decimals are printed.
    """

    id: str
    statement: str
    value: Interval
    unit: str
    where: str
    holds: bool | None
    digits: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the metrics file."""
        return {**asdict(self), "value": dict(self.value._asdict())}


def number(value: float, digits: int = 1) -> str:
    """A number as it is printed: a real minus sign, ``digits`` decimals, ``∞`` for infinity."""
    if abs(value) == float("inf"):
        return "∞" if value > 0 else "\u2212∞"
    return f"{value:.{digits}f}".replace("-", "\u2212")


def spelled(value: Interval, unit: str = "", digits: int = 1) -> str:
    """``18.2 points (95 % interval 15.0 to 21.4)``."""
    unit = f" {unit}" if unit else ""
    return (
        f"{number(value.mean, digits)}{unit} (95\u00a0% interval "
        f"{number(value.low, digits)} to {number(value.high, digits)})"
    )


def check_claim(
    id: str,
    statement: str,
    value: Interval,
    condition: Callable[[Interval], bool],
    *,
    unit: str = "",
    where: str = "",
    checked: bool = True,
    digits: int = 1,
) -> Claim:
    """Check one empirical statement against its interval.

    ``statement`` holds ``{value}`` where the number is read; ``condition`` gets the interval, so that a claim
    can ask for its lower end; ``checked=False`` records it without a verdict (too few seeds).

    Raises ``UserError`` when the statement has no ``{value}`` or the condition returns no truth value.
    """
    if "{value}" not in statement:
        raise UserError(f"Claim {id!r}: write {{value}} in the statement where the measured number belongs.")
    verdict = condition(value)
    if not isinstance(verdict, bool | int) and type(verdict).__name__ != "bool":
        raise UserError(f"Claim {id!r}: the condition must return True or False, got {type(verdict).__name__}.")
    said = statement.replace("{value}", f"{number(value.mean, digits)}{' ' + unit if unit else ''}")
    return Claim(id, said, value, unit, where, bool(verdict) if checked else None, digits)


def html(claim: Claim) -> str:
    """The claim as a small box: statement, interval, condition."""
    state = {True: "true", False: "false", None: "unchecked"}[claim.holds]
    unit = f" {claim.unit}" if claim.unit else ""
    mean, low, high = (number(v, claim.digits) for v in claim.value[:3])
    span = f"{mean}{unit} [{low}, {high}]"
    words = {
        "true": "Checked",
        "false": "Does not hold in this run",
        "unchecked": "Not checked: this profile has too few seeds",
    }[state]
    return (
        f'<div class="hs-claim" data-holds="{state}" id="claim-{escape(claim.id, quote=True)}">'
        f'<p class="hs-claim__statement">{escape(claim.statement)}</p>'
        f'<p class="hs-claim__evidence"><strong>{words}</strong> · {span}, 95 % interval, {claim.value.seeds} seeds'
        f"{' · ' + escape(claim.where) if claim.where else ''}</p></div>"
    )
