"""What several tests of this room use: exact minimisation, a small batch of texts, and the bandit of the chapter."""

import torch

REF = torch.tensor([0.5, 0.3, 0.2], dtype=torch.double).log()
REWARD = torch.tensor([0.0, 1.0, 2.0], dtype=torch.double)


def minimise(parameters, loss):
    optimiser = torch.optim.LBFGS(parameters, max_iter=500, tolerance_grad=1e-12, tolerance_change=0)

    def closure():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)


def text(seed=0, b=2, length=5, v=7):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(b, length, v, generator=g, dtype=torch.double), torch.randint(v, (b, length), generator=g)
