"""Which symbol of a formula means what: read from notation.md, marked in the LaTeX."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[^\s]|\s+", flags=re.S)
# The argument of these is a name or a layout, not a symbol.
OPAQUE = {r"\text", r"\textit", r"\mathrm", r"\operatorname", r"\begin", r"\end", r"\label", r"\tag", r"\htmlData"}


@dataclass(frozen=True)
class Symbol:
    """One symbol: its LaTeX, its name in words, and the glossary term it belongs to (may be empty)."""

    tex: str
    words: str
    term: str = ""

    @property
    def key(self) -> str:
        """A name for the HTML attribute that ties the symbol to its explanation."""
        return re.sub(r"[^a-zA-Z0-9]+", "-", self.tex.replace("*", "star")).strip("-")


def parse(lines: list[str]) -> list[Symbol]:
    r"""Symbols from lines ``\theta | weights | parameter``; the term may be missing.

    Raises ``ValueError`` naming the first line that is not one.
    """
    found = []
    for line in filter(str.strip, lines):
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f"notation line {line.strip()!r}: write 'LaTeX | name' or 'LaTeX | name | term'.")
        found.append(Symbol(*parts))
    return found


def book_symbols(env: Any) -> list[Symbol]:
    """The symbols of notation.md, read once a build."""
    path = Path(env.srcdir) / "notation.md"
    if not path.is_file():
        return []
    env.note_dependency(str(path))
    blocks = re.findall(r"^:{3,}\{notation\}.*\n((?:(?!:{3}).*\n)*)", path.read_text(encoding="utf-8"), flags=re.M)
    lines = [line for block in blocks for line in block.split("\n") if not line.startswith(":")]
    return parse(lines)


def override(symbols: list[Symbol], option: str) -> list[Symbol]:
    """``"r = reward; x ="`` gives ``r`` another name and leaves ``x`` unexplained."""
    table = {symbol.tex: symbol for symbol in symbols}
    told: dict[str, str] = {}
    for part in filter(str.strip, option.split(";")):
        tex, equals, words = (piece.strip() for piece in part.rpartition(" ="))
        if not equals or not tex:
            raise ValueError(f"symbols {part.strip()!r}: write 'symbol = its name', several with ';' between.")
        if tex in told:
            raise ValueError(f"symbol {tex!r} is both {told[tex]!r} and {words!r}: give one of them another letter.")
        told[tex] = words
        name, _, term = (piece.strip() for piece in words.partition(" | "))
        table.pop(tex, None)
        if name:
            table[tex] = Symbol(tex, name, term)
    return list(table.values())


def _tokens(tex: str) -> list[str]:
    return [token for token in TOKEN.findall(tex)]


def _group(tokens: list[str], start: int) -> int:
    """The index behind the argument that begins at ``start``: one token or a ``{group}``."""
    while start < len(tokens) and tokens[start].isspace():
        start += 1
    if start >= len(tokens) or tokens[start] != "{":
        return min(start + 1, len(tokens))
    depth = 0
    for i in range(start, len(tokens)):
        depth += {"{": 1, "}": -1}.get(tokens[i], 0)
        if depth == 0:
            return i + 1
    return len(tokens)


def mark(tex: str, symbols: list[Symbol]) -> tuple[str, list[Symbol]]:
    r"""Wrap every known symbol in ``\htmlData{sym=KEY}{…}``; also the symbols that occurred, in order.

    A symbol takes the sub- and superscripts that follow it along; the longest symbol wins.
    """
    tokens = _tokens(tex)
    known = sorted(((_tokens(s.tex), s) for s in symbols), key=lambda pair: -len(pair[0]))
    out: list[str] = []
    used: list[Symbol] = []
    i = 0
    while i < len(tokens):
        found = next((s for parts, s in known if tokens[i : i + len(parts)] == parts), None)
        if found is None and tokens[i] in OPAQUE:
            end = _group(tokens, i + 1)
            out += tokens[i:end]
            i = end
            continue
        if found is None:
            out.append(tokens[i])
            i += 1
            continue
        end = i + len(_tokens(found.tex))
        while end < len(tokens) and tokens[end] in ("_", "^", "'"):
            end = end + 1 if tokens[end] == "'" else _group(tokens, end + 1)
        out.append(f"{{\\htmlData{{sym={found.key}}}{{{''.join(tokens[i:end])}}}}}")
        if found not in used:
            used.append(found)
        i = end
    return "".join(out), used
