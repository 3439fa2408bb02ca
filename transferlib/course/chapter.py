"""What a chapter says about itself: measured values, checked claims, figures, and where they came from."""

import json
import math
import os
import sys
import time
from ast import literal_eval
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure

from transferlib.course import claims as claiming
from transferlib.course import figures, profiles, reading
from transferlib.course.facts import Condition
from transferlib.course.intervals import Interval
from transferlib.course.printing import ends, number
from transferlib.errors import UserError, needs
from transferlib.runs import provenance, record
from transferlib.runs.files import write

T = TypeVar("T")


@dataclass
class Run:
    """One execution of one chapter: its settings, and what it has measured so far."""

    chapter: str
    profile: str
    seed: int
    device: str
    data_root: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    claims: list[claiming.Claim] = field(default_factory=list)
    conditions: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.time)

    @property
    def folder(self) -> Path:
        """Where this run writes: figures, metrics, provenance, and what a chapter keeps."""
        return _build()

    def pick(self, *, smoke: T, cpu: T, gpu: T | None = None) -> T:
        """The value of a setting in this run's profile."""
        return profiles.pick(self.profile, smoke=smoke, cpu=cpu, gpu=gpu)

    def value(
        self, name: str, value: Interval | float | int | str, unit: str = "", scale: float = 1, digits: int = 1,
        condition: Condition | None = None,
    ) -> None:  # fmt: skip
        """Record a measured value and make it readable in the prose as ``{glue:text}`name```.

        An interval also gives ``name_interval``: the two ends. ``scale`` multiplies (100 for percent). With a
        ``condition`` the build checks that no other chapter measured another number under the same one.
        Raises ``UserError`` when the name is taken: a second value would silently replace the first.
        """
        if name in self.metrics:
            raise UserError(f"Chapter {self.chapter}: the value {name!r} is recorded twice; give it another name.")
        if condition is not None:
            self.conditions[name] = condition.words()
        unit = f"\u00a0{unit}" if unit else ""
        if isinstance(value, Interval):
            value = value.scaled(scale)
            self.metrics[name] = dict(value._asdict())
            _glue(name, f"{number(value.mean, digits)}{unit}")
            _glue(f"{name}_interval", f"{ends(value, digits)}{unit}")
        elif isinstance(value, str):
            self.metrics[name] = value
            _glue(name, value)
        else:
            self.metrics[name] = value * scale
            digits = 0 if isinstance(value, int) else digits
            _glue(name, f"{number(value * scale, digits)}{unit}")

    def claim(
        self, id: str, statement: str, value: Interval, *, above: float | None = None, below: float | None = None,
        unit: str = "", where: str = "", digits: int = 1,
    ) -> Any:  # fmt: skip
        """Check a statement (see :func:`claims.check_claim`) and return its box; smoke runs do not judge."""
        return self._boxed(
            claiming.check_claim(
                id, statement, value, above=above, below=below, unit=unit, where=where, digits=digits,
                checked=self.profile != "smoke",
            )
        )  # fmt: skip

    def null(
        self, id: str, statement: str, value: Interval, *, unit: str = "", where: str = "", digits: int = 1
    ) -> Any:
        """Say that no difference was seen, and how large one could have been (see :func:`claims.check_null`)."""
        checked = self.profile != "smoke"
        return self._boxed(
            claiming.check_null(id, statement, value, unit=unit, where=where, digits=digits, checked=checked)
        )

    def fact(
        self, id: str, statement: str, value: float, holds: bool, *, unit: str = "", where: str = "", digits: int = 0
    ) -> Any:
        """A count or an identity, without an interval (see :func:`claims.check_fact`)."""
        checked = self.profile != "smoke"
        return self._boxed(
            claiming.check_fact(id, statement, value, holds, unit=unit, where=where, digits=digits, checked=checked)
        )

    def _boxed(self, claim: claiming.Claim) -> Any:
        needs("IPython", "book", "A claim's box")
        from IPython.display import HTML

        if any(known.id == claim.id for known in self.claims):
            raise UserError(f"Chapter {self.chapter}: the claim {claim.id!r} is made twice; give it another id.")
        self.claims.append(claim)
        return HTML(claiming.html(claim, self._recorded(claim.id, claim.value.mean)))

    def _recorded(self, id: str, mean: float) -> str:
        """For a learner: whether this run's number lies inside the recorded interval, and whose processor that was."""
        reference = reading.reference(self.chapter) if record.folder() else {}
        known = next((old["value"] for old in reference.get("claims", []) if old["id"] == id), None)
        if known is None or self.profile != reference["profile"]:
            return ""
        return reading.inside(mean, known, reference["provenance"]["processor"])

    def figure(self, figure: Figure, name: str, alt: str, caption: str = "") -> Any:
        """Show a figure, and keep it as ``figures/NN-name.svg`` beside the metrics."""
        write(_build() / "figures" / f"{self.chapter}-{name}.svg", figures.standalone(figure, alt))
        return figures.show(figure, alt, name=name, caption=caption)

    def save(self, widget: dict[str, Any] | None = None) -> str:
        """Write the metrics, which the same seed repeats byte for byte, and the provenance, which it does not."""
        if widget is not None:
            self.metrics["widget"] = widget
        head = {"chapter": self.chapter, "profile": self.profile, "seed": self.seed, "device": self.device}
        body = {**head, "claims": [claim.as_dict() for claim in self.claims], "metrics": self.metrics}
        body |= {"conditions": self.conditions} if self.conditions else {}
        write(_build() / "metrics" / f"{self.chapter}.json", json.dumps(_plain(body), indent=1, sort_keys=True) + "\n")
        wall = round(time.time() - self.started, 1)
        facts: dict[str, Any] = {
            **head,
            "wall_seconds": wall,
            "finished": int(time.time()),
            **provenance.facts(),
            **_cost(),
        }
        facts["sweeps"] = sorted(record.NOTED)
        write(_build() / "provenance" / f"{self.chapter}.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")
        odd = [f"{claim.id!r} {claim.verdict}" for claim in self.claims if claim.verdict in ("weaker", "contradicted")]
        told = f"{len(self.claims)} claims" + (f", of which {', '.join(odd)}" if odd else "")
        outside = reading.outside(self.metrics, self.chapter, self.profile) if record.folder() else ""
        return Said(
            f"Chapter {self.chapter}, profile {self.profile}, seed {self.seed}: {len(self.metrics)} values, {told}."
            f"{outside}"
        )


class Said(str):
    """A sentence that a page shows as prose: without its marks, and broken into lines."""

    def _repr_html_(self) -> str:
        return f'<p class="hs-fine">{escape(self)}</p>'


def begin(chapter: str, profile: str, seed: int, device: str, data_root: str = "") -> Run:
    """Check the parameters, seed every generator, and start recording.

    Raises ``UserError`` for an unknown profile or device, and for a seed that is not a whole number.
    """
    import random

    import numpy as np
    import torch

    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"SEED={seed!r} is not a seed: use a whole number from 0.")
    run = Run(chapter, profiles.check_profile(profile), seed, profiles.check_device(device), data_root)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # one thread: sums keep their order, so the same seed gives the same bytes
    return run


def _cost() -> dict[str, float]:
    """Processor seconds and the largest memory (MB) of this chapter and its workers, and how many results were kept."""
    import resource

    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)  # the system counts a worker once it has ended
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = sum(use.ru_utime + use.ru_stime for use in (own, workers))
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    memory = max(own.ru_maxrss, workers.ru_maxrss) / unit
    return {"processor_seconds": round(seconds, 1), "peak_memory_mb": round(memory), **record.COUNTS}


def _build() -> Path:
    # make sets the folder; a chapter run by hand must not overwrite what the book was built from.
    return Path(os.environ.get("TRANSFERLIB_BUILD") or Path(__file__).parents[2] / "build" / "by-hand")


def _glue(name: str, text: str) -> None:
    try:
        from myst_nb import glue
    except ImportError:  # the package works without the book
        return
    glue(name, _Text(text), display=False)


class _Text(str):
    """Text whose representation is itself, so that the book prints no quotes.

    A text that is also a Python literal keeps them: the book evaluates it, and would print ``2,304`` as a pair.
    """

    def __repr__(self) -> str:
        try:
            literal_eval(self)
        except (SyntaxError, ValueError):
            return str(self)
        return super().__repr__()


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become None, numbers keep 12 digits."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.12g}") if math.isfinite(value) else None
    return value
