"""MAS over a stream of tasks, and what SI and MAS say of odd models. Their formulas are tested beside the penalties."""

import pytest
import torch
from torch import nn

from transferlib.continual.importance import MAS, SI, fast_mas_importance, mas_importance
from transferlib.continual.tasks import Task
from transferlib.errors import UserError


def line(weight: float, outputs: int = 1) -> nn.Linear:
    model = nn.Linear(1, outputs, bias=False)
    model.weight.data.fill_(weight)
    return model


def task(*x: float) -> tuple[Task, torch.Tensor]:
    rows = torch.tensor([[v] for v in x])
    return Task(
        rows, torch.zeros(len(x), dtype=torch.long), rows, torch.zeros(len(x), dtype=torch.long), [0]
    ), torch.arange(len(x))


@pytest.mark.parametrize("measure", [mas_importance, fast_mas_importance])
def test_mas_adds_up_over_tasks_and_holds_the_last_weights(measure) -> None:
    model = line(3.0)
    mas = MAS(model, lam=0.5, measure=measure)
    model.weight.data += 1.0
    assert mas.penalty(model) == 0  # nothing is known before the first task has ended
    model.weight.data -= 1.0
    mas.end(*task(2.0))  # f = 2θ: |∂f²/∂θ| = 8θ = 24
    model.weight.data += 2.0
    assert mas.penalty(model).item() == pytest.approx(0.5 * 24 * 2**2)
    mas.end(*task(1.0, 0.0))  # 2θ = 10 for the first row, 0 for the second: 5 in the mean
    assert mas.penalty(model).item() == 0  # the anchor is where the second task ended
    model.weight.data -= 1.0
    mas.penalty(model).backward()
    assert mas.penalty(model).item() == pytest.approx(0.5 * (24 + 5))
    assert model.weight.grad.item() == pytest.approx(-2 * 0.5 * 29)


def test_mas_reads_the_rows_that_it_is_given() -> None:
    model = line(3.0)
    mas, (two, _) = MAS(model, lam=1.0), task(2.0, 100.0)
    mas.end(two, torch.tensor([0]))
    assert mas.importance["weight"].item() == 24


def test_a_head_that_grows_brings_nothing_along() -> None:
    model = nn.Sequential(line(3.0))
    mas = MAS(model, lam=1.0)
    mas.end(*task(2.0))
    model[0] = line(1.0, outputs=2)  # one more output
    model[0].weight.data[0] = 4.0
    assert mas.penalty(model).item() == pytest.approx(24.0)  # the old row moved by 1; the new one is free
    mas.end(*task(1.0))
    assert mas.importance["0.weight"].tolist() == [[24 + 8.0], [2.0]]  # 2 f ∂f: 2 · 4 and 2 · 1
    assert mas.theta_star["0.weight"].tolist() == [[4.0], [1.0]]


def test_a_strength_below_zero_is_refused_and_none_is_allowed() -> None:
    assert MAS(line(1.0), lam=0.0).lam == 0
    for lam in (-0.5, float("nan")):
        with pytest.raises(UserError, match=rf"^MAS got lam = {lam}: use lam ≥ 0\.$"):
            MAS(line(1.0), lam=lam)


def test_si_that_saw_no_step_says_which_call_is_missing() -> None:
    model = line(1.0)
    si = SI(model, c=1.0)
    said = r"^SI saw no step: call penalty\(model\) in each step, after task_loss\.backward\(\)\.$"
    with pytest.raises(UserError, match=said):
        si.end()
    model(torch.ones(1, 1)).sum().backward()
    si.penalty(model)
    si.end()
    with pytest.raises(UserError, match=said):  # each task has to be seen
        si.end()


@pytest.mark.parametrize("measure", [mas_importance, fast_mas_importance])
def test_odd_models_and_data_are_measured_or_named(measure) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = line(3.0), nn.Parameter(torch.ones(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    found = measure(Half(), torch.tensor([[2.0]]))
    assert found["idle"].tolist() == [0, 0] and found["used.weight"].item() == 24
    half = measure(line(3.0).bfloat16(), torch.full((2, 1), 2.0, dtype=torch.bfloat16))
    assert half["weight"].dtype == torch.float32 and half["weight"].item() == 24
    with pytest.raises(UserError, match=r"^The MAS importance of 'weight' is not finite: look for NaN"):
        measure(line(float("nan")), torch.ones(1, 1))
    with pytest.raises(UserError, match=r"^There is no example to measure on: pass at least one row of x\.$"):
        measure(line(1.0), torch.ones(0, 1))


def test_si_keeps_its_sums_wide_where_the_model_is_narrow() -> None:
    si = SI(line(1.0).bfloat16(), c=1.0)
    assert si.omega["weight"].dtype == si.importance["weight"].dtype == torch.float32
    assert MAS(line(1.0).bfloat16(), lam=1.0).importance["weight"].dtype == torch.float32
