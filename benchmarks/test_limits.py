"""What the machine can do at all, measured in the same run as everything else."""

import statistics

import torch
from pairs import alternate, rates


def test_limits(benchmark, tell):
    found = benchmark.pedantic(rates, rounds=1)
    for name, rate in found.items():
        said = "the limit for dense models" if rate == max(found.values()) else "slower than this machine can"
        tell(f"{name}, float32, one thread", "", rate / 1e9, "GFLOP/s", said)
    x = torch.randn(64 * 2**20 // 4)  # 64 MiB: more than the caches hold
    y = torch.empty_like(x)
    times = alternate({"copy": lambda: y.copy_(x)}, 12, warm=3)["copy"]
    tell(
        "copy in memory, one thread", "", 64 / 1024 / statistics.median(times), "GiB/s", "the limit for everything else"
    )
