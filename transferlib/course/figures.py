"""Figures with uncertainty, drawn once and readable on light and dark pages."""

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from transferlib.course.intervals import Interval, mean_interval
from transferlib.errors import UserError, needs

# Colour-blind-safe on white; the page maps each to a variable, so that dark mode can lighten it.
TONES = {
    "probe": "#0067a8",
    "fine_tune": "#007a58",
    "scratch_small": "#b45300",
    "scratch": "#4a4f57",
    "a": "#0067a8",
    "b": "#b45300",
    "c": "#007a58",
    "d": "#8a3c7d",
    "e": "#8c6d00",
    "f": "#4a4f57",
    "g": "#a12c3a",
}
DASHES = {"scratch_small": (6, 3), "scratch": (2, 3), "b": (6, 3), "d": (4, 2), "e": (2, 2), "f": (2, 3), "g": (9, 2)}
MARKERS = {"probe": "o", "fine_tune": "s", "scratch_small": "^", "scratch": "D"} | dict(
    zip("abcdefg", "o^sDvPX", strict=True)
)
INK = "#16202b"
STYLE: Any = {
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": INK, "grid.alpha": 0.12,
    "axes.linewidth": 0.8, "font.size": 11, "axes.titlesize": 12, "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False, "lines.linewidth": 2, "lines.markersize": 5, "figure.constrained_layout.use": True,
    "svg.fonttype": "none", "svg.hashsalt": "head-start",
}  # fmt: skip
matplotlib.use("Agg")
matplotlib.rcParams.update(STYLE)  # globally: legends and titles made later in a chapter follow it too


def canvas(
    columns: int = 1, rows: int = 1, width: float = 7.2, height: float = 3.6, **kwargs: Any
) -> tuple[Figure, Any]:
    """A figure and its axes in the house style; sizes in inches."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, **kwargs)


def curve(ax: Axes, x: Sequence[float], values: ArrayLike, label: str, tone: str) -> None:
    """Draw the mean over seeds with its 95 % interval.

    Arguments: ``x`` (points,); ``values`` (seeds, points), in the unit of the axis, NaN where a point was not
    run; ``tone`` one of ``TONES``.

    Raises ``UserError`` for an unknown tone, or values that do not fit ``x``.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or table.shape[1] != len(x):
        raise UserError(f"Curve {label!r}: values must be (seeds, {len(x)}) for these x, got {table.shape}.")
    if tone not in TONES:
        raise UserError(f"Curve {label!r}: tone {tone!r} is unknown; known: {', '.join(TONES)}.")
    keep = ~np.isnan(table).all(0)
    spans = [mean_interval(column[~np.isnan(column)]) for column in table.T[keep]]
    band(ax, np.asarray(x, dtype=float)[keep], spans, label, tone)


def band(ax: Axes, x: ArrayLike, spans: Sequence[Interval], label: str, tone: str) -> None:
    """Draw means with their intervals, one at each ``x`` (points,); ``tone`` one of ``TONES``."""
    at, mean = np.asarray(x, dtype=float), np.array([s.mean for s in spans])
    low = [s.low if np.isfinite(s.low) else s.mean for s in spans]  # one seed: a point without a band
    high = [s.high if np.isfinite(s.high) else s.mean for s in spans]
    style: dict[str, Any] = {"color": TONES[tone], "label": label, "marker": MARKERS[tone]}
    if tone in DASHES:
        style["dashes"] = DASHES[tone]
    ax.plot(at, mean, **style)
    ax.fill_between(at, low, high, color=TONES[tone], alpha=0.15, linewidth=0)


def tile(x: float, y: float, share: float, tone: str) -> Rectangle:
    """A unit square around (x, y), the fuller the larger ``share`` (0..1): a cell of a matrix on any page."""
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=TONES[tone], alpha=0.75 * share, linewidth=0)


def log_ticks(ax: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic x axis that names exactly the measured values."""
    ax.set_xscale("log")
    ax.set_xticks(list(ticks), [f"{t:g}" for t in ticks])
    ax.minorticks_off()


def svg(figure: Figure, alt: str) -> str:
    """The figure as inline SVG whose ink follows the page: text takes the page's colour, tones its variables.

    ``alt`` says what the figure shows. Raises ``UserError`` when it is empty.
    """
    if not alt.strip():
        raise UserError("A figure needs alt text that says what it shows, got an empty one.")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # The style element would reach every other drawing on the page.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    prefix = re.sub(r"\W+", "-", alt.lower())[:40].strip("-")  # ids are unique on a page with many figures
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
    for colour, tone in {colour: tone for tone, colour in reversed(TONES.items())}.items():
        text = text.replace(colour, f"var(--hs-tone-{tone}, {colour})")
    text = re.sub(r"; font-family: [^;\"]*|font-family: [^;\"]*;?", "", text.replace(INK, "currentColor"))
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    if size:
        text = text.replace(
            size.group(0), f'style="width:100%;max-width:{float(size.group(1)) / 0.75:.0f}px;height:auto"', 1
        )
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1)


def standalone(figure: Figure, alt: str) -> str:
    """The figure as an SVG file of its own, for slides and papers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Title": alt})
    return buffer.getvalue()


def show(figure: Figure, alt: str, name: str = "", caption: str = "") -> Any:
    """Return the figure for display, in JupyterLab and in the book, with ``alt`` for those who cannot see it."""
    needs("IPython", "book", "A figure in a notebook")
    from IPython.display import HTML

    return HTML(html(figure, alt, name, caption))


def html(figure: Figure, alt: str, name: str = "", caption: str = "") -> str:
    """The figure as a ``<figure>`` element with caption; on a narrow screen the drawing scrolls on its own."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    anchor = f' id="fig-{escape(name, quote=True)}"' if name else ""
    drawing = f'<div class="hs-figure__scroll">{svg(figure, alt)}</div>'
    return f'<figure class="hs-figure"{anchor}>{drawing}{below}</figure>'
