"""A small network with BatchNorm that has seen data, for the tests of adapting at test time."""

import torch
from torch import nn


def network(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 5),
    )  # fmt: skip
    with torch.no_grad():
        net(torch.randn(32, 3, 8, 8))  # running statistics that are not 0 and 1
    return net.eval()
