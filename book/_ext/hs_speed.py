"""The page on speed: the table of the last `make bench`, why a target was missed, and how time grows."""

import json
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from hs_pages import _Page, scrolling
from sphinx.application import Sphinx

from transferlib import figures

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
            mark = {True: "met", False: "missed", None: ""}[row["met"]]
            cells = (f"{number(row['value'])} {row['unit']}", row["target"], mark)
            more = " · ".join(part for part in (row["ours"], row["against"] and f"against {row['against']}") if part)
            rows.append(
                f'<tr><th scope="row">{escape(row["piece"])}</th>{"".join(f"<td>{escape(c)}</td>" for c in cells)}</tr>'
                f'<tr class="hs-table__more"><td colspan="4">{escape(more)}</td></tr>'
            )
        about = found["provenance"]
        versions = ", ".join(f"{name} {v}" for name, v in sorted(about.get("versions", {}).items()))
        told = (
            f"One run on {about.get('processor', 'an unknown processor')}, {about.get('cores', '?')} cores, one thread "
            f"for each piece, commit {str(about.get('commit') or '–')[:10]}. {versions}."
        )
        heads = "".join(f'<th scope="col">{h}</th>' for h in ("Piece of work", "Measured", "Target", "Result"))
        table = scrolling(f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>", "Speed")
        return [self.raw(f"{table}<p>{escape(told)}</p>")]


class SpeedGrowth(_Speed):
    """Seconds against what is given, on two logarithmic axes: a straight line of slope 1 is proportional."""

    def run(self) -> list[nodes.Node]:
        growth = self.measured().get("growth", [])
        curves = [g for g in growth if "memory" not in g]
        report = [g for g in growth if "memory" in g]
        if not curves:
            return self.nothing("Nothing was measured yet: run `make bench`.")
        figure, axes = figures.canvas(
            columns=3 if report else 1, width=9.5 if report else 4.8, height=3.4, squeeze=False
        )
        left, *others = axes[0]
        for g, tone in zip(curves, "abcd", strict=False):
            times = [x / g["x"][0] for x in g["x"]], g["seconds"]
            left.plot(*times, color=figures.TONES[tone], marker=figures.MARKERS[tone],
                      label=f"{g['what']}: {g['exponent']:.2f}")  # fmt: skip
        left.set(xscale="log", yscale="log", xlabel="times as many", ylabel="probe curve (s)", title="A probe curve")
        figures.log_ticks(left, [1, 2, 4, 8])
        left.set_ylim(top=8 * max(max(g["seconds"]) for g in curves))  # room for the legend
        left.legend(fontsize=8.5, title="power", title_fontsize=8.5)
        for ax, what, unit in zip(
            others, ("seconds", "memory"), ("processor time (s)", "peak memory (GB)"), strict=False
        ):
            ax.plot(report[0]["x"], report[0][what], color=figures.TONES["a"], marker="o")
            ax.set(xscale="log", xlabel="pictures", ylabel=unit, title="A report")
            ax.set_ylim(bottom=0)
        alt = (
            "The time of a probe curve against how many labels, seeds, classes or features it gets, on two "
            "logarithmic axes."
        )
        if report:
            alt += " Middle and right: processor time and peak memory of a report against pictures."
        caption = (
            "Each point is one measurement, the fastest of three on the left, where a straight line means a power."
        )
        return [self.raw(figures.html(figure, alt, "growth", caption))]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("speed-table", SpeedTable)
    app.add_directive("speed-growth", SpeedGrowth)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
