"""The folder that chapter 15 makes for its report: whole or not there, because several processes ask for it."""

from pathlib import Path

import jupytext
import pandas as pd
import pytest

CHAPTER = Path(__file__).resolve().parents[2] / "notebooks" / "15_your_own_data.md"


def test_a_killed_run_leaves_no_half_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))
    cells = [cell.source for cell in jupytext.read(CHAPTER).cells if cell.cell_type == "code"]
    names = {"PROFILE": "smoke"}
    for source in [source for source in cells if "KINDS, THINGS =" in source or "def example()" in source]:
        exec(compile(source, "chapter 15", "exec"), names)
    write = pd.DataFrame.to_csv
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):  # the pictures are written by now, the table is not
        names["example"]()
    assert not list((tmp_path / "example").glob("emoji-*"))
    monkeypatch.setattr(pd.DataFrame, "to_csv", write)
    table = names["example"]()
    rows = pd.read_csv(table)
    assert len(rows) > 50 and set(rows["file"]) == {file.name for file in table.parent.iterdir()} - {"emoji.csv"}
    before = table.stat().st_mtime_ns
    assert names["example"]().stat().st_mtime_ns == before  # who comes later writes nothing
