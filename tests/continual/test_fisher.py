"""Fisher information against closed forms, against a plain loop, and the ways in which it goes wrong elsewhere."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.continual.fisher import fast_fisher, fisher, wrong_batched_fisher
from transferlib.errors import UserError


def mlp(*sizes: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def data(n: int = 24, d: int = 6, classes: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g, dtype=torch.double), torch.randint(classes, (n,), generator=g)


def by_hand(model: nn.Module, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
    """One example, one class, one backward pass at a time."""
    model.eval()
    names, params = zip(*model.named_parameters(), strict=True)
    total = {n: torch.zeros_like(p) for n, p in zip(names, params, strict=True)}
    for i in range(len(x)):
        logp = F.log_softmax(model(x[i : i + 1]), 1)[0]
        for c in range(len(logp)) if y is None else [int(y[i])]:
            weight = float(logp[c].detach().exp()) if y is None else 1.0
            grads = torch.autograd.grad(logp[c], params, retain_graph=True, allow_unused=True)
            for n, g in zip(names, grads, strict=True):
                total[n] += 0 if g is None else weight * g**2 / len(x)
    return total


def same(a: dict[str, Tensor], b: dict[str, Tensor], rel: float = 1e-6) -> bool:
    return set(a) == set(b) and all((a[k] - b[k]).norm() <= rel * b[k].norm() for k in a)


def test_exact_fisher_of_logistic_regression_is_its_closed_form():
    x, _ = data()
    model = mlp(6, 3)
    p = model(x).softmax(1).detach()  # F of weight (c, d): mean over n of p_c (1 − p_c) x_d²
    found = fisher(model, x, labels="exact")
    assert torch.allclose(found["0.weight"], (p * (1 - p)).T @ x**2 / len(x), rtol=1e-10)
    assert torch.allclose(found["0.bias"], (p * (1 - p)).mean(0), rtol=1e-10)


def test_empirical_fisher_of_logistic_regression_is_its_closed_form():
    x, y = data()
    model = mlp(6, 3)
    residual = (model(x).softmax(1) - F.one_hot(y, 3)).detach() ** 2
    found = fisher(model, (x, y), labels="empirical")
    assert torch.allclose(found["0.weight"], residual.T @ x**2 / len(x), rtol=1e-10)


def test_sampled_fisher_approaches_exact_as_samples_grow():
    x, _ = data()
    model = mlp(6, 8, 3)
    exact = torch.cat([v.flatten() for v in fisher(model, x, labels="exact").values()])

    def off(samples: int) -> float:
        drawn = torch.cat([v.flatten() for v in fisher(model, x, labels="sample", samples=samples).values()])
        return float((drawn - exact).norm() / exact.norm())

    assert off(4000) < 0.03 < off(4)


def test_sampled_fisher_repeats_with_its_seed_and_ignores_the_global_one():
    x, _ = data()
    model = mlp(6, 3)
    first = fisher(model, x, labels="sample", seed=3)
    torch.manual_seed(99)
    assert same(first, fisher(model, x, labels="sample", seed=3), rel=0)
    assert not same(first, fisher(model, x, labels="sample", seed=4))


@pytest.mark.parametrize("labels", ["exact", "sample", "empirical"])
@pytest.mark.parametrize("columns", [None, [0, 2, 3]])
def test_the_plain_fisher_and_the_fast_one_agree(labels, columns):
    model, (x, y) = mlp(6, 10, 8, 4), data()
    given = {"labels": labels, "columns": columns, "samples": 3, "seed": 5}
    assert same(fast_fisher(model, (x, y), batch_size=7, **given), fisher(model, (x, y), **given), rel=1e-10)


@pytest.mark.parametrize("batch_size", [5, 24, 100])
def test_fast_linear_fisher_equals_the_per_sample_loop(batch_size):
    x, y = data()
    model = mlp(6, 10, 8, 3)
    assert same(fast_fisher(model, x, batch_size=batch_size), by_hand(model, x))
    assert same(fast_fisher(model, (x, y), "empirical", batch_size=batch_size), by_hand(model, x, y))


def test_float32_fast_fisher_equals_the_double_loop_to_a_millionth():
    x, _ = data()
    model = mlp(6, 10, 3)
    exact = by_hand(model, x)
    found = fast_fisher(model.float(), x.float())
    assert same({k: v.double() for k, v in found.items()}, exact, rel=1e-6)


class Tied(nn.Module):
    """One layer called twice: the per-example gradient is a sum of two outer products."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(self.inner(x).relu()).relu())


class Twins(nn.Module):
    """Two layers that hold one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.b(self.a(x).tanh()).tanh())


class Smuggled(nn.Module):
    """A weight that is also used outside its layer's call."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.a(x).tanh() @ self.a.weight)


class InPlace(nn.Module):
    """The layer's output is overwritten after the hook has seen it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.act, self.head = nn.Linear(6, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.a(x)))


class Unused(nn.Module):
    """A layer that the forward pass leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.idle = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token, self.head = nn.Linear(2, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.token(x.view(-1, 3, 2)).tanh().mean(1))  # (B, 6) → (B, 3, 2) → (B, 3)


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x.unsqueeze(1))).tanh().flatten(1))  # (B, 4, 4) → (B, 16)


@pytest.mark.parametrize("make", [Tied, Twins, Smuggled, InPlace, Unused, Sequence, Conv])
def test_networks_outside_the_fast_path_are_still_exact(make):
    torch.manual_seed(0)
    model, (x, _) = make().double(), data()
    assert same(fast_fisher(model, x), by_hand(model, x))
    assert same(fisher(model, x), by_hand(model, x))


def test_an_output_overwritten_in_place_is_noticed_though_the_first_rows_do_not_show_it():
    torch.manual_seed(0)
    model, (x, _) = InPlace().double(), data()
    nn.init.eye_(model.a.weight)
    nn.init.zeros_(model.a.bias)
    x = torch.cat([x.abs(), x])  # what is positive passes the ReLU as it is
    assert same(fisher(model, x), by_hand(model, x))


def test_bias_only_training_of_a_layer_called_twice_is_still_exact():
    torch.manual_seed(0)
    model, (x, _) = Tied().double(), data()
    whole = by_hand(model, x)
    model.inner.weight.requires_grad_(False)
    assert same(fast_fisher(model, x), {k: v for k, v in whole.items() if k != "inner.weight"})


def test_frozen_layers_get_no_fisher_and_do_not_disturb_the_rest():
    x, _ = data()
    model = mlp(6, 10, 3)
    whole = fisher(model, x)
    model[0].requires_grad_(False)
    found = fisher(model, x)
    assert set(found) == {"2.weight", "2.bias"}
    assert torch.equal(found["2.weight"], whole["2.weight"])


def test_fisher_measures_in_eval_mode_and_gives_every_mode_back():
    x, y = data()
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    model.train()
    model[1].eval()  # a frozen BatchNorm inside a training model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one = fisher(model, x)
    wrong_batched_fisher(model, (x, y), 8)
    assert [m.training for m in model] == [True, False, True, True]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert same(one, fisher(model, x), rel=0)  # dropout would draw anew
    assert all(p.grad is None for p in model.parameters())


def test_columns_restrict_the_fisher_to_one_task():
    x, y = data(classes=2)
    model = mlp(6, 8, 4)
    part = nn.Sequential(*model[:2], nn.Linear(8, 2)).double()
    with torch.no_grad():
        part[2].weight.copy_(model[2].weight[[1, 3]])
        part[2].bias.copy_(model[2].bias[[1, 3]])
    found, wanted = fisher(model, (x, y), "empirical", columns=[1, 3]), fisher(part, (x, y), "empirical")
    assert torch.allclose(found["2.weight"][[1, 3]], wanted["2.weight"])
    assert not found["2.weight"][[0, 2]].any()
    assert torch.allclose(found["0.weight"], wanted["0.weight"])


def test_the_wrong_fisher_is_right_for_batches_of_one_and_shrinks_with_the_batch():
    x, _ = data(n=256)
    model = mlp(6, 3)
    y = torch.multinomial(model(x).softmax(1), 1, generator=torch.Generator().manual_seed(0)).squeeze(1)
    right = fisher(model, (x, y), "empirical")
    assert same(wrong_batched_fisher(model, (x, y), 1), right)
    shrunk = wrong_batched_fisher(model, (x, y), 16)["0.weight"].sum() / right["0.weight"].sum()
    assert 1 / 40 < shrunk < 1 / 8


def test_the_wrong_fisher_reads_the_columns_of_its_task():
    model, (x, y) = mlp(6, 8, 5), data()
    wanted = fisher(model, (x, y), "empirical", columns=[1, 3, 4])
    assert same(wrong_batched_fisher(model, (x, y), 1, columns=[1, 3, 4]), wanted)
    assert not same(wrong_batched_fisher(model, (x, y), 1), wanted)


def test_one_label_is_drawn_unless_more_are_asked_for():
    model, (x, _) = mlp(6, 8, 3), data()
    assert same(fisher(model, x, "sample"), fisher(model, x, "sample", samples=1, seed=0))
    assert not same(fisher(model, x, "sample"), fisher(model, x, "sample", samples=2))


def test_a_label_one_beyond_the_classes_is_refused():
    model, (x, y) = mlp(6, 8, 3), data()
    fisher(model, (x, y.clamp(max=2)), "empirical")
    with pytest.raises(UserError, match="run from 0 to 3, but the model knows 3"):
        fisher(model, (x, y.index_fill(0, torch.tensor([0]), 3)), "empirical")


def test_bad_input_is_said_in_one_sentence():
    x, y = data()
    model = mlp(6, 3)
    with pytest.raises(UserError, match="did you mean 'empirical'"):
        fisher(model, (x, y), labels="emprical")
    with pytest.raises(UserError, match="needs the true labels"):
        fisher(model, x, labels="empirical")
    with pytest.raises(UserError, match="run from 0 to 7, but the model knows 3 classes"):
        fisher(model, (x, torch.cat([y[1:] * 0, torch.tensor([7])])), labels="empirical")
    with pytest.raises(UserError, match="samples = 0"):
        fisher(model, x, labels="sample", samples=0)
    with pytest.raises(UserError, match="no example"):
        fisher(model, x[:0])
    with pytest.raises(UserError, match="no trainable parameters"):
        fisher(model.requires_grad_(False), x)


@pytest.mark.parametrize("measure", [fisher, fast_fisher])
def test_a_refusal_is_one_whole_sentence(measure):
    x, y = data()
    model = mlp(6, 3)
    known = r"^Unknown labels='{}': did you mean '{}'"
    for typed, meant in (("exakt", "exact"), ("sampel", "sample"), ("empircal", "empirical")):
        with pytest.raises(UserError, match=known.format(typed, meant)):
            measure(model, (x, y), typed)
    with pytest.raises(UserError, match=r"^labels='empirical' needs the true labels: pass data=\(x, y\)"):
        measure(model, x, "empirical")
    with pytest.raises(UserError, match=r"^The examples are a list: pass a tensor x \(N, …\), or a pair \(x, y\)\.$"):
        measure(model, x.tolist())
    with pytest.raises(UserError, match=r"^There is no example to measure on: pass at least one row of x\.$"):
        measure(model, x[:0])
    for wrong in (y[1:], y.double()):
        shape = rf"^y is {wrong.dtype} of shape \({len(wrong)},\): give each of the 24 examples a class number\.$"
        with pytest.raises(UserError, match=shape):
            measure(model, (x, wrong), "empirical")
    with pytest.raises(
        UserError, match=r"^The outputs are \(\d+, 1\): a Fisher needs logits \(N, C\) of C ≥ 2 classes\.$"
    ):
        measure(mlp(6, 1), x)
    with pytest.raises(UserError, match=r"^The outputs are \(\d+, 3, 1\): a Fisher needs"):
        measure(nn.Sequential(mlp(6, 3), nn.Unflatten(1, (3, 1))), x)
    with pytest.raises(
        UserError, match=r"^The Fisher of '0\.weight' is not finite: look for NaN in x and in the weights"
    ):
        measure(model, x * float("nan"))
    with pytest.raises(UserError, match="give it an output for every class before measuring the Fisher"):
        measure(model, (x, y + 5), "empirical")
    assert same(measure(model, (x, y.double())), measure(model, x))  # only the empirical one reads y


@pytest.mark.parametrize("measure", [fisher, fast_fisher, lambda m, d: wrong_batched_fisher(m, d, 4)])
def test_a_weight_that_nothing_reads_has_no_fisher_and_half_precision_is_summed_wide(measure):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = mlp(6, 3), nn.Parameter(torch.ones(2, dtype=torch.double))

        def forward(self, x):
            return self.used(x)

    x, y = data()
    found = measure(Idle(), (x, y))
    assert found["idle"].tolist() == [0, 0] and found["used.0.weight"].abs().sum() > 0
    half = measure(mlp(6, 3).bfloat16(), (x.bfloat16(), y))
    assert {f.dtype for f in half.values()} == {torch.float32}


def test_the_wrong_fisher_names_itself_and_needs_labels():
    x, y = data()
    with pytest.raises(UserError, match=r"^The Fisher of '0\.weight' is not finite"):
        wrong_batched_fisher(mlp(6, 3), (x * float("nan"), y), 4)
    with pytest.raises(UserError, match="needs the true labels"):
        wrong_batched_fisher(mlp(6, 3), (x, None), 4)


def test_the_fast_fisher_has_the_defaults_of_the_plain_one():
    x, _ = data()
    model = mlp(6, 8, 3)
    torch.manual_seed(3)
    one, other = fisher(model, x, "sample"), fast_fisher(model, x, "sample")
    assert same(other, one, rel=1e-9) and same(fast_fisher(model, x, "sample", samples=1, seed=0), one, rel=1e-9)
