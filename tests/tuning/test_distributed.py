"""Two processes on one batch: the same weights as one process, to the last digits of a sum."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from transferlib import fine_tune
from transferlib.errors import UserError
from transferlib.tuning.distributed import joined, own_device, place, share

SCRIPT = """
import sys, torch
from transferlib import fine_tune, fit
from transferlib.tuning.distributed import place
torch.set_num_threads(1)
g = torch.Generator().manual_seed(0)
x, y = torch.randint(0, 256, (13, 3, 32, 32), generator=g, dtype=torch.uint8), torch.arange(13) % 3
model = fine_tune(3, size=32)
history = fit(model, x, y, steps=4, batch_size=5, lr=1e-3, seed=1)
assert place()[1] == int(sys.argv[2]) and isinstance(model.backbone, torch.nn.Module)
if place()[0] == 0:
    torch.save({n: p.detach() for n, p in model.named_parameters()}, sys.argv[1])
"""


def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    (tmp_path / "script.py").write_text(SCRIPT)
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    clean |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    alone = [sys.executable, "script.py", "one.pt", "1"]
    # What ``accelerate launch`` does on a machine with two GPUs; without one it would start a single process.
    team = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29571"]
    team += ["script.py", "two.pt", "2"]
    for words in (alone, team):
        done = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one.pt", "two.pt"))
    assert one.keys() == two.keys()
    start = dict(fine_tune(3, size=32).named_parameters())
    moved = max(float((one[n] - start[n].detach()).abs().max()) for n in one)
    apart = max(float((one[n] - two[n]).abs().max()) for n in one)
    assert apart < 0.2 * moved, (apart, moved)  # Adam turns rounding into steps: broken, they differ by 1.9 times


def test_the_shares_of_a_batch_make_its_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    values, total = torch.arange(7.0) ** 2, 0.0
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        mine, factor = share(values)
        total += factor * float(values[mine].mean()) / 3
    assert total == pytest.approx(float(values.mean()))
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert own_device("cuda") == "cuda:2" and own_device("cpu") == "cpu"
    with pytest.raises(UserError, match="A batch of 2 cannot be shared by 3 processes"):
        share(torch.arange(2))


def test_a_team_of_one_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    model = torch.nn.Linear(2, 2)
    assert own_device("cuda") == "cuda" and own_device("cpu") == "cpu"
    assert place() == (0, 1) and joined(model) is model and share(torch.arange(4)) == (slice(0, None, 1), 1.0)
