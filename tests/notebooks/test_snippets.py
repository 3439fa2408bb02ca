"""``Do it``: the lines a reader would type at work run as they stand, without transferlib."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_folders import made
from PIL import Image

from transferlib.backbones.images import packaged_state_dict
from transferlib.datasets.budgets import nested_subset
from transferlib.datasets.named import load

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^## Do it\n(.*?)(?=^## )", re.DOTALL | re.MULTILINE)
SECOND_EDITION = (
    "01_head_start",
    "02_why_it_works",
    "03_probe_or_fine_tune",
    "04_watch_out",
    "05_domain_gap",
    "06_lora",
    "07_adapters_prompts",
    "08_without_forgetting",
    "09_foundation_models",
    "10_continual",
    "11_in_the_prompt",
    "12_many_tasks",
    "13_meta",
    "14_preferences",
    "15_your_own_data",
)  # grows with each chapter


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


def packaged_weights(monkeypatch: pytest.MonkeyPatch, head: bool = False, new: set[str] | None = None) -> list[Any]:
    """timm's hub weights from the package that ships them, all but the ``new`` ones; the models that got them."""
    import timm

    create, made = timm.create_model, []

    def packaged(name: str, pretrained: bool = False, **options: object) -> object:
        model = create(name, pretrained=False, **options)
        if pretrained:
            weights = packaged_state_dict("efficientnet-lite0", name, head=head)
            missing, unexpected = model.load_state_dict(weights, strict=False)
            assert set(missing) == (new or set()) and (options.get("features_only") or not unexpected)
            made.append(model)
        return model

    monkeypatch.setattr(timm, "create_model", packaged)
    return made


def folders_of_clothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shirts and boots in photos/train and photos/test, and timm's weights without a hub."""
    for split in ("train", "test"):
        data = load("fashion-mnist", split)
        for i in nested_subset(data.y, 6, 0).tolist():
            if data.y[i] in (0, 9):
                place = tmp_path / "photos" / split / str(int(data.y[i]))
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(data.x[i, 0].numpy()).save(place / f"{i}.png")
    packaged_weights(monkeypatch)
    monkeypatch.chdir(tmp_path)


def test_the_probe_of_chapter_01_runs_on_folders_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders_of_clothing(tmp_path, monkeypatch)
    exec(compile(snippet("01_head_start"), "do it", "exec"), {"__name__": "__main__"})
    told = re.search(r"right on new photographs: (\d+)%", capsys.readouterr().out)
    assert told and int(told.group(1)) >= 75


def test_the_snippet_of_chapter_03_starts_at_the_probe_and_moves_body_and_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    data = load("emoji", "train", style="noto", label="group")
    rows = torch.cat([(data.y == c).nonzero()[:8, 0] for c in (2, 6, 10)])  # faces, sweets, clocks
    x = torch.nn.functional.interpolate(data.x[rows].float() / 127.5 - 1, 48)
    y = torch.tensor([0, 1, 2]).repeat_interleave(8)
    torch.save((x, y), tmp_path / "photos.pt")
    adam = torch.optim.AdamW
    made = packaged_weights(monkeypatch, new={"classifier.weight", "classifier.bias"})
    found: dict[str, Any] = {}

    def noticed(groups: list[dict[str, object]]) -> object:
        found["start"] = float((made[-1](x).argmax(1) == y).float().mean())
        found["before"] = {k: v.clone() for k, v in made[-1].state_dict().items()}
        assert len({group["lr"] for group in groups}) == 2
        return adam(groups)

    monkeypatch.setattr(torch.optim, "AdamW", noticed)
    monkeypatch.chdir(tmp_path)
    short = snippet("03_probe_or_fine_tune").replace("(60, 32)", "(2, 8)")
    exec(compile(short, "do it", "exec"), {"__name__": "__main__"})
    after, before = made[-1].state_dict(), found["before"]
    assert found["start"] == 1.0
    assert all(torch.equal(after[name], v) == ("running" in name or "tracked" in name) for name, v in before.items())


def test_the_stages_of_chapter_02_are_scored_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders_of_clothing(tmp_path, monkeypatch)
    exec(compile(snippet("02_why_it_works"), "do it", "exec"), {"__name__": "__main__"})
    scores = re.findall(r"stage (\d): (\d+)% right on held-out", capsys.readouterr().out)
    assert [stage for stage, _ in scores] == list("01234")
    assert max(int(score) for _, score in scores) >= 75


def test_the_search_of_chapter_04_names_the_planted_twins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, style in (("train", "twemoji"), ("test", "noto")):
        data = load("emoji", "test", style=style, label="group")
        for i in range(24):
            place = tmp_path / "photos" / split / "thing"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data.x[8 * i].permute(1, 2, 0).numpy()).save(place / f"{i:02}.png")
    packaged_weights(monkeypatch, head=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet("04_watch_out"), "do it", "exec"), {"__name__": "__main__"})
    pairs = ast.literal_eval(capsys.readouterr().out)
    assert len(pairs) == 20 and sum(i == j for i, j in pairs) >= 12  # the same thing, drawn by another vendor


def test_the_lines_of_chapter_05_find_new_shares_and_see_a_new_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)

    def told(share: float, step: float) -> tuple[int, list[float], dict[str, object]]:
        """Two Gaussian classes two apart; in the target ``share`` of the second, and ``step`` to the right."""
        y, truth = (rng.random(n) < s for n, s in ((1500, 0.5), (1500, share)))
        x, away = (np.stack([2 * c, 0 * c], 1) + rng.normal(size=(len(c), 2)) for c in (y, truth))
        away[:, 1] += step
        for name, values in (("source", x), ("labels", y.astype(int)), ("target", away)):
            np.save(f"{name}.npy", values)
        space: dict[str, object] = {"__name__": "__main__"}
        exec(compile(snippet("05_domain_gap"), "do it", "exec"), space)
        text = capsys.readouterr().out
        shares = re.search(r"shares: \[([\d. ]+)\]", text)
        apart = re.search(r"told apart: (\d+)%", text)
        assert shares and apart
        return int(apart.group(1)), [float(s) for s in shares.group(1).split()], space

    apart, shares, _ = told(share=0.85, step=0.0)
    assert apart < 70 and abs(shares[1] - 0.85) < 0.05
    apart, _, space = told(share=0.5, step=4.0)
    assert apart > 90
    assert np.allclose(space["x"].mean(0) - space["x"].mean(0) + space["away"].mean(0), space["away"].mean(0))
    assert space["moved"].score(space["away"], space["joint"].argmax(1)) > 0.8


def test_the_lora_of_chapter_06_learns_and_saves_a_small_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from transferlib.backbones.texts import language_model

    model, tokenizer = language_model()
    loads = {AutoModelForCausalLM: model, AutoTokenizer: tokenizer}  # the hub's model, from the package that ships it
    for cls, loaded in loads.items():
        monkeypatch.setattr(cls, "from_pretrained", lambda name, loaded=loaded: loaded)
    (tmp_path / "texts.txt").write_text("A coat is warm.\nA boot has a sole.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet("06_lora"), "do it", "exec"), {"__name__": "__main__"})
    assert "trainable params: 460,800" in capsys.readouterr().out
    saved = load_file(tmp_path / "my-lora" / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == 460_800
    assert all(torch.count_nonzero(tensor) for name, tensor in saved.items() if "lora_B" in name), "B moved"


def test_the_prompt_of_chapter_07_learns_and_is_all_that_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from transferlib.backbones.texts import language_model

    model, tokenizer = language_model()
    loads = {AutoModelForCausalLM: model, AutoTokenizer: tokenizer}  # the hub's model, from the package that ships it
    for cls, loaded in loads.items():
        monkeypatch.setattr(cls, "from_pretrained", lambda name, loaded=loaded: loaded)
    (tmp_path / "texts.txt").write_text("A coat is warm.\nA boot has a sole.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__main__"}
    before = model.get_input_embeddings().weight.detach().clone()
    started: list[torch.Tensor] = []
    adam = torch.optim.AdamW

    def noticed(parameters: Any, lr: float) -> Any:
        moving = [p for p in parameters if p.requires_grad]
        started.extend(p.detach().clone() for p in moving)
        return adam(moving, lr=lr)

    monkeypatch.setattr(torch.optim, "AdamW", noticed)
    exec(compile(snippet("07_adapters_prompts"), "do it", "exec"), space)
    assert "trainable params: 5,760" in capsys.readouterr().out
    saved = load_file(tmp_path / "my-prompt" / "adapter_model.safetensors")
    assert [tuple(tensor.shape) for tensor in saved.values()] == [(10, 576)]
    assert not torch.equal(saved["prompt_embeddings"], started[0]), "the prompt moved"
    assert torch.equal(model.get_input_embeddings().weight, before), "the model did not"


def test_the_lines_of_chapter_15_tell_a_better_network_from_an_equal_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transferlib.own_data.decision import resampled

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    small = rng.normal(size=(120, 6)) + 0.5 * y[:, None]

    def told(large: Any) -> tuple[float, float, float, dict[str, Any]]:
        np.savez("features.npz", y=y, groups=np.arange(120) // 2, small=small, large=large)
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(snippet("15_your_own_data"), "do it", "exec"), space)
        words = re.search(r"large minus small: (\S+), between (\S+) and (\S+)", capsys.readouterr().out)
        assert words
        mean, low, high = map(float, words.groups())
        return mean, low, high, space

    mean, low, high, _ = told(small + 3 * y[:, None])
    assert low > 0 and mean > 5
    mean, low, high, space = told(small + 0.2 * rng.normal(size=small.shape))
    assert low < 0 < high
    ours = resampled(space["gap"], len(space["test"]) / len(space["train"]))
    assert (mean, low, high) == pytest.approx((ours.mean, ours.low, ours.high), abs=0.051)


def test_the_class_means_of_chapter_13_run_on_three_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load("fashion-mnist", "test")
    for folder, classes, count in (("archive", (1, 5, 8), 3), ("support", (0, 9), 1), ("query", (0, 9), 6)):
        for i in nested_subset(data.y, 8, 0).tolist():
            place = tmp_path / folder / str(int(data.y[i]))
            place.mkdir(parents=True, exist_ok=True) if int(data.y[i]) in classes else None
            if place.is_dir() and len(list(place.iterdir())) < count:
                Image.fromarray(data.x[i, 0].numpy()).save(place / f"{i}.png")
    packaged_weights(monkeypatch)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet("13_meta"), "do it", "exec"), {"__name__": "__main__"})
    told = re.search(r"right: (\d+)%", capsys.readouterr().out)
    assert told and int(told.group(1)) >= 80  # shirts and boots, one of each shown


def test_the_names_and_the_probe_of_chapter_09_run_on_a_folder_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModel, AutoProcessor

    clip = made("clip", tmp_path / "clip")
    for cls in (AutoModel, AutoProcessor):
        load_it = cls.from_pretrained
        monkeypatch.setattr(cls, "from_pretrained", lambda name, load_it=load_it: load_it(clip))
    for kind, grey in (("boot", 40), ("cat", 220)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(6):
            noise = np.random.default_rng(i).integers(0, 30, (40, 32, 3))
            Image.fromarray((grey + noise).astype(np.uint8)).save(tmp_path / "photos" / kind / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(snippet("09_foundation_models"), "do it", "exec"), space)
    assert len(space["called"]) == 12 and set(space["called"]) <= {"boot", "cat"}
    assert list(space["probe"].predict(space["out"].image_embeds)) == space["y"]


@pytest.mark.parametrize("kind", ["clip", "vit", "bert"])
def test_the_three_steps_of_chapter_09_run_on_any_kind_of_folder(kind: str, tmp_path: Path) -> None:
    import torch

    text = (ROOT / "notebooks" / "09_foundation_models.md").read_text(encoding="utf-8")
    section = text.partition(":title: The same three steps")[2].partition("{depth-end}")[0]
    steps = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert len(steps) == 3
    y = torch.arange(20) % 2
    photos = (torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 60).byte() + (150 * y).byte()[
        :, None, None, None
    ]
    texts = [f"{'a dog' if c else 'photo of a boot'}{' of' * (i % 3)}" for i, c in enumerate(y.tolist())]
    x: Any = texts if kind == "bert" else photos
    space = {"name": made(kind, tmp_path), "reads_pictures": kind != "bert", "class_names": ["boot", "dog"],
             "train_x": x, "test_x": x, "train_y": y, "test_y": y}  # fmt: skip
    for step in steps if kind == "clip" else steps[:2]:
        exec(compile(step, "step", "exec"), space)
    assert space["accuracy"].shape == (20, 3) and space["accuracy"][:, -1].mean() > 0.9
    assert kind != "clip" or space["called"].shape == (20,)


def test_the_spring_of_chapter_08_measures_the_fisher_and_keeps_what_the_old_job_minds() -> None:
    import torch

    from transferlib.continual.fisher import fisher

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    x = torch.randn(400, 3) * torch.tensor([2.0, 1.0, 0.0])  # the old job never sees the third input
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    exact = fisher(model, x)
    far = torch.tensor([[1.0, 1.0, 1.0]])

    def loss_new(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return (model(far) - 3).square().sum()

    space: dict[str, Any] = {"model": model, "old": x, "new": range(500), "loss_new": loss_new}
    exec(compile(snippet("08_without_forgetting"), "do it", "exec"), space)
    drawn = torch.cat([f.flatten() for f in space["stiff"].values()])
    torch.testing.assert_close(drawn, torch.cat([f.flatten() for f in exact.values()]), rtol=0.3, atol=0.02)
    away = (model.weight - before["weight"]).abs()
    assert away[:, 2].min() > 5 * away[:, 0].max(), "the weights that the old job does not mind are free"


def test_the_class_means_of_chapter_10_name_clothing_of_two_months(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    for split, month, classes in (("train", "january", (0, 9)), ("train", "february", (1, 5)), ("test", "new", ())):
        data = load("fashion-mnist", split)
        for i in nested_subset(data.y, 6, 0).tolist():
            if int(data.y[i]) in (classes or (0, 1, 5, 9)):
                place = tmp_path / month / f"class {int(data.y[i])}"
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(data.x[i, 0].numpy()).save(place / f"{i}.png")
    packaged_weights(monkeypatch)
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(snippet("10_continual"), "do it", "exec"), space)
    means = torch.load("means.pt")
    assert list(means) == ["class 0", "class 9", "class 1", "class 5"]
    photos = space["ImageFolder"]("new", space["prepare"])
    with torch.inference_mode():
        x = torch.stack([space["backbone"](photo[None])[0] for photo, _ in photos])
    nearest = torch.cdist(x, torch.stack(list(means.values()))).argmin(1)
    said = [list(means)[i] for i in nearest.tolist()]
    assert np.mean([name == photos.classes[c] for name, (_, c) in zip(said, photos, strict=True)]) >= 0.75


def test_the_two_heads_of_chapter_12_learn_on_one_trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.manual_seed(0)
    x = torch.randn(300, 20)
    kind, ink = (x[:, 0] > 0).long(), x[:, 1] + x[:, 2]
    torch.save((x, kind, ink / ink.std()), tmp_path / "features.pt")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(snippet("12_many_tasks"), "do it", "exec"), space)
    with torch.inference_mode():
        said = space["heads"]["kind"](space["trunk"](x)).argmax(1)
    assert (said == kind).float().mean() > 0.95 and float(space["second"].detach()) < 0.5


def test_the_snippet_of_chapter_11_answers_as_it_is_and_with_the_bias_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    import transformers

    from transferlib.backbones.texts import language_model
    from transferlib.incontext.calibration import batch
    from transferlib.incontext.prefixes import score_after

    model, tokenizer = language_model("smollm2-135m")
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda name: tokenizer)
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda name: model)
    exec(compile(snippet("11_in_the_prompt"), "do it", "exec"), {"__name__": "__main__"})
    told = re.findall(r"tensor\(\[([01, ]+)\]\)", capsys.readouterr().out)
    asked = [f"{word} ->" for word in ("cheese", "hammer", "soup", "ladder")]
    scores = score_after(model, tokenizer, "bread -> food\nchair -> object\n", asked, [" food", " object"])
    wanted = (scores.argmax(1), batch(scores).argmax(1))
    found = [torch.tensor([int(n) for n in line.split(",")]) for line in told]
    assert len(found) == 2 and all(one.equal(other) for one, other in zip(found, wanted, strict=True))


def test_the_pairs_of_chapter_14_teach_the_chosen_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from transferlib.backbones.texts import language_model
    from transferlib.preference.log_probs import sequence_log_probs

    model, tokenizer = language_model()
    loads = {AutoModelForCausalLM: model, AutoTokenizer: tokenizer}  # the hub's model, from the package that ships it
    for cls, loaded in loads.items():
        monkeypatch.setattr(cls, "from_pretrained", lambda name, loaded=loaded: loaded)
    line = '["Is the jacket waterproof?", " Yes, it is.", " Jackets are many."]\n'
    (tmp_path / "pairs.jsonl").write_text(line * 4, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    losses: list[float] = []
    logsigmoid = torch.nn.functional.logsigmoid

    def noticed(gap: torch.Tensor) -> torch.Tensor:
        losses.append(-float(logsigmoid(gap.detach())))
        return logsigmoid(gap)

    monkeypatch.setattr(torch.nn.functional, "logsigmoid", noticed)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(snippet("14_preferences"), "do it", "exec"), space)
    assert losses[0] == pytest.approx(0.6931, abs=1e-3) and losses[-1] < losses[0]
    prompt, *pair = json.loads(line)
    masked = []  # summed over the answers' tokens alone, as a mask would have it
    with torch.no_grad(), space["model"].disable_adapter():
        for answer in pair:
            ids = tokenizer(prompt + answer, return_tensors="pt").input_ids
            mask = torch.arange(ids.shape[1])[None] >= len(tokenizer(prompt).input_ids)
            masked.append(sequence_log_probs(space["model"](ids).logits, ids, mask.long()))
    assert float(masked[0] - masked[1]) == pytest.approx(float(space["reference"]), abs=1e-3)
