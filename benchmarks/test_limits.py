"""What the machine can do at all, measured in the same run as everything else."""

import statistics

import torch
from pairs import alternate, matrix_rate


def test_limits(benchmark, tell):
    rate = benchmark.pedantic(matrix_rate, rounds=1)
    tell("matrix product, float32, one thread", "", rate / 1e9, "GFLOP/s", "the limit for dense models")
    x = torch.randn(64 * 2**20 // 4)  # 64 MiB: more than the caches hold
    y = torch.empty_like(x)
    times = alternate({"copy": lambda: y.copy_(x)}, 12, warm=3)["copy"]
    tell(
        "copy in memory, one thread", "", 64 / 1024 / statistics.median(times), "GiB/s", "the limit for everything else"
    )
