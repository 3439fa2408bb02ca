"""ProtoNet and MAML steps beside the way learn2learn and torch.func write them; near-duplicates beside faiss."""

import copy

import faiss
import torch
import torch.nn.functional as F
from pairs import alternate
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch.func import functional_call, grad

from transferlib.domains.similarity import nearest_neighbours
from transferlib.meta.episodes import Episode
from transferlib.meta.maml import maml_loss
from transferlib.meta.prototypes import prototypical_loss

WAYS, SHOTS, LR, STEPS = 5, 5, 0.4, 3


def conv4(out: int | None = WAYS) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels in (1, 32, 32, 32):
        layers += [nn.Conv2d(channels, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), *([nn.Linear(32, out)] if out else []))


def tasks(count: int = 4) -> list[Episode]:
    g, labels = torch.Generator().manual_seed(0), torch.arange(WAYS).repeat_interleave(SHOTS)
    x = torch.randn(count, 2, WAYS * SHOTS, 1, 28, 28, generator=g)
    return [Episode(s, labels, q, labels) for s, q in x]


def functional_maml(model: nn.Module, episodes: list[Episode], first_order: bool) -> torch.Tensor:
    """The inner loop with ``torch.func.grad``, as its tutorial writes it."""

    def loss(params, x, y):
        buffers = {n: b.clone() for n, b in model.named_buffers()}  # grad may not change what lies outside of it
        return F.cross_entropy(functional_call(model, {**params, **buffers}, (x,)), y)

    losses = []
    for task in episodes:
        fast = dict(model.named_parameters())
        for _ in range(STEPS):
            slopes = grad(loss)(fast, task.support_x, task.support_y)
            fast = {n: p - LR * (slopes[n].detach() if first_order else slopes[n]) for n, p in fast.items()}
        losses.append(loss(fast, task.query_x, task.query_y))
    return torch.stack(losses).mean()


def test_maml(benchmark, beside):
    ours, theirs, episodes = conv4().train(), conv4().train(), tasks()

    def step(model, make):
        def run():
            model.zero_grad()
            make(model).backward()

        return run

    for first in (False, True):
        spent = alternate(
            {
                "ours": step(ours, lambda m, first=first: maml_loss(m, episodes, LR, STEPS, first_order=first)),
                "theirs": step(theirs, lambda m, first=first: functional_maml(m, episodes, first)),
            },
            7,
        )
        slopes = [torch.cat([p.grad.flatten() for p in m.parameters()]) for m in (ours, theirs)]
        assert torch.allclose(*slopes, rtol=1e-3, atol=1e-4), "both must compute the same"
        kind = "first order" if first else "second order"
        piece = f"MAML step, {kind}, conv4-32, 4 tasks, K = 3"
        beside(piece, spent, "ours", "theirs", "torch.func loop", at_least=1.0)
    benchmark.pedantic(step(ours, lambda m: maml_loss(m, episodes, LR, STEPS)), rounds=1)


def test_protonet(benchmark, beside):
    ours = conv4(None).train()
    theirs, (task, *_) = copy.deepcopy(ours), tasks(1)

    def pairwise():
        """learn2learn's example: one pass over support and query, means by reshaping, distances by expanding."""
        theirs.zero_grad()
        z = theirs(torch.cat([task.support_x, task.query_x]))
        support, query = z[: WAYS * SHOTS].reshape(WAYS, SHOTS, -1).mean(1), z[WAYS * SHOTS :]
        n, m = len(query), len(support)
        logits = -((query.unsqueeze(1).expand(n, m, -1) - support.unsqueeze(0).expand(n, m, -1)) ** 2).sum(dim=2)
        F.cross_entropy(logits, task.query_y).backward()

    def step():
        ours.zero_grad()
        z = ours(torch.cat([task.support_x, task.query_x]))
        support, query = z.split(WAYS * SHOTS)
        prototypical_loss(support, task.support_y, query, task.query_y, WAYS).backward()

    spent = alternate({"ours": step, "theirs": pairwise}, 40)
    benchmark.pedantic(step, rounds=3)
    piece = "ProtoNet step, conv4-32, 5 ways, 5 shots"
    beside(
        piece,
        spent,
        "ours",
        "theirs",
        "learn2learn's algorithm",
        at_least=1.0,
        because="both sides do the same arithmetic",
    )


def test_near_duplicates(benchmark, beside):
    rows, width = 50_000, 384
    faiss.omp_set_num_threads(1)
    x = torch.randn(rows, width, generator=torch.Generator().manual_seed(0))
    unit = F.normalize(x - x.mean(0), dim=1).numpy()

    def flat():
        index = faiss.IndexFlatIP(width)
        index.add(unit)
        return index.search(unit, 2)[1][:, 1]

    found = {}
    actions = {
        "ours": lambda: found.update(ours=nearest_neighbours(x, x, exclude_self=True)[1].numpy()),
        "faiss": lambda: found.update(faiss=flat()),
        "sklearn": lambda: NearestNeighbors(n_neighbors=2, algorithm="brute", n_jobs=1).fit(unit).kneighbors(unit),
    }
    spent = alternate(actions, 1, warm=0)
    benchmark.pedantic(lambda: nearest_neighbours(x[:2000], x), rounds=1)
    assert (found["ours"] == found["faiss"]).mean() > 0.999
    for peer in ("faiss", "sklearn"):
        beside("near-duplicates, 50,000 × 384", spent, "ours", peer, peer, at_most=1.0)
