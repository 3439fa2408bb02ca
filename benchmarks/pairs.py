"""Two ways of doing the same, timed in turns, so that a busy machine slows both alike."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def alternate(actions: Mapping[str, Callable[[], object]], rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Processor seconds of each action, one of each in turn; the first ``warm`` rounds are dropped."""
    spent: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds + warm):
        for name, action in actions.items():
            start = time.process_time()
            action()
            spent[name].append(time.process_time() - start)
    return {name: times[warm:] for name, times in spent.items()}


def ratio(a: list[float], b: list[float]) -> float:
    """The median over rounds of a's time over b's in the same round."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def seconds(times: list[float]) -> str:
    """The median in a unit that suits it."""
    t = statistics.median(times)
    return f"{t:.1f} s" if t >= 1 else f"{1000 * t:.1f} ms"


def rates(rounds: int = 12) -> dict[str, float]:
    """Floating-point operations a second, float32, threads as set: a large matrix product and a large convolution.

    Both are products of dense matrices, by two libraries; on some processors one of them is much faster.
    """
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    x, w = torch.randn(32, 256, 14, 14), torch.randn(256, 256, 3, 3)
    x, w = x.to(memory_format=torch.channels_last), w.to(memory_format=torch.channels_last)
    times = alternate(
        {"matrix product": lambda: a @ b, "convolution": lambda: torch.conv2d(x, w, padding=1)}, rounds, warm=3
    )
    work = {"matrix product": 2 * 1024**3, "convolution": 2 * 32 * 14 * 14 * 9 * 256**2}
    return {name: work[name] / min(spent) for name, spent in times.items()}


def matrix_rate() -> float:
    """What this machine can do at most, in floating-point operations a second: the faster of the two."""
    return max(rates().values())
