"""Penalties against Bayes, against finite differences, and against the silent failures of other libraries."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.continual.fisher import fisher
from transferlib.continual.importance import SI, fast_mas_importance, mas_importance
from transferlib.continual.penalties import EWC, L2SP, quadratic, snapshot
from transferlib.continual.per_example import per_sample_sum
from transferlib.continual.springs import fast_quadratic
from transferlib.errors import UserError


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()


def data(n: int = 60, seed: int = 1) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=g, dtype=torch.double)
    return x, (x @ torch.randn(5, 3, generator=g, dtype=torch.double)).argmax(1)


def moved(model: nn.Module, by: float = 0.3) -> nn.Module:
    g = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(by * torch.randn(p.shape, generator=g, dtype=p.dtype))
    return model


def test_ewc_penalty_as_the_mission_writes_it_is_half_lambda_times_the_weighted_squares():
    model, (x, y) = net(), data()
    info, theta_star = fisher(model, (x, y), labels="exact"), snapshot(model)
    penalty = EWC(model, info, theta_star, 3.0).penalty(moved(model))
    by_hand = sum((info[n] * (p - theta_star[n]) ** 2).sum() for n, p in model.named_parameters())
    assert torch.allclose(penalty, 3.0 / 2 * by_hand)


def test_ewc_penalty_is_zero_with_zero_gradient_at_theta_star():
    model, (x, y) = net(), data()
    penalty = EWC(model, fisher(model, (x, y)), snapshot(model), 100.0).penalty(model)
    penalty.backward()
    assert penalty == 0
    assert all(not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("kind", ["ewc", "l2sp", "si", "mas"])
def test_penalty_gradient_agrees_with_finite_differences(kind):
    model, (x, y) = net(), data()
    star, info = snapshot(model), fisher(model, (x, y))
    if kind == "si":
        method = SI(model, c=0.7)
        method.importance = info
    elif kind == "l2sp":
        method = L2SP(model, {n: t for n, t in star.items() if n.startswith("0.")}, 2.0, lam_new=0.5)
    else:
        method = EWC(model, info if kind == "ewc" else mas_importance(model, x), star, 2.0)
    moved(model)
    method.penalty(model).backward()
    for p in model.parameters():
        index = (0,) * p.dim()
        with torch.no_grad():
            p[index] += 1e-5
            up = method.penalty(model)
            p[index] -= 2e-5
            down = method.penalty(model)
            p[index] += 1e-5
        assert p.grad[index].item() == pytest.approx(float(up - down) / 2e-5, rel=1e-6, abs=1e-10)


def test_ewc_of_two_linear_gaussian_tasks_is_the_bayesian_posterior_mean():
    g, sigma = torch.Generator().manual_seed(0), 0.5
    basis, _ = torch.linalg.qr(torch.randn(40, 4, generator=g, dtype=torch.double))
    xa = basis * torch.tensor([1.0, 2.0, 5.0, 0.5])  # orthogonal inputs: the Fisher *is* diagonal, EWC exact
    xb = torch.randn(25, 4, generator=g, dtype=torch.double)
    ya, yb = (torch.randn(len(x), 1, generator=g, dtype=torch.double) for x in (xa, xb))
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(xa, ya).solution.T)
    total = per_sample_sum(model, xa, lambda out, _: iter([out.squeeze(1) / sigma]), torch.square)
    info = {n: v / len(xa) for n, v in total.items()}
    ewc = EWC(model, info, snapshot(model), lam=len(xa) / len(xb))
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=500, tolerance_grad=1e-13, tolerance_change=0)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = ((model(xb) - yb) ** 2).mean() / (2 * sigma**2) + ewc.penalty(model)
        loss.backward()
        return loss

    optimiser.step(closure)
    posterior = torch.linalg.solve(xa.T @ xa + xb.T @ xb, xa.T @ ya + xb.T @ yb)
    assert torch.allclose(model.weight.T, posterior, atol=1e-7)


def test_l2sp_holds_shared_weights_to_the_old_ones_and_new_weights_to_zero():
    model = net()
    star = {n: t for n, t in snapshot(model).items() if n.startswith("0.")}
    method = L2SP(model, star, 4.0, lam_new=0.5)
    moved(model)
    shared = sum(((p - star[n]) ** 2).sum() for n, p in model.named_parameters() if n in star)
    new = sum((p**2).sum() for n, p in model.named_parameters() if n not in star)
    assert torch.allclose(method.penalty(model), 4.0 / 2 * shared + 0.5 / 2 * new)


def train_si(si: SI, model: nn.Module, x: Tensor, y: Tensor, steps: int, lr: float = 0.05) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(model(x), y).backward()
        si.penalty(model).backward()
        optimiser.step()


def test_si_path_integral_is_the_drop_of_the_loss():
    model, (x, y) = net(), data()
    si, before = SI(model, c=1.0), F.cross_entropy(model(x), y)
    train_si(si, model, x, y, 400, lr=0.01)
    si._note_step(model)
    drop = (before - F.cross_entropy(model(x), y)).item()
    assert drop > 0.1
    assert float(sum(w.sum() for w in si.omega.values())) == pytest.approx(drop, rel=0.01)


def test_si_importance_uses_the_task_gradient_not_the_penalty_gradient():
    model = net()
    si = SI(model, c=3.0)
    si.importance = {n: torch.ones_like(t) for n, t in si.theta_star.items()}
    start, slope = snapshot(moved(model)), {n: torch.randn_like(t) for n, t in si.theta_star.items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(
        20
    ):  # a task loss with one constant slope: ω must be −slope · (end − start), whatever the spring does
        optimiser.zero_grad()
        sum((slope[n] * p).sum() for n, p in model.named_parameters()).backward()
        si.penalty(model).backward()
        optimiser.step()
    with torch.no_grad():
        si.penalty(model)  # looking at the penalty notes nothing
    assert all(torch.equal(g, slope[n]) for n, g in si._gradient.items())
    si._note_step(model)
    assert all(torch.allclose(si.omega[n], -slope[n] * (end - start[n])) for n, end in snapshot(model).items())


def test_si_importance_follows_its_formula_with_c_and_xi():
    model, (x, y) = net(), data()
    si, start = SI(model, c=0.7, xi=0.2), snapshot(model)
    train_si(si, model, x, y, 30)
    si._note_step(model)
    omega, now = {n: w.clone() for n, w in si.omega.items()}, snapshot(model)
    si.end()
    for n in now:
        assert torch.allclose(si.importance[n], omega[n].clamp(min=0) / ((now[n] - start[n]) ** 2 + 0.2))
        assert torch.equal(si.theta_star[n], now[n])
        assert not si.omega[n].any()
    moved(model)
    by_hand = sum((si.importance[n] * (p - now[n]) ** 2).sum() for n, p in model.named_parameters())
    assert torch.allclose(si.penalty(model), 0.7 * by_hand)


def test_si_never_pushes_and_skips_parameters_without_a_gradient():
    model, x = net(), data()[0]
    si = SI(model, c=1.0)
    model[0](x).sum().backward()  # the head gets no gradient
    si.penalty(model)
    moved(model)
    si._note_step(model)
    assert not si.omega["2.weight"].any()
    assert (si.omega["0.bias"] < 0).any()
    si.end()
    assert all((v >= 0).all() for v in si.importance.values())


def test_si_strength_changes_the_weights_on_the_cpu():
    ends = []
    for c in (0.0, 10.0):
        model = net()
        si = SI(model, c=c)
        train_si(si, model, *data(seed=1), 50)
        si.end()
        train_si(si, model, *data(seed=2), 50)
        ends.append(torch.cat([(p - si.theta_star[n]).flatten() for n, p in model.named_parameters()]).norm())
    assert ends[1] < 0.8 * ends[0]


def test_mas_importance_of_a_linear_map_is_its_closed_form():
    x, _ = data()
    model = nn.Linear(5, 3).double()
    out = model(x).detach()
    for found in (mas_importance(model, x), fast_mas_importance(model, x, batch_size=7)):
        assert torch.allclose(found["weight"], (2 * out.abs()).T @ x.abs() / len(x))
        assert torch.allclose(found["bias"], 2 * out.abs().mean(0))


def test_the_plain_mas_importance_and_the_fast_one_agree():
    model, (x, _) = net(), data()
    plain, fast = mas_importance(model, x), fast_mas_importance(model, x, batch_size=7)
    assert all(torch.allclose(fast[n], plain[n], rtol=1e-10) for n in plain)


def test_mas_measures_in_eval_mode_and_leaves_the_buffers_alone():
    x, _ = data()
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3)).double().train()
    before = {n: b.clone() for n, b in model.named_buffers()}
    for measure in (mas_importance, fast_mas_importance):
        first, second = measure(model, x), measure(model, x)
        assert all(torch.equal(first[n], second[n]) for n in first)
    assert all(torch.equal(b, before[n]) for n, b in model.named_buffers())
    assert model.training


def test_snapshot_is_a_copy():
    model = net()
    star = snapshot(model)
    moved(model)
    assert not torch.equal(star["0.weight"], model[0].weight)


def test_frozen_parameters_are_left_out_of_the_penalty():
    model, (x, y) = net(), data()
    ewc = EWC(model, fisher(model, (x, y)), snapshot(model), 1.0)
    model[0].requires_grad_(False)
    moved(model)
    head = sum((ewc.fisher[n] * (p - ewc.theta_star[n]) ** 2).sum() for n, p in model.named_parameters() if n[0] == "2")
    assert torch.allclose(ewc.penalty(model), head / 2)


def test_bad_input_is_said_in_one_sentence():
    model, (x, y) = net(), data()
    info, star = fisher(model, (x, y)), snapshot(model)
    for lam in (-1.0, float("nan")):
        with pytest.raises(UserError, match=r"EWC got lam = .*use lam ≥ 0"):
            EWC(model, info, star, lam)
    with pytest.raises(UserError, match="not among the model's trainable parameters"):
        EWC(model, {"head.weight": info["0.weight"]}, star, 1.0)
    with pytest.raises(UserError, match="not among theta_star"):
        EWC(model, info, {}, 1.0)
    with pytest.raises(UserError, match=r"shapes of '0\.bias' differ"):
        EWC(model, {"0.bias": torch.ones(2)}, star, 1.0)
    with pytest.raises(UserError, match="no weights to hold"):
        EWC(model, {}, star, 1.0)
    with pytest.raises(UserError, match="lam_new = -1"):
        L2SP(model, star, 1.0, lam_new=-1)
    with pytest.raises(UserError, match="c = -1"):
        SI(model, c=-1)
    with pytest.raises(UserError, match="xi = 0"):
        SI(model, c=1, xi=0)
    with pytest.raises(UserError, match="no example"):
        mas_importance(model, x[:0])
    with pytest.raises(UserError, match="no trainable parameters"):
        SI(net().requires_grad_(False), c=1)


def test_the_plain_quadratic_and_the_fast_one_agree_in_value_and_gradient():
    model, (x, y) = net(), data()
    star, stiffness = snapshot(model), fisher(model, (x, y))
    moved(model)
    plain, fast = (form(model, star, stiffness, 3.0) for form in (quadratic, fast_quadratic))
    assert torch.allclose(fast, plain, rtol=1e-12)
    slopes = [torch.autograd.grad(value, list(model.parameters())) for value in (plain, fast)]
    assert all(torch.allclose(b, a, rtol=1e-12) for a, b in zip(*slopes, strict=True))


def held(form, model, star, stiffness):
    """The penalty as a function of the weights, for torch.func."""

    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self) -> Tensor:
            return form(self.model, star, stiffness, 3.0)

    wrapped = Held()
    return lambda weights: torch.func.functional_call(wrapped, {f"model.{n}": w for n, w in weights.items()}, ())


@pytest.mark.parametrize("form", [quadratic, fast_quadratic])
def test_torch_func_sees_the_penalty_its_gradient_its_hessian_and_a_batch_of_weights(form):
    model = net()
    star, stiffness = snapshot(model), {n: t.abs() for n, t in snapshot(model).items()}
    weights, penalty = snapshot(moved(model)), held(form, model, star, stiffness)
    wanted = {n: 3 * stiffness[n] * (w - star[n]) for n, w in weights.items()}
    slope = torch.func.grad(penalty)(weights)
    assert all(torch.allclose(slope[n], wanted[n]) for n in wanted)
    curve = torch.func.grad(lambda w: sum(g.sum() for g in torch.func.grad(penalty)(w).values()))(weights)
    assert all(torch.allclose(curve[n], 3 * stiffness[n]) for n in wanted)
    many = {n: torch.stack([w, star[n]]) for n, w in weights.items()}  # (2, …)
    assert torch.allclose(torch.func.vmap(penalty)(many), torch.stack([penalty(weights), penalty(star)]))
    each = torch.func.vmap(lambda scale: scale * form(model, star, stiffness, 3.0))(torch.ones(2, dtype=torch.double))
    assert torch.allclose(each, penalty(weights).expand(2))
    _, along = torch.func.jvp(penalty, (weights,), (weights,))
    assert torch.allclose(along, sum((wanted[n] * w).sum() for n, w in weights.items()))


@pytest.mark.parametrize("form", [quadratic, fast_quadratic])
def test_a_second_derivative_of_the_penalty_is_the_stiffness(form):
    model = net()
    star, stiffness = snapshot(model), {n: t.abs() for n, t in snapshot(model).items()}
    value = form(moved(model), star, stiffness, 3.0)
    grads = torch.autograd.grad(value, list(model.parameters()), create_graph=True)
    assert all(
        torch.allclose(g, 3 * s * (p - star[n]))
        for g, (n, s), p in zip(grads, stiffness.items(), model.parameters(), strict=True)
    )
    second = torch.autograd.grad(sum(g.sum() for g in grads), list(model.parameters()))
    assert all(torch.allclose(h, 3 * stiffness[n]) for h, n in zip(second, stiffness, strict=True))


def test_si_importance_adds_up_over_tasks():
    model, (x, y) = net(), data()
    si = SI(model, c=1.0)
    train_si(si, model, x, y, 20)
    si.end()
    first = {n: v.clone() for n, v in si.importance.items()}
    train_si(si, model, x, y.flip(0), 20)
    si.end()
    assert all((si.importance[n] >= first[n]).all() and (si.importance[n] > first[n]).any() for n in first)


def test_a_penalty_of_no_strength_is_allowed_and_is_nothing():
    model, (x, y) = net(), data()
    star = snapshot(model)
    assert EWC(model, fisher(model, (x, y)), star, 0.0).penalty(moved(model)) == 0
    shared = {n: t for n, t in star.items() if n.startswith("0.")}
    method = L2SP(model, shared, 2.0)
    wanted = sum(((p - star[n]) ** 2).sum() for n, p in model.named_parameters() if n in shared)
    assert torch.allclose(method.penalty(model), wanted), "new weights are free unless lam_new says otherwise"
    L2SP(model, shared, 2.0, lam_new=0.0)
    with pytest.raises(UserError, match="L2SP got lam = -1"):
        L2SP(model, shared, -1.0)
