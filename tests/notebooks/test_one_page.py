"""The page that tells everything: its snippets run as they stand, and its numbers are claims that chapters make."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "one-page.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
PROBE, FINE_TUNE, LORA, BY_LAYER, EWC = SNIPPETS


def run(code: str, space: dict[str, Any]) -> dict[str, Any]:
    exec(compile(code, "one page", "exec"), space)
    return space


def test_no_snippet_needs_transferlib() -> None:
    assert not any("transferlib" in code for code in SNIPPETS)


def test_the_probe_trains_its_head_fine_tuning_goes_on_and_layers_get_falling_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    def untrained(weights: str) -> torch.nn.Module:
        assert weights == "DEFAULT"
        return resnet50(weights=None)  # the hub is out of reach here: the same network with random weights

    resnet50 = torchvision.models.resnet50
    monkeypatch.setattr(torchvision.models, "resnet50", untrained)
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("boot", "boot", "coat")):
        (tmp_path / "photos" / "train" / name).mkdir(parents=True, exist_ok=True)
        shade = np.full((40, 40, 3), 80 * i, dtype=np.uint8)
        Image.fromarray(shade).save(tmp_path / "photos" / "train" / name / f"{i}.png")

    torch.manual_seed(0)
    space = run(PROBE, {})
    model = space["model"]
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"fc.weight", "fc.bias"}
    assert model.fc.weight.shape == (2, 2048) and not model.training

    before = {name: t.clone() for name, t in model.state_dict().items()}
    run(FINE_TUNE, space)
    after = model.state_dict()
    assert all(torch.equal(after[n], t) == ("running" in n or "tracked" in n) for n, t in before.items())
    assert [group["lr"] for group in space["optimiser"].param_groups] == [1e-3, 1e-4]

    groups = run(BY_LAYER, space)["optimiser"].param_groups
    assert [group["lr"] for group in groups] == [1e-3 / 2**k for k in range(6)]
    moved = [p for group in groups for p in group["params"]]
    assert len(moved) == len(set(moved)) == len(list(model.parameters()))


def test_the_lora_learns_and_saves_the_correction_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer, BatchEncoding, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = LlamaConfig(
        vocab_size=128, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(sizes)
    before = {name: p.clone() for name, p in model.named_parameters()}

    def letters(text: str, return_tensors: str) -> BatchEncoding:
        return BatchEncoding({"input_ids": [[ord(letter) for letter in text]]}, tensor_type=return_tensors)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda name: letters)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda name: model)
    (tmp_path / "texts.txt").write_text("A coat is warm.\nA boot has a sole.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    run("import torch\n" + LORA, {})
    saved = load_file(tmp_path / "my-lora" / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == 2 * 2 * 8 * (16 + 16)  # layers, matrices, rank, widths
    assert all(torch.count_nonzero(tensor) for name, tensor in saved.items() if "lora_B" in name), "B moved"
    now = {name.replace(".base_layer", ""): p for name, p in model.named_parameters() if "lora_" not in name}
    assert all(torch.equal(now[name], p) for name, p in before.items()), "and nothing else"


def test_the_springs_are_the_penalty_of_the_package_on_the_fisher_of_the_formula() -> None:
    from transferlib.continual import penalties

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 4)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    examples = [(torch.randn(1, 3), None) for _ in range(5)]
    new = [(torch.randn(6, 3), torch.randint(4, (6,)))] * 2
    space: dict[str, Any] = {
        "torch": torch, "cross_entropy": torch.nn.functional.cross_entropy, "model": model, "old_examples": examples,
        "loader": new, "lam": 7.0, "optimiser": torch.optim.SGD(model.parameters(), lr=0.1),
    }  # fmt: skip
    torch.manual_seed(1)
    run(EWC, space)

    torch.manual_seed(1)  # the same answers are drawn; the gradient of a linear layer is (p − one-hot) xᵀ
    expected = torch.zeros(4, 3)
    for x, _ in examples:
        p = (x @ start["weight"].T + start["bias"]).softmax(1)
        answer = torch.multinomial(p, 1)[:, 0]
        error = p[0] - torch.nn.functional.one_hot(answer[0], 4)
        expected += torch.outer(error, x[0]).square() / 5
    assert torch.allclose(space["fisher"]["weight"], expected, atol=1e-6)

    # The last loss was taken after one step: step once from the start, and add the package's penalty.
    twin = torch.nn.Linear(3, 4)
    twin.load_state_dict(start)
    penalty = penalties.EWC(twin, space["fisher"], start, lam=7.0)
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.1)
    for x, y in new:
        loss = torch.nn.functional.cross_entropy(twin(x), y) + penalty.penalty(twin)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert penalty.penalty(twin) > 0 and loss.item() == pytest.approx(space["loss"].item(), rel=1e-5)


NUMBER = re.compile(r"\{number\}`(\d\d) ([\w-]+)`")
GUIDE = (ROOT / "book" / "decision-guide.md").read_text(encoding="utf-8")


def kept(chapter: str) -> dict[str, str]:
    """The claims of a chapter's reference run and their verdicts."""
    claims = json.loads((ROOT / "book" / "reference" / f"{chapter}.json").read_text(encoding="utf-8"))["claims"]
    return {claim["id"]: claim["verdict"] for claim in claims}


@pytest.mark.parametrize("page", [PAGE, GUIDE], ids=["one-page", "decision-guide"])
def test_each_number_of_a_page_is_a_claim_that_its_chapter_makes_and_that_holds(page: str) -> None:
    numbers = NUMBER.findall(page)
    assert len(numbers) >= 20
    verdicts = {f"{chapter} {key}": kept(chapter).get(key) for chapter, key in numbers}
    assert not {name: verdict for name, verdict in verdicts.items() if verdict not in ("holds", "null", "fact")}


def test_each_answer_of_the_decision_guide_rests_on_a_claim_or_says_that_it_is_advice() -> None:
    answers = re.findall(r"^: (.*)$", GUIDE, re.MULTILINE)
    assert len(answers) >= 18
    assert not [answer for answer in answers if not NUMBER.search(answer) and "*Advice*" not in answer]
