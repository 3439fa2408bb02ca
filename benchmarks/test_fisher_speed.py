"""Fisher, EWC and MAML: what they cost, each beside the plain way of doing the same in one run.

Processor seconds on one thread, so that a busy machine does not change the ratios.
"""

import time

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from transferlib.backbones import SmallCNN
from transferlib.fisher import fisher, wrong_batched_fisher
from transferlib.forgetting import EWC, snapshot
from transferlib.meta import Episode, maml_loss

EXAMPLES = 256


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10))


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(EXAMPLES, 784, generator=g), torch.randint(10, (EXAMPLES,), generator=g)


def loop(model: nn.Module, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """The empirical Fisher, one backward pass for each example."""
    total = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
    for x, y in zip(*data, strict=True):
        grads = torch.autograd.grad(F.cross_entropy(model(x[None]), y[None]), list(model.parameters()))
        for name, g in zip(total, grads, strict=True):
            total[name] += g.square() / len(data[0])
    return total


def mapped(model: nn.Module, data: tuple[Tensor, Tensor], chunk: int = 32) -> dict[str, Tensor]:
    """The empirical Fisher with torch.func's vmap over per-example gradients."""
    params = {n: p.detach() for n, p in model.named_parameters()}

    def loss(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, params, (x[None],)), y[None])

    total = {n: torch.zeros_like(p) for n, p in params.items()}
    for x, y in zip(*(part.split(chunk) for part in data), strict=True):
        for name, g in vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y).items():
            total[name] += g.square().sum(0) / len(data[0])
    return total


@pytest.mark.benchmark(group="fisher, MLP 478k, 256 examples", timer=time.process_time)
@pytest.mark.parametrize(
    "way", ["empirical, hook", "empirical, loop", "empirical, vmap", "exact, hook", "wrong, batches of 32"]
)
def test_fisher(benchmark, mlp, data, way):
    ways = {
        "empirical, hook": lambda: fisher(mlp, data, "empirical"),
        "empirical, loop": lambda: loop(mlp, data),
        "empirical, vmap": lambda: mapped(mlp, data),
        "exact, hook": lambda: fisher(mlp, data, "exact"),
        "wrong, batches of 32": lambda: wrong_batched_fisher(mlp, data, 32),
    }
    found = benchmark.pedantic(ways[way], rounds=5, warmup_rounds=1)
    if way.startswith("empirical"):
        wanted = fisher(mlp, data, "empirical")
        assert all((found[n] - wanted[n]).norm() <= 1e-5 * wanted[n].norm() for n in wanted)


def step_cost(benchmark, model: nn.Module, x: Tensor, y: Tensor, way: str) -> None:
    ewc = EWC(model, {n: torch.rand_like(p) for n, p in model.named_parameters()}, snapshot(model), lam=1.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x), y)
        (loss if way == "plain" else loss + ewc.penalty(model)).backward()
        optimiser.step()

    benchmark.pedantic(step, rounds=60, warmup_rounds=10)


@pytest.mark.benchmark(group="training step, MLP 478k, batch 128: the worst case", timer=time.process_time)
@pytest.mark.parametrize("way", ["plain", "with EWC"])
def test_ewc_step_mlp(benchmark, mlp, data, way):
    step_cost(benchmark, mlp, data[0][:128], data[1][:128], way)


@pytest.mark.benchmark(group="training step, small CNN 28 px, batch 64", timer=time.process_time)
@pytest.mark.parametrize("way", ["plain", "with EWC"])
def test_ewc_step_cnn(benchmark, way):
    torch.manual_seed(0)
    model = nn.Sequential(SmallCNN(), nn.Linear(512, 10))
    step_cost(benchmark, model, torch.randn(64, 3, 28, 28), torch.randint(10, (64,)), way)


def conv4() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels in (1, 32, 32, 32):
        layers += [nn.Conv2d(channels, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 5))


@pytest.mark.benchmark(group="MAML step, conv4-32, 4 tasks, K = 3", timer=time.process_time)
@pytest.mark.parametrize("first_order", [False, True], ids=["second order", "first order"])
def test_maml_step(benchmark, first_order):
    g, model, labels = torch.Generator().manual_seed(0), conv4().train(), torch.arange(5)
    x = torch.randn(4, 2, 25, 1, 28, 28, generator=g)
    tasks = [Episode(s, labels.repeat_interleave(5), q, labels.repeat_interleave(5)) for s, q in x]

    def step() -> None:
        model.zero_grad()
        maml_loss(model, tasks, lr=0.4, steps=3, first_order=first_order).backward()

    benchmark.pedantic(step, rounds=5, warmup_rounds=1)
