"""Fisher and EWC: what they cost, each beside the plain way of doing the same in one run."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from pairs import alternate, ratio, seconds
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from transferlib.backbones.images import SmallCNN
from transferlib.continual.fisher import fast_fisher, fisher, wrong_batched_fisher
from transferlib.continual.penalties import EWC, quadratic, snapshot

EXAMPLES = 256


@pytest.fixture(scope="module")
def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10))


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(EXAMPLES, 784, generator=g), torch.randint(10, (EXAMPLES,), generator=g)


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


def test_fisher(benchmark, beside, mlp, data):
    found: dict[str, dict[str, Tensor]] = {}
    ways = {
        "hook": lambda: found.update(hook=fast_fisher(mlp, data, "empirical")),
        "loop": lambda: found.update(loop=fisher(mlp, data, "empirical")),
        "vmap": lambda: found.update(vmap=mapped(mlp, data)),
        "exact": lambda: fast_fisher(mlp, data, "exact"),
        "wrong": lambda: wrong_batched_fisher(mlp, data, 128),
    }
    spent = alternate(ways, 7)
    benchmark.pedantic(ways["hook"], rounds=3)
    for way in ("loop", "vmap"):
        assert all((found[way][n] - t).norm() <= 1e-5 * t.norm() for n, t in found["hook"].items())
    piece = f"per-sample Fisher, MLP 478k, {EXAMPLES} examples"
    beside(piece, spent, "hook", "loop", "the plain loop over examples", at_least=10)
    beside(piece, spent, "hook", "vmap", "torch.func.vmap", at_least=10)
    beside(piece, spent, "hook", "wrong", "squared batch means, as avalanche-lib", at_most=1.5)
    beside(f"{piece}: exact over 10 classes", spent, "exact", "hook", "the empirical one")


def test_the_plain_fisher_on_a_convolution(benchmark, beside):
    torch.manual_seed(0)
    model = nn.Sequential(SmallCNN(), nn.Linear(512, 10)).eval()
    x, y = torch.randn(64, 3, 28, 28), torch.randint(10, (64,))
    ways = {
        "plain": lambda: fisher(model, (x, y), "empirical"),
        "fast": lambda: fast_fisher(model, (x, y), "empirical"),
    }
    spent = alternate(ways, 7)
    benchmark.pedantic(ways["plain"], rounds=3)
    piece = "the plain Fisher, small CNN 28 px, 64 examples"
    beside(piece, spent, "plain", "fast", "our fast path", at_most=1.3)


@pytest.mark.parametrize("kind", ["MLP 478k, batch 128: the worst case", "small CNN 28 px, batch 64"])
def test_ewc_step(benchmark, beside, tell, mlp, data, kind):
    torch.manual_seed(0)
    model = mlp if kind.startswith("MLP") else nn.Sequential(SmallCNN(), nn.Linear(512, 10))
    x, y = (data[0][:128], data[1][:128]) if model is mlp else (torch.randn(64, 3, 28, 28), torch.randint(10, (64,)))
    ewc = EWC(model, {n: torch.rand_like(p) for n, p in model.named_parameters()}, snapshot(model), lam=1.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step(penalty: Callable[[], Tensor | float]) -> None:
        optimiser.zero_grad()
        (F.cross_entropy(model(x), y) + penalty()).backward()
        optimiser.step()

    ways = {
        "ewc": lambda: step(lambda: ewc.penalty(model)),
        "formula": lambda: step(lambda: quadratic(model, ewc.theta_star, ewc.fisher, ewc.lam)),
        "plain": lambda: step(lambda: 0.0),
    }
    spent = alternate(ways, 60, warm=10)
    benchmark.pedantic(ways["ewc"], rounds=3)
    beside(f"EWC step, {kind}", spent, "ewc", "formula", "the same step with the plain formula")
    more = 100 * (ratio(spent["ewc"], spent["plain"]) - 1)
    tell(
        f"EWC step, {kind}: overhead",
        f"the bare step, {seconds(spent['plain'])}",
        more,
        "%",
        seconds(spent["ewc"]),
        at_most=10,
        because="the spring reads four numbers a weight, and this network uses each weight once"
        if model is mlp
        else "",
    )
