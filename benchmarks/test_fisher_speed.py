"""Fisher and EWC: what they cost, each beside the plain way of doing the same in one run."""

import pytest
import torch
import torch.nn.functional as F
from pairs import alternate, ratio, seconds
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from transferlib.backbones.images import SmallCNN
from transferlib.continual.fisher import fisher, wrong_batched_fisher
from transferlib.continual.penalties import EWC, snapshot

EXAMPLES = 256


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


def test_fisher(benchmark, beside, mlp, data):
    found: dict[str, dict[str, Tensor]] = {}
    ways = {
        "hook": lambda: found.update(hook=fisher(mlp, data, "empirical")),
        "loop": lambda: found.update(loop=loop(mlp, data)),
        "vmap": lambda: found.update(vmap=mapped(mlp, data)),
        "exact": lambda: fisher(mlp, data, "exact"),
        "wrong": lambda: wrong_batched_fisher(mlp, data, 128),
    }
    spent = alternate(ways, 7)
    benchmark.pedantic(ways["hook"], rounds=3)
    for way in ("loop", "vmap"):
        assert all((found[way][n] - t).norm() <= 1e-5 * t.norm() for n, t in found["hook"].items())
    piece = f"per-sample Fisher, MLP 478k, {EXAMPLES} examples"
    beside(piece, spent, "hook", "loop", "loop over examples", at_least=10)
    beside(piece, spent, "hook", "vmap", "torch.func.vmap", at_least=10)
    beside(piece, spent, "hook", "wrong", "squared batch means, as avalanche-lib", at_most=1.5)
    beside(f"{piece}: exact over 10 classes", spent, "exact", "hook", "the empirical one")


@pytest.mark.parametrize("kind", ["MLP 478k, batch 128: the worst case", "small CNN 28 px, batch 64"])
def test_ewc_step(benchmark, tell, mlp, data, kind):
    torch.manual_seed(0)
    model = mlp if kind.startswith("MLP") else nn.Sequential(SmallCNN(), nn.Linear(512, 10))
    x, y = (data[0][:128], data[1][:128]) if model is mlp else (torch.randn(64, 3, 28, 28), torch.randint(10, (64,)))
    ewc = EWC(model, {n: torch.rand_like(p) for n, p in model.named_parameters()}, snapshot(model), lam=1.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step(held: bool) -> None:
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x), y)
        (loss + ewc.penalty(model) if held else loss).backward()
        optimiser.step()

    spent = alternate({"ewc": lambda: step(True), "plain": lambda: step(False)}, 60, warm=10)
    benchmark.pedantic(lambda: step(True), rounds=3)
    more = 100 * (ratio(spent["ewc"], spent["plain"]) - 1)
    tell(
        f"EWC step, {kind}: overhead",
        f"the bare step, {seconds(spent['plain'])}",
        more,
        "%",
        seconds(spent["ewc"]),
        at_most=10,
    )
