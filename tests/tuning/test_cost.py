"""Costs against counts made by hand."""

import torch
from torch import nn

from transferlib.backbones.images import image_backbone
from transferlib.tuning.cost import step_bytes, task_bytes, trainable
from transferlib.tuning.strategies import fine_tune, linear_probe, partial_fine_tune


def test_a_step_of_two_linear_layers_counted_by_hand():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x, y = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])
    weights = 6 * 5 + 5 + 5 * 3 + 3
    # Saved: the input (4·6), the ReLU's output (4·5, also the input of what follows), log-probabilities (4·3),
    # the labels (4 int64) and the loss's total weight (1).
    kept = 4 * (4 * 6 + 4 * 5 + 4 * 3 + 1) + 8 * 4
    assert trainable(model) == weights
    assert step_bytes(model, x, y) == 4 * weights + kept + 3 * 4 * weights
    model[0].requires_grad_(False)
    assert trainable(model) == 18
    assert step_bytes(model, x, y) == 4 * weights + kept - 4 * 4 * 6 - 4 * 4 * 5 + 4 * 4 * 5 + 3 * 4 * 18


def test_a_task_is_what_moves_and_live_statistics_move():
    small = lambda: image_backbone("small-cnn", pretrained=False, size=16)  # noqa: E731
    probe, held, live = linear_probe(3, small()), fine_tune(3, small()), fine_tune(3, small(), live_batch_norm=True)
    assert task_bytes(probe) == 4 * (3 * 512 + 3) == 4 * trainable(probe)
    assert task_bytes(held) == 4 * trainable(held)
    channels = 32 + 64 + 128
    assert task_bytes(live) - task_bytes(held) == 4 * 2 * channels + 8 * 3  # mean, variance, and a counter each
    live.eval()
    task_bytes(live)
    assert not any(m.training for m in live.modules())


def test_training_fewer_layers_holds_less():
    x, y = torch.zeros(4, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 1, 2, 0])
    costs = [
        step_bytes(partial_fine_tune(3, image_backbone("small-cnn", pretrained=False, size=16), train_last=k), x, y)
        for k in range(4)
    ]
    assert costs == sorted(costs)
    assert costs[0] < costs[3]


def test_labels_of_another_whole_type_cost_the_same():
    model, x, y = nn.Linear(6, 3), torch.randn(4, 6), torch.tensor([0, 1, 2, 0])
    assert step_bytes(model, x, y.int()) == step_bytes(model, x, y)
