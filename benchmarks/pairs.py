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


def matrix_rate(size: int = 1024, rounds: int = 12) -> float:
    """Floating-point operations a second of this machine's own matrix product, float32, threads as set."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    times = alternate({"product": lambda: a @ b}, rounds, warm=3)["product"]
    return 2 * size**3 / min(times)
