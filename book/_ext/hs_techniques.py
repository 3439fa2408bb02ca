"""Where a technique's code stands: found in the glossary, the package's names and docstrings, and what chapters import.

No Sphinx in here: the tables are Markdown.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import hs_house
from hs_chapters import Chapter, chapters, code_of


def short(module: str, label: str = "") -> str:
    """A link to a module or to a name in it, without the package's name in front."""
    return f"{{py:obj}}`{label or module.removeprefix('transferlib.')} <{module}>`"


def glossary(markdown: str) -> list[list[str]]:
    """The entries of a glossary page: the names of each, the main one first."""
    inside = markdown.partition("```{glossary}")[2].partition("```")[0]
    blocks = [[line for line in block.split("\n") if line.strip()] for block in inside.split("\n\n")]
    return [names for block in blocks if (names := [line.strip() for line in block if not line.startswith(" ")])]


def homes(names: list[str], glossary: Iterable[str] = ()) -> dict[str, list[str]]:
    """The modules of a technique, each with the public names that are it.

    The module or a public name in it is called so (``lora``, ``L2SP``), or a public name holds the acronym
    (``dpo_loss``), or the first line is about it. More than two modules are no answer: then the word is a common one.
    """
    here = [m for m in hs_house.MODULES if hs_house.room(m) in hs_house.TECHNIQUES]
    exact = {m: called(names, hs_house.public(m)) for m in here}
    main = [names[0], *filter(spelled, names)]
    titled = [m for m in here if called(main, [m.rpartition(".")[2]])]  # peft.lora stands before peft.lora_layer
    exact = {m: exact[m] for m in [*titled, *(m for m in here if exact[m])]}
    parts = {m: found for m in here if (found := holding(names, hs_house.public(m)))}
    lines: dict[str, list[str]] = {m: [] for m in here if opens(names, hs_house.docstring(m).split("\n")[0], glossary)}
    files = {m: lines[m] for m in lines if hs_house.MODULES[m].stem != "__init__"}
    best = exact or parts or files or lines
    return best if len(best) <= 2 else {}


@cache  # every entry of the glossary is held against every name of the package
def plain(name: str) -> str:
    """A name without case, hyphens and the s of a plural."""
    return re.sub(r"[\W_]", "", name).lower().removesuffix("s")


def spelled(name: str) -> bool:
    """Whether a name is spelled one way, as acronyms are: ``LoRA``, ``DPO``."""
    return sum(map(str.isupper, name)) > 1


def called(names: list[str], known: Iterable[str]) -> list[str]:
    """The public names that are a technique's."""
    return [name for name in known if plain(name) in set(map(plain, names))]


def holding(names: list[str], known: Iterable[str]) -> list[str]:
    """The public names that hold a technique's acronym as a part."""
    short = {name.lower() for name in names if spelled(name)}
    return [name for name in known if short & set(name.lower().split("_"))]


def opens(names: list[str], line: str, glossary: Iterable[str] = ()) -> bool:
    """Whether a first line is about a technique: it holds its proper name, or begins with the longest word for it."""
    begins = [name for name in [*glossary, *names] if line.lower().startswith(name.lower())]  # few are left
    longest = max((name for name in begins if re.match(rf"{re.escape(name)}s?\b", line, re.I)), key=len, default="")
    proper = [name for name in names if name[0].isupper()]
    return longest in names or any(re.search(rf"(?<![\w-]){re.escape(name)}s?(?![\w-])", line) for name in proper)


def users(found: list[Chapter], source: Path) -> dict[str, list[str]]:
    """Module → the numbers of the executed chapters whose code imports it."""
    using: dict[str, list[str]] = {}
    for chapter in found:
        for module in hs_house.imported(code_of(source / f"{chapter.docname}.ipynb")):
            using.setdefault(module, []).append(chapter.number)
    return using


def techniques(source: Path) -> str:
    """The techniques that the glossary explains: where the code of each stands, and the chapters that use it."""
    path, using = source / "glossary.md", users(chapters(source), source)
    entries = glossary(path.read_text(encoding="utf-8")) if path.is_file() else []
    rows = ["| Technique | Code | Chapters |", "|---|---|---|"]
    for names in sorted(entries, key=lambda names: re.sub(r"\W", "", names[0]).lower()):
        found = homes(names, [name for entry in entries for name in entry])
        if found:
            also = f" ({', '.join(names[1:])})" if names[1:] else ""
            code = "; ".join(", ".join([short(m), *(short(f"{m}.{n}", n) for n in found[m])]) for m in found)
            numbers = sorted({number for m in found for number in using.get(m, [])})
            rows.append(f"| {{term}}`{names[0]}`{also} | {code} | {links(numbers)} |")
    return "\n".join(rows)


def links(numbers: list[str]) -> str:
    """``01 04``, each a link to its chapter."""
    return " ".join(f"{{chapter}}`{n} <{n}>`" for n in numbers)


def behind(source: Path) -> str:
    """The executed chapters, each with the modules its figures are made with."""
    rows = ["| Chapter | Code behind its figures |", "|---|---|"]
    for chapter in chapters(source):
        used = [m for m in hs_house.imported(code_of(source / f"{chapter.docname}.ipynb")) if m in hs_house.MODULES]
        used = [
            m
            for modules in hs_house.rooms().values()
            for m in modules
            if m in used and hs_house.room(m) in hs_house.TECHNIQUES
        ]
        rows.append(f"| {{chapter}}`{chapter.number}` | {' · '.join(map(short, used))} |")
    return "\n".join(rows)
