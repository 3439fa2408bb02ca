"""The counter behind `make flops`, on layers whose arithmetic is known."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import flops


def counted(*layers: nn.Module, x: torch.Tensor, back: bool) -> int:
    with flops.Count() as counter, torch.inference_mode(not back):
        out = nn.Sequential(*layers)(x)
        if back:
            out.sum().backward()
    return counter.total


def test_a_linear_layer_and_its_way_back():
    x = torch.randn(5, 7, requires_grad=True)
    one_way = 2 * 5 * 7 * 3
    assert counted(nn.Linear(7, 3), x=x, back=False) == one_way
    assert counted(nn.Linear(7, 3), x=x, back=True) == 3 * one_way  # the input's gradient and the weight's


def test_a_convolution_and_nothing_for_what_is_not_a_product():
    one_way = 2 * (2 * 8 * 6 * 6) * (3 * 3 * 3)  # (N · out · height · width) outputs, each a sum over in · 3 · 3
    x = torch.randn(2, 3, 8, 8)
    assert counted(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Softmax(1), x=x, back=False) == one_way
    assert counted(nn.Conv2d(3, 8, 3), x=x, back=True) == 2 * one_way  # the images need no gradient


def test_a_kernel_writes_what_it_has_counted_after_each_cell(tmp_path):
    called = []
    shell = SimpleNamespace(user_ns={}, events=SimpleNamespace(register=lambda _, f: called.append(f)))
    mode = flops.begin(shell, tmp_path)
    try:
        torch.ones(2, 3) @ torch.ones(3, 4)
        called[0]()
        assert not list(tmp_path.iterdir())  # no chapter has begun
        shell.user_ns["run"] = SimpleNamespace(chapter="07")
        called[0]()
        (written,) = tmp_path.iterdir()
        assert json.loads(written.read_text()) == {"chapter": "07", "flops": 2 * 2 * 3 * 4}
    finally:
        mode.__exit__(None, None, None)
