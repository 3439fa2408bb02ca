"""The page on speed: the last `make bench`, why a target was missed, how time grows, how the cores were shared."""

import json
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any

from docutils import nodes
from hs_chapters import short
from hs_pages import _Page, scrolling
from matplotlib.ticker import LogLocator, NullLocator
from sphinx.application import Sphinx

from transferlib.course import figures

FILE = Path("reference") / "speed.json"


def number(value: float) -> str:
    """Three digits, as a reader wants them."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


class _Speed(_Page):
    def measured(self) -> dict[str, Any]:
        file = Path(self.env.srcdir) / FILE
        self.env.note_dependency(str(file))
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


class SpeedTable(_Speed):
    """A row for each piece of work, with what it was held against and the target."""

    def run(self) -> list[nodes.Node]:
        found = self.measured()
        if not found:
            return self.nothing("Nothing was measured yet: run `make bench`.")
        rows = []
        for row in found["rows"]:
            why = row.get("because", "") if row["met"] is None else ""
            mark = {True: "met", False: "missed", None: "at its limit" if why else ""}[row["met"]]
            cells = (f"{number(row['value'])} {row['unit']}", row["target"], mark)
            more = " · ".join(
                part for part in (row["ours"], row["against"] and f"against {row['against']}", why) if part
            )
            rows.append(
                f'<tr><th scope="row">{escape(row["piece"])}</th>{"".join(f"<td>{escape(c)}</td>" for c in cells)}</tr>'
                f'<tr class="hs-table__more"><td colspan="4">{escape(more)}</td></tr>'
            )
        about = found["provenance"]
        versions = ", ".join(f"{name} {v}" for name, v in sorted(about.get("versions", {}).items()))
        told = (
            f"One run on {about.get('processor', 'an unknown processor')}, {about.get('cores', '?')} cores, one thread "
            f"for each piece, commit {short(about.get('commit'))}. {versions}."
        )
        heads = "".join(f'<th scope="col">{h}</th>' for h in ("Piece of work", "Measured", "Target", "Result"))
        table = scrolling(f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>", "Speed")
        return [self.raw(f"{table}<p>{escape(told)}</p>")]


class SpeedGrowth(_Speed):
    """Time and memory against what is given, on logarithmic axes: a straight line is a power, its slope the power."""

    def run(self) -> list[nodes.Node]:
        growth = self.measured().get("growth", [])
        curves = [g for g in growth if "memory" not in g]
        if not curves:
            return self.nothing("Nothing was measured yet: run `make bench`.")
        return [self.raw(self.probe(curves)), *(self.raw(self.report(g)) for g in growth if "memory" in g)]

    def probe(self, curves: list[dict[str, Any]]) -> str:
        figure, ax = figures.canvas(width=5.2, height=3.4)
        for g, tone in zip(curves, "abcd", strict=False):
            times = [x / g["x"][0] for x in g["x"]], g["seconds"]
            ax.plot(*times, color=figures.TONES[tone], marker=figures.MARKERS[tone],
                    label=f"{g['what']}: {g['exponent']:.2f}")  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="times as many", ylabel="processor time (s)", title="A probe curve")
        ax.yaxis.set_major_formatter("{x:g}")
        figures.log_ticks(ax, [1, 2, 4, 8])
        ax.set_ylim(top=8 * max(max(g["seconds"]) for g in curves))  # room for the legend
        ax.legend(fontsize=8.5, title="power", title_fontsize=8.5)
        alt = "The time of a probe curve against how many labels, seeds, classes or features it gets."
        return figures.html(figure, alt, "growth", "Each point is the fastest of three. A straight line means a power.")

    def report(self, found: dict[str, Any]) -> str:
        figure, axes = figures.canvas(columns=2, width=6.6, height=3.2)
        pictures = found["x"]
        for ax, what, unit in zip(axes, ("seconds", "memory"), ("processor time (s)", "peak memory (GB)"), strict=True):
            last = found[what][-1]
            ax.plot(pictures, found[what], color=figures.TONES["a"], marker="o", label="measured")
            ax.plot(pictures[-2:], [last * pictures[-2] / pictures[-1], last], color=figures.TONES["b"], ls="--",
                    label="in proportion")  # fmt: skip
            ax.set(xscale="log", yscale="log", xlabel="pictures", ylabel=unit, title="A report")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_locator(NullLocator())
        axes[0].legend(fontsize=8.5)
        alt = (
            f"Left: the processor time of a report rises from {found['seconds'][0]:.0f} to {found['seconds'][-1]:.0f} "
            f"seconds between {pictures[0]:,} and {pictures[-1]:,} pictures. Right: its peak memory, from "
            f"{found['memory'][0]:.1f} to {found['memory'][-1]:.1f} GB. A dashed line shows growth in proportion."
        )
        said = "Each point is one report. The dashed line is what growth in proportion to the pictures would look like."
        return figures.html(figure, alt, "growth-report", said)


def timeline(ran: dict[str, dict[str, Any]]) -> str:
    """A bar for each chapter's run, by number, and what share of the cores they used; "" if they ran at other times."""
    spans = sorted((facts["finished"] - facts["wall_seconds"], facts["finished"], n) for n, facts in ran.items())
    first, ends = spans[0][0], list(accumulate((end for _, end, _ in spans), max))
    if len(spans) < 2 or any(begin > end + 60 for (begin, _, _), end in zip(spans[1:], ends, strict=False)):
        return ""  # a minute in which none ran: begun by two commands
    figure, ax = figures.canvas(width=6.6, height=0.6 + 0.24 * len(spans))
    for row, (begin, end, _) in enumerate(spans):
        ax.barh(row, (end - begin) / 60, left=(begin - first) / 60, color=figures.TONES["a"], height=0.7)
    ax.set_yticks(range(len(spans)), [number for _, _, number in spans])
    ax.invert_yaxis()
    ax.set(xlabel="minutes since the first chapter began", ylabel="chapter")
    whole, cores = ends[-1] - first, max(facts["cores"] for facts in ran.values())
    share = 100 * sum(facts["processor_seconds"] for facts in ran.values()) / (cores * whole)
    alt = f"A bar for each of {len(spans)} chapters, from its begin to its end; {spans[-1][2]} was the last to begin."
    said = f"{whole / 60:.1f} minutes on {cores} cores. The chapters and their workers used {share:.0f} % of them."
    return figures.html(figure, alt, "timeline", said)


class Timeline(_Page):
    """When each chapter ran, from the provenance of this very book."""

    def run(self) -> list[nodes.Node]:
        known = {chapter.number: chapter.provenance for chapter in self.chapters() if chapter.provenance}
        drawn = timeline(known) if known else ""
        return [self.raw(drawn)] if drawn else self.nothing("The chapters of this book were not executed in one go.")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("speed-table", SpeedTable)
    app.add_directive("speed-growth", SpeedGrowth)
    app.add_directive("timeline", Timeline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
