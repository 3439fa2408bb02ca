"""The one exception a user should ever have to read, and the sentence that helps them fix it."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec


class UserError(ValueError):
    """Bad input, said in one sentence that names the thing, the value and the fix."""


def nearest(value: str, known: Iterable[str], limit: int = 3) -> str:
    """Name the known values closest to ``value``: ``"did you mean 'probe'? Known: …"``."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    close = [lowered[n] for n in get_close_matches(value.lower(), lowered, n=limit, cutoff=0.5)]
    hint = f"did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    return f"{hint}Known: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}."


def needs(library: str, extra: str, what: str) -> None:
    """Stop in one sentence where an optional ``library`` is missing: ``what`` needs it, ``extra`` installs it.

    >>> needs("numpy", "lm", "A text model")
    >>> needs("no_such_library", "lm", "A text model")
    Traceback (most recent call last):
    transferlib.errors.UserError: A text model needs no_such_library: pip install 'transferlib[lm]'.
    """
    if find_spec(library) is None:
        raise UserError(f"{what} needs {library}: pip install 'transferlib[{extra}]'.")
