"""What holds for every input, found by hypothesis: budgets, λ paths, intervals, adapters on random trees, metrics."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from transferlib.backbones.cut import split
from transferlib.backbones.modules import count_parameters
from transferlib.course.chapter import Run
from transferlib.course.intervals import label_equivalent, mean_interval, paired_difference
from transferlib.datasets.budgets import at_most, evened, nested_subset
from transferlib.errors import UserError
from transferlib.peft.adapters import add_adapters
from transferlib.peft.lora import add_lora, merge_lora, unmerge_lora
from transferlib.tuning.probes import LAMBDAS, fit_probe, probe_curve, ridge_path

slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
labels = st.lists(st.integers(0, 4), min_size=2, max_size=60).map(torch.tensor)
seeds = st.integers(0, 2**32 - 1)


@given(y=labels, n=st.integers(-2, 12), more=st.integers(0, 5), seed=seeds)
@slow
def test_a_budget_is_balanced_nested_and_without_repeats_or_a_sentence(y: Tensor, n: int, more: int, seed: int) -> None:
    counts = y.unique(return_counts=True)[1]
    possible = len(counts) > 1 and 1 <= n and n + more <= counts.min()
    try:
        small, large = nested_subset(y, n, seed), nested_subset(y, n + more, seed)
    except UserError:
        assert not possible
        return
    assert possible and torch.equal(large[: len(small)], small) and len(large.unique()) == len(large)
    assert y[small].unique(return_counts=True)[1].tolist() == [n] * len(counts)


@given(y=labels, n=st.integers(1, 12), more=st.integers(0, 12), seed=seeds)
@slow
def test_at_most_and_evened_keep_their_word(y: Tensor, n: int, more: int, seed: int) -> None:
    few, many = at_most(y, n, seed).tolist(), at_most(y, n + more, seed).tolist()
    assert set(few) <= set(many) and len(set(many)) == len(many)
    counts = y.bincount()
    assert torch.equal(y[few].bincount(minlength=len(counts)), counts.clamp(max=n))
    even = evened(y)
    assert set(even.tolist()) == set(range(len(y)))
    assert all(c in (0, counts.max()) for c in y[even].bincount().tolist())


def table(draw: st.DrawFn, rows: int, columns: int) -> Tensor:
    """Random features: many alike, some constant, some columns doubled, at any scale from 1e-3 to 1e3."""
    g = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    x = torch.randn(rows, columns, generator=g, dtype=torch.double)
    if draw(st.booleans()):
        x[:, draw(st.integers(0, columns - 1))] = draw(st.sampled_from([0.0, 1.0, 1e4]))
    if draw(st.booleans()):
        x[draw(st.integers(0, rows - 1))] = x[0]
    if draw(st.booleans()):
        x[:, -1] = x[:, 0]
    return x * 10.0 ** draw(st.integers(-3, 3))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    rows, columns, classes = draw(st.integers(2, 24)), draw(st.integers(1, 30)), draw(st.integers(1, 4))
    y = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    return table(draw, rows, columns), torch.tensor(y)


@given(problem=problems(), lams=st.lists(st.floats(1e-2, 1e3), min_size=1, max_size=4, unique=True))
@slow
def test_every_point_of_a_lambda_path_solves_the_normal_equations(
    problem: tuple[Tensor, Tensor], lams: list[float]
) -> None:
    x, y = problem
    target = torch.eye(4, dtype=torch.double)[y]
    scale = float((x - x.mean(0)).square().sum(1).mean())
    assume(scale > (1e-6 * float(x.abs().max())) ** 2)  # rounding alone is no spread
    lams = sorted(scale * lam for lam in lams)
    weight, bias, error = ridge_path(x, target, lams)
    assert bool(error.isfinite().all()) and bool((error >= 0).all())
    for w, b, lam in zip(weight, bias, lams, strict=True):
        rest = target - b - x @ w  # X centred or not: the bias takes the mean of the rest away
        force = x.T @ (rest - rest.mean(0))
        assert rest.mean(0).abs().max() < 1e-6
        assert (force - lam * w).norm() <= 1e-6 * (force.norm() + lam * w.norm()) + 1e-9 * scale**0.5
    norms = weight.flatten(1).norm(dim=1)
    assert bool((norms[1:] <= norms[:-1] * (1 + 1e-9) + 1e-12).all()), "a dearer weight may not be larger"


@given(problem=problems(), factor=st.sampled_from([1e-2, 1.0, 1e2]), balanced=st.booleans(), seed=st.integers(0, 99))
@slow
def test_a_probe_does_not_depend_on_the_scale_or_the_order_of_its_examples(
    problem: tuple[Tensor, Tensor], factor: float, balanced: bool, seed: int
) -> None:
    x, y = problem
    assume(float((x - x.mean(0)).abs().max()) > 1e-6 * float(x.abs().max()))
    try:
        probe = fit_probe(x, y, 4, balanced=balanced)
    except UserError:
        assert len(y.unique()) == 1
        return
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    other = fit_probe(factor * x[order], y[order], 4, balanced=balanced)
    assert probe.lam in LAMBDAS and bool(probe.weight.isfinite().all())
    if other.lam == probe.lam:  # two λ may tie to the last digit, and then either is right
        a, b = x @ probe.weight + probe.bias, factor * x @ other.weight + other.bias
        assert float((a - b).abs().max()) < 1e-5


@given(problem=problems(), n=st.integers(1, 4), seed=st.integers(0, 9))
@slow
def test_a_probe_curve_is_fit_probe_at_every_budget(problem: tuple[Tensor, Tensor], n: int, seed: int) -> None:
    x, y = problem
    counts = y.unique(return_counts=True)[1]
    assume(len(counts) > 1 and counts.min() >= n and float((x - x[0]).abs().max()) > 0)
    y = y.unique(return_inverse=True)[1]
    budgets = sorted({1, n})
    # A class of one example in each is a budget of two rows: LOO cannot tell the λ apart, so λ is given.
    curve = probe_curve(x, y, x, y, budgets, [seed], lambdas=[1.0])
    for j, k in enumerate(budgets):
        rows = nested_subset(y, k, seed)
        assume(float((x[rows] - x[rows].mean(0)).abs().max()) > 1e-6 * float(x.abs().max()))
        probe = fit_probe(x[rows], y[rows], len(counts), lambdas=[1.0])
        scores = x @ probe.weight + probe.bias
        margin = scores.topk(2, dim=1).values.diff(dim=1).abs()
        sure = margin.flatten() > 1e-6  # a tie may fall either way
        right = (scores.argmax(1) == y).double()
        assert (
            float(right[sure].sum()) / len(y) - 1e-9
            <= curve[0, j]
            <= float((~sure | (right == 1)).sum()) / len(y) + 1e-9
        )


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(values=st.lists(numbers, min_size=1, max_size=12), other=st.lists(numbers, min_size=12, max_size=12))
@slow
def test_intervals_hold_their_mean_and_change_sign_with_their_sides(values: list[float], other: list[float]) -> None:
    span = mean_interval(values)
    assert span.low <= span.mean <= span.high and span.seeds == len(values)
    there = paired_difference(values, other[: len(values)])
    back = paired_difference(other[: len(values)], values)
    assert np.allclose(there[:3], [-back.mean, -back.high, -back.low], equal_nan=True)


@given(
    curves=st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=4),
    reached=st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
@slow
def test_label_equivalents_lie_between_the_budgets_or_beyond_the_last(
    curves: list[list[float]], reached: list[float]
) -> None:
    k, low, high = label_equivalent(np.array(reached), [1, 2, 5, 20], np.array(curves), draws=50)
    for value in (k, low, high):
        assert 1 - 1e-9 <= value <= 20 + 1e-9 or value == math.inf
    assert low <= high


@st.composite
def trees(draw: st.DrawFn, width: int = 6, depth: int = 3) -> nn.Module:
    """A random tree of layers that keep (N, 6): nested Sequentials, shared layers, norms, convolutions seen as rows."""
    if depth == 0 or draw(st.booleans()):
        kind = draw(st.sampled_from(["linear", "norm", "relu", "no bias", "convolution"]))
        match kind:
            case "linear":
                return nn.Linear(width, width)
            case "no bias":
                return nn.Linear(width, width, bias=False)
            case "norm":
                return nn.LayerNorm(width)
            case "convolution":
                groups = draw(st.sampled_from([1, 2, 3, 6]))
                conv = nn.Conv2d(width, width, draw(st.sampled_from([1, 3])), padding="same", groups=groups)
                return nn.Sequential(nn.Unflatten(1, (width, 1, 1)), conv, nn.Flatten())
            case _:
                return nn.ReLU()
    parts = draw(st.lists(trees(width=width, depth=depth - 1), min_size=1, max_size=3))
    return nn.Sequential(*parts)


def state(model: nn.Module) -> list[tuple[str, bool, bytes]]:
    return [(n, p.requires_grad, p.detach().numpy().tobytes()) for n, p in model.named_parameters()]


patterns = st.sampled_from(["0", "1", "2", "*", "*.0", "*.1", "0.*", "nowhere"])


@given(tree=trees(), target=st.lists(patterns, min_size=1, max_size=2), rank=st.integers(0, 7), seed=st.integers(0, 99))
@slow
def test_lora_on_any_tree_starts_at_the_model_merges_exactly_or_leaves_no_trace(
    tree: nn.Module, target: list[str], rank: int, seed: int
) -> None:
    torch.manual_seed(seed)
    model, x = nn.Sequential(tree, nn.Linear(6, 6)).eval(), torch.randn(5, 6)
    before, wanted, names = state(model), model(x), [n for n, _ in model.named_modules()]
    try:
        add_lora(model, rank, 4.0, target)
    except UserError:
        assert state(model) == before and [n for n, _ in model.named_modules()] == names
        return
    assert torch.allclose(model(x), wanted, atol=1e-6)
    moving = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert moving and all(".a." in n or ".b." in n for n in moving)
    assert sum(p.numel() for p in moving.values()) == count_parameters(model)[0]
    with torch.no_grad():
        for p in moving.values():
            p.add_(0.1 * torch.randn_like(p))
    moved = model(x)
    merge_lora(model)
    assert torch.allclose(model(x), moved, rtol=1e-4, atol=1e-5)
    unmerge_lora(model)
    assert torch.equal(model(x), moved)


@given(tree=trees(), target=st.lists(patterns, min_size=1, max_size=2), bottleneck=st.integers(0, 7))
@slow
def test_adapters_on_any_tree_start_at_the_model_or_leave_no_trace(
    tree: nn.Module, target: list[str], bottleneck: int
) -> None:
    model, x = nn.Sequential(tree, nn.Linear(6, 6)).eval(), torch.randn(5, 6)
    plain, before, wanted = copy.deepcopy(model), state(model), model(x)
    try:
        add_adapters(model, bottleneck, target)
    except UserError:
        assert state(model) == before and str(model) == str(plain)
        return
    assert torch.allclose(model(x), wanted, atol=1e-6)
    assert any(p.requires_grad for p in model.parameters())


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(
    values=st.dictionaries(
        st.text(min_size=1, max_size=8), st.floats(allow_nan=False) | st.integers() | st.text(), max_size=5
    ),
    widget=st.dictionaries(st.text(max_size=6), json_like, max_size=4),
)
@slow
def test_metrics_survive_the_file_and_are_strict_json(
    values: dict[str, float | int | str], widget: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFERLIB_BUILD", str(folder))
        run = Run("99", "smoke", 0, "cpu")
        for name, value in values.items():
            run.value(name, value)
        run.save(widget=widget)
        first = (folder / "metrics" / "99.json").read_bytes()
        run.save(widget=widget)
    assert (folder / "metrics" / "99.json").read_bytes() == first

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    found = json.loads(first, parse_constant=refuse)["metrics"]
    for name, value in values.items():
        if name == "widget":
            continue
        if isinstance(value, float) and not math.isfinite(value):
            assert found[name] is None
        elif isinstance(value, float):
            assert math.isclose(found[name], value, rel_tol=1e-11)
        else:
            assert found[name] == value


@given(train_last=st.integers(-2, 12), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=15)
def test_a_backbone_cut_anywhere_computes_the_same(train_last: int, seed: int) -> None:
    from transferlib.backbones.images import image_backbone

    torch.manual_seed(seed)
    backbone = image_backbone("small-cnn", pretrained=False, size=28).eval()
    x = torch.randint(0, 256, (3, 3, 28, 28), dtype=torch.uint8)
    wanted = backbone(x)
    try:
        front, back = split(backbone, train_last)
    except UserError:
        return
    assert torch.allclose(back.eval()(front.eval()(x)), wanted, atol=1e-5)
