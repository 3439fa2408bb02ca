"""`make replicate`: what its table says of a run, and where each chapter's row comes from."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import replicate


def test_each_chapter_is_counted_and_keeps_the_commit_it_ran_from(tmp_path: Path) -> None:
    runs = {"01": ("aaa", ["holds", "null", "weaker"]), "02": ("bbb", ["holds", "contradicted"])}
    for chapter, (commit, verdicts) in runs.items():
        claims = [{"id": f"{chapter}-{v}", "verdict": v} for v in verdicts]
        bodies = {"metrics": {"chapter": chapter, "claims": claims}, "provenance": {"commit": commit, "processor": "P"}}
        for folder, body in bodies.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{chapter}.json").write_text(json.dumps(body))
    table = replicate.counted(tmp_path)
    assert table["01"] == {
        "holds": ["01-holds", "01-null"],
        "weaker": ["01-weaker"],
        "contradicted": [],
        "commit": "aaa",
        "processor": "P",
    }
    assert table["02"]["commit"] == "bbb"
    assert replicate.printed("seed 7", table)[-1].split() == ["all", "3", "1", "1", "60.0", "%", "hold"]
