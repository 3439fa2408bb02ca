"""How time and memory grow: a probe curve with what it is given, and a whole report with its pictures."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transferlib.backbones.weights import cache_dir
from transferlib.tuning.probes import probe_curve

BASE = {"labels": 32, "seeds": 4, "classes": 10, "width": 512}
STEPS = {
    "labels": [32, 64, 128, 256],
    "seeds": [4, 8, 16, 32],
    "classes": [5, 10, 20, 40],
    "width": [128, 256, 512, 1024],
}
PICTURES = [n for n in (100, 1000, 10_000, 100_000) if n <= int(os.environ.get("LARGEST", "10000"))]


def exponent(x: list[float], y: list[float]) -> float:
    """The slope in a picture with two logarithmic axes: y grows as x to this power."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def one_curve(labels: int, seeds: int, classes: int, width: int) -> float:
    g = torch.Generator().manual_seed(0)
    y = torch.arange(classes).repeat_interleave(labels)
    x = torch.randn(len(y), width, generator=g) + 2 * torch.randn(classes, width, generator=g)[y]
    spent = []
    for _ in range(3):
        start = time.process_time()
        probe_curve(x, y, x[:500], y[:500], [labels // 8, labels // 4, labels // 2, labels], range(seeds))
        spent.append(time.process_time() - start)
    return min(spent)


@pytest.mark.parametrize("what", STEPS)
def test_a_probe_curve(benchmark, tell, what):
    seconds = [one_curve(**{**BASE, what: value}) for value in STEPS[what]]
    benchmark.pedantic(lambda: one_curve(**BASE), rounds=1)
    power = exponent(STEPS[what], seconds)
    benchmark.extra_info["growth"] = {"what": what, "x": STEPS[what], "seconds": seconds, "exponent": power}
    name = {"labels": "labels per class", "width": "features"}.get(what, what)
    said = f"{seconds[0]:.2f} s to {seconds[-1]:.2f} s for {STEPS[what][0]} to {STEPS[what][-1]}"
    tell(f"probe curve: time grows with {name} to the power of", "", power, "", said)


def pictures(folder: Path, count: int) -> Path:
    """``count`` small photographs of nothing: patches of colour, two classes, no two alike."""
    rng = np.random.default_rng(0)
    for i in range(count):
        patch = rng.integers(0, 200, (4, 4, 3), dtype=np.uint8)
        patch[..., i % 2] //= 2
        place = folder / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(patch).resize((32, 32), Image.Resampling.BICUBIC).save(place / f"{i}.jpg", quality=90)
    return folder


def report(data: Path, out: Path) -> tuple[float, float]:
    """Processor seconds and the peak memory in GB of one report, with a cache that knows nothing of the pictures."""
    cache = out / "cache"
    cache.mkdir(parents=True)
    (cache / "weights").symlink_to(cache_dir() / "weights")
    # A small process of its own measures: RUSAGE_CHILDREN keeps the largest of all children there ever were.
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)"
    )
    words = [sys.executable, "-m", "transferlib", "report", str(data), "--out", str(out / "report")]
    done = subprocess.run(
        [sys.executable, "-c", measure, *words], check=True, capture_output=True, text=True,
        env={**os.environ, "TRANSFERLIB_CACHE": str(cache), "TRANSFERLIB_WORKERS": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def test_a_report(benchmark, tell, tmp_path):
    found = [report(pictures(tmp_path / f"{n}", n), tmp_path / f"{n}-out") for n in PICTURES]
    benchmark.pedantic(lambda: None, rounds=1)
    seconds, memory = (list(column) for column in zip(*found, strict=True))
    benchmark.extra_info["growth"] = {
        "what": "pictures", "x": PICTURES, "seconds": seconds, "memory": memory, "exponent": exponent(PICTURES, seconds)
    }  # fmt: skip
    ends = f"for {PICTURES[0]:,} to {PICTURES[-1]:,} pictures"
    tell("report: time grows with pictures to the power of", "", exponent(PICTURES, seconds), "",
         f"{seconds[0]:.0f} s to {seconds[-1]:.0f} s {ends}", at_most=1.1)  # fmt: skip
    last = exponent(PICTURES[-2:], seconds[-2:])
    tell("the same, between the two largest", "", last, "", "", at_most=1.1)
    tell("report: memory grows with pictures to the power of", "", exponent(PICTURES, memory), "",
         f"{memory[0]:.1f} GB to {memory[-1]:.1f} GB {ends}", at_most=1.1)  # fmt: skip
