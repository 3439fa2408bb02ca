"""A report in this process: everything from the data to the page, in the order in which it happens."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from transferlib.course import chapter
from transferlib.course.intervals import Interval
from transferlib.datasets.collection import collect
from transferlib.errors import UserError
from transferlib.own_data.checks import check
from transferlib.own_data.choice import choose
from transferlib.own_data.compare import compare, keep
from transferlib.own_data.draws import draw, effort
from transferlib.own_data.machine import without_processes
from transferlib.own_data.mistakes import mistakes
from transferlib.own_data.model_card import model_card
from transferlib.own_data.page import page
from transferlib.own_data.saved import load_model
from transferlib.own_data.scan import fitting_size, scan
from transferlib.own_data.sections import answered, sections
from transferlib.own_data.summary import measured, prices_table
from transferlib.own_data.survey import survey
from transferlib.own_data.thresholds import cost_matrix
from transferlib.runs import record
from transferlib.runs.files import write as replace


def write(
    data: str, place: str, profile: str, seed: int, device: str, columns: Mapping[str, str] | None = None,
    encoding: str = "", notes: Sequence[str] = (), cost: str = "",
) -> None:  # fmt: skip
    """The report in this process; ``TRANSFERLIB_BUILD`` is ``place``."""
    if notes:
        without_processes()
    run, folder = chapter.begin("15", profile, seed, device), Path(place)
    found = survey(collect(data, columns=columns, encoding=encoding).noted(*notes))
    checked = check(scan(found, size=fitting_size(found), device=device, progress=True), progress=True)
    _costs_of(cost, checked.scan.found.classes)
    spend = effort(profile, found.kind, seed)
    compared = compare(checked, draw(checked, **spend), spend["steps"], device)
    choice = choose(compared)
    way = choice.decision.strategy
    wrong, prices = mistakes(compared, way, seed), prices_table(checked, compared, choice, seed)
    learned = keep(checked, compared.draws, way, folder / "model", temperature=wrong.factor, seed=seed,
                   steps=spend["steps"], device=device)  # fmt: skip
    backbone = str(load_model(folder / "model").about["backbone"])
    card = model_card(Path(data).name, checked, compared, choice, wrong, learned, seed, backbone)
    replace(folder / "model" / "MODEL_CARD.md", card.encode("utf-8", "backslashreplace"))
    for name, value, _ in measured(checked, compared, choice, wrong):
        run.metrics[name] = dict(value._asdict()) if isinstance(value, Interval) else value
    for way, row in prices.iterrows():
        run.metrics[f"{way}_cost"] = ", ".join(f"{what} {value}" for what, value in row.items())
    run.save()
    for key in record.NOTED:  # what a sweep leaves for the book's record is of the book's data
        (folder / "sweeps" / f"{key}.npz").unlink(missing_ok=True)
    for kind in ("metrics", "provenance"):
        (folder / kind / "15.json").replace(folder / f"{kind}.json")
    for kind in ("metrics", "provenance", "sweeps"):
        with suppress(OSError):  # a folder that holds other things stays
            (folder / kind).rmdir()
    parts = sections(checked, compared, choice, wrong, prices, learned, folder, cost)
    replace(folder / "report.html", page(Path(data).name, answered(compared, choice), parts))


def _costs_of(cost: str, classes: Sequence[str]) -> None:
    """Before anything is trained: a class with a stated cost may have been left out by the check."""
    try:
        cost_matrix(cost, classes)
    except UserError as error:
        left = "A class that is too small was left out after reading: run it without --cost to see which and why."
        raise UserError(f"{error} {left}") from None
