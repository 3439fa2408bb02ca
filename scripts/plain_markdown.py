"""A chapter's prose as plain Markdown, for JupyterLab, which knows no directive of the book.

A drawing becomes a picture, a formula mathematics, what is folded on the page a fold. A directive that is not
known here shows its body, so no sentence is lost.
"""

import re

DRAWINGS = "../book/_static/drawings"  # from a chapter
OPENING = re.compile(r"^\s*(`{3,}|:{3,})\{([\w:-]+)\}[ \t]*(.*)$")
CODE = re.compile(r"^\s*(`{3,})")
OPTION = re.compile(r"^:([\w-]+):[ \t]*(.*)$")
ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
CLASS = re.compile(r"^\{\.[\w-]+\}$")  # says how the next paragraph looks on the page
CHOICE = re.compile(r"^- \[( |x)\] (.*?) :: (.*)$")


def plain(source: str) -> str:
    """The Markdown without directives and roles.

    >>> plain("A {term}`linear probe` of {chapter}`03` {cite}`hu2022lora`.")
    'A *linear probe* of chapter 03 (Hu 2022).'
    >>> plain("{.hs-go}\\n{doc}`Try it </try-it>`")
    'Try it'
    >>> print(plain(":::{hint}\\nLook left.\\n:::"))
    <details><summary>Hint</summary>
    <BLANKLINE>
    Look left.
    <BLANKLINE>
    </details>
    """
    lines, out = source.split("\n"), []
    while lines:
        line = lines.pop(0)
        if found := OPENING.match(line):
            fence, name, argument = found.groups()
            body = until(fence, lines)
            options = {}
            while body and (option := OPTION.match(body[0])):
                options[option[1]] = option[2]
                body.pop(0)
            out += shown(name, plain(argument), options, "\n".join(body).strip("\n")).split("\n")
        elif code := CODE.match(line):  # ordinary code stays as it is
            out += [line, *until(code[1], lines), code[1]]
        elif not CLASS.match(line):
            out.append(ROLE.sub(role, line))
    return "\n".join(out)


def until(fence: str, lines: list[str]) -> list[str]:
    """Take the lines up to the closing fence off ``lines``, and the fence."""
    end = next((i for i, line in enumerate(lines) if line.strip() == fence), len(lines))
    body = lines[:end]
    del lines[: end + 1]
    return body


def shown(name: str, argument: str, options: dict[str, str], body: str) -> str:
    """What stands in the notebook for one directive."""
    match name:
        case "drawing":
            caption = plain(options.get("caption", ""))
            return f"![{caption}]({DRAWINGS}/{argument}.svg)\n\n*{caption}*"
        case "formula":
            symbols, _, words = body.partition("\n---\n")
            pairs = [pair.split(" = ", 1) for pair in options.get("symbols", "").split("; ") if " = " in pair]
            where = "; ".join(f"${symbol}$ = {plain(meaning)}" for symbol, meaning in pairs)
            return f"$$\n{symbols}\n$$\n\n{plain(words)}" + (f"\n\n{where}" if where else "")
        case "guess":
            choices = [found.groups() for line in body.split("\n") if (found := CHOICE.match(line))]
            asked = "\n".join(f"- {plain(choice)}" for _, choice, _ in choices)
            told = "\n".join(f"- {'**Yes**' if x == 'x' else 'No'}: {plain(c)} {plain(why)}" for x, c, why in choices)
            return f"**Guess.** {argument}\n\n{asked}\n\n{fold('What is true?', told)}"
        case "hint" | "solution":
            return fold(name.capitalize(), plain(body))
        case "exercise":
            minutes = f", {options['minutes']} minutes" if "minutes" in options else ""
            return f"### Exercise: {argument} ({options.get('kind', 'free')}{minutes})\n\n{plain(body)}"
        case "depth" | "depth-start":
            return f"### {plain(options.get('title', ''))}\n\n{plain(body)}".rstrip("\n")
        case "depth-end":
            return "---"
        case "cost":
            return f"Needs: {options.get('needs', 'nothing')}."
        case _:
            return plain(body)


def fold(summary: str, body: str) -> str:
    """A part that the reader opens with a click."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def role(found: re.Match[str]) -> str:
    """One role as words."""
    name, text = found.groups()
    words = re.sub(r"\s*<[^>]*>$", "", text)
    if name.startswith("cite"):
        years = ", ".join(
            re.sub(r"^([a-z]+)(\d{4}).*", lambda m: f"{m[1].capitalize()} {m[2]}", k) for k in text.split(",")
        )
        return years if name == "cite:t" else f"({years})"
    return {"term": f"*{words}*", "chapter": f"chapter {words}", "doc": words}.get(name, f"`{words}`")
