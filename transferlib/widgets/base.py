"""What every widget repeats on the Python side: checks, the twin for the page, the module and style for JupyterLab."""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from transferlib.errors import UserError, needs

HERE = Path(__file__).parent
EXPORT = re.compile(r"^export (?=(?:function|const) (\w+))", re.M)
IMPORT = re.compile(r'^import (\{\s*\w+(?:,\s*\w+)*,?\s*\}) from "\./kit\.js";$', re.M)


def check_finite(what: str, numbers: Iterable[Any], fix: str = "") -> None:
    """Raise ``UserError`` when one of ``numbers`` is missing or not finite: the drawing would be wrong.

    >>> check_finite("dial", [1, 0.5])
    """
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
        raise UserError(f"{what} holds a number that is not finite{fix}.")


def with_interval(mean: float, lo: float, hi: float) -> str:
    """A cell of a table: the mean and its 95 % interval.

    >>> with_interval(62.5, 60, 65)
    '62.5 (60.0 to 65.0)'
    """
    return f"{mean:.1f} ({lo:.1f} to {hi:.1f})"


def table(caption: str, heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    r"""An HTML table for readers without JavaScript. The first cell of a row is its name; every word becomes text.

    >>> print(table("A & B", ["n"], [[1]]).replace("><", ">\n<"))  # doctest: +ELLIPSIS
    <table>
    <caption>A &amp; B</caption>
    ...
    """
    head = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th>{"".join(f"<td>{escape(str(cell))}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def twin(name: str, state: dict[str, Any], title: str, tables: Iterable[str]) -> str:
    """The widget in a static page: the state for ``hydrate.js``, and tables to read without it."""
    data = escape(json.dumps(state, separators=(",", ":"), allow_nan=False), quote=True)
    return (
        f'<div class="hs-widget" data-widget="{name}" data-state="{data}">'
        '<div class="hs-widget__fallback" role="region" tabindex="0"'
        f' aria-label="{escape(title, quote=True)}">{"".join(tables)}</div></div>'
    )


def kit() -> str:
    """``kit.js`` as a script: one constant ``kit`` that holds what the module exports."""
    source = (HERE / "kit.js").read_text(encoding="utf-8")
    names = ", ".join(EXPORT.findall(source))
    return f"const kit = (() => {{\n{EXPORT.sub('', source)}return {{ {names} }};\n}})();\n"


def joined(name: str, source: str) -> str:
    """A widget's module that reads from the constant ``kit`` what it would import from ``kit.js``.

    Raises ``ValueError`` unless the module has one ``export default`` and no other import or export.
    """
    body = IMPORT.sub(r"const \1 = kit;", source)
    if re.findall(r"^(?:import|export)\b.*", body, flags=re.M) != ["export default { render };"]:
        raise ValueError(f"widget {name!r} must import only names from ./kit.js and have one 'export default'.")
    return body


def module(name: str) -> str:
    """The one ES module of a widget that JupyterLab runs through anywidget: the kit, then the widget's own lines."""
    return kit() + joined(name, (HERE / f"{name}.js").read_text(encoding="utf-8"))


def styles(*names: str) -> str:
    """The kit's style sheet, then those of the widgets."""
    return "".join((HERE / f"{name}.css").read_text(encoding="utf-8") for name in ("kit", *names))


@cache
def _widget_class(name: str, html: Callable[[dict[str, Any]], str], places: tuple[str, ...]) -> Any:
    # Imported here: the static page and the tests of the state need no Jupyter.
    needs("anywidget", "book", "A widget in a notebook")
    import anywidget
    import traitlets

    def bundle(self: Any, **kwargs: Any) -> Any:
        made = anywidget.AnyWidget._repr_mimebundle_(self, **kwargs)
        data, metadata = made if isinstance(made, tuple) else (made or {}, {})
        return {**data, "text/html": html(dict(self.state))}, metadata

    parts = {"_esm": module(name), "_css": styles(name), "_repr_mimebundle_": bundle}
    traits = {place: traitlets.Int().tag(sync=True) for place in places}
    title = name.title().replace("_", "")
    return type(title, (anywidget.AnyWidget,), {**parts, **traits, "state": traitlets.Dict().tag(sync=True)})


def widget(name: str, html: Callable[[dict[str, Any]], str], state: dict[str, Any], **places: int) -> Any:
    """The same module live in JupyterLab, with ``html(state)`` as its twin for the page.

    ``places`` are whole numbers that follow the controls in both directions, with their start. Returns an anywidget.
    """
    return _widget_class(name, html, tuple(places))(state=state, **places)
