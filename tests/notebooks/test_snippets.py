"""``Do it``: the lines a reader would type at work run as they stand, without transferlib."""

import ast
import re
from pathlib import Path

import pytest
from PIL import Image

from transferlib.backbones.images import packaged_state_dict
from transferlib.datasets.budgets import nested_subset
from transferlib.datasets.named import load

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^## Do it\n(.*?)(?=^## )", re.DOTALL | re.MULTILINE)
SECOND_EDITION = ("01_head_start", "04_watch_out")  # grows with each chapter


def snippet(name: str) -> str:
    """The Python of a chapter's section ``Do it``."""
    section = BLOCK.search((ROOT / "notebooks" / f"{name}.md").read_text(encoding="utf-8"))
    assert section, f"{name} has no section 'Do it'"
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```", section.group(1), re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("name", SECOND_EDITION)
def test_a_snippet_is_short_and_needs_no_transferlib(name: str) -> None:
    code = snippet(name)
    assert 0 < sum(bool(line.strip()) for line in code.splitlines()) <= 15
    assert "transferlib" not in code


def test_the_probe_of_chapter_01_runs_on_folders_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import timm

    for split in ("train", "test"):
        data = load("fashion-mnist", split)
        for i in nested_subset(data.y, 6, 0).tolist():
            if data.y[i] in (0, 9):  # shirts and boots
                place = tmp_path / "photos" / split / str(int(data.y[i]))
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(data.x[i, 0].numpy()).save(place / f"{i}.png")
    create = timm.create_model

    def packaged(name: str, pretrained: bool = False, **options: object) -> object:
        model = create(name, pretrained=False, **options)
        if pretrained:  # the hub's weights, from the package that ships them
            model.load_state_dict(packaged_state_dict("efficientnet-lite0", name))
        return model

    monkeypatch.setattr(timm, "create_model", packaged)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet("01_head_start"), "do it", "exec"), {"__name__": "__main__"})
    told = re.search(r"right on new photographs: (\d+)%", capsys.readouterr().out)
    assert told and int(told.group(1)) >= 75


def test_the_search_of_chapter_04_names_the_planted_twins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import timm

    for split, style in (("train", "twemoji"), ("test", "noto")):
        data = load("emoji", "test", style=style, label="group")
        for i in range(24):
            place = tmp_path / "photos" / split / "thing"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data.x[8 * i].permute(1, 2, 0).numpy()).save(place / f"{i:02}.png")
    create = timm.create_model

    def packaged(name: str, pretrained: bool = False, **options: object) -> object:
        model = create(name, pretrained=False, **options)
        if pretrained:
            model.load_state_dict(packaged_state_dict("efficientnet-lite0", name, head=True))
        return model

    monkeypatch.setattr(timm, "create_model", packaged)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet("04_watch_out"), "do it", "exec"), {"__name__": "__main__"})
    pairs = ast.literal_eval(capsys.readouterr().out)
    assert len(pairs) == 20 and sum(i == j for i, j in pairs) >= 12  # the same thing, drawn by another vendor
