"""Models as other people bring them: aliased state dicts, half precision, heads that grow, output objects, NaN."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from transferlib.continual.fisher import fast_fisher, fisher, wrong_batched_fisher
from transferlib.continual.importance import MAS, SI, fast_mas_importance, mas_importance
from transferlib.continual.penalties import EWC, L2SP, quadratic, snapshot
from transferlib.continual.rehearsal import Joint, Rehearsal, Reservoir
from transferlib.continual.sequential import OnlineEWC, SequentialEWC, SequentialL2SP
from transferlib.continual.springs import fast_quadratic
from transferlib.continual.streams import answers, backward_transfer, forgetting, forward_transfer, learn_stream
from transferlib.continual.tasks import Method, Task, split_classes
from transferlib.errors import UserError

FISHERS = [fisher, fast_fisher]
MEASURES = [*FISHERS, mas_importance, fast_mas_importance]
METHODS = {
    "plain": Method,
    "joint": Joint,
    "rehearsal": partial(Rehearsal, capacity=9),
    "l2": partial(SequentialL2SP, lam=1.0),
    "ewc": partial(SequentialEWC, lam=1.0),
    "online": partial(OnlineEWC, lam=1.0),
    "si": partial(SI, c=1.0),
    "mas": partial(MAS, lam=1.0),
}


def net(dtype: torch.dtype = torch.double, classes: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, classes)).to(dtype)


def data(dtype: torch.dtype = torch.double, n: int = 12) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 4, generator=g, dtype=torch.double).to(dtype), torch.arange(n) % 3


def pushed(model: nn.Module, by: float = 0.5) -> nn.Module:
    with torch.no_grad():
        for p in model.parameters():
            p.add_(by)
    return model


def grow(model: nn.Sequential, rows: int) -> None:
    """A head for more classes, its first rows the old ones."""
    old = model[-1]
    model[-1] = nn.Linear(old.in_features, old.out_features + rows).to(old.weight.dtype)
    with torch.no_grad():
        model[-1].weight[: old.out_features], model[-1].bias[: old.out_features] = old.weight, old.bias


def step(si: SI, model: nn.Module, by: float = 0.5) -> None:
    """One step of SI in which every weight moves by ``by``."""
    model.zero_grad()
    model(data()[0]).square().sum().backward()
    si.penalty(model)
    pushed(model, by)


# What is given is copied


def test_the_models_own_state_dict_holds_it_where_it_was():
    model = net()
    info = {n: torch.ones_like(p) for n, p in model.named_parameters()}
    ewc, l2sp = EWC(model, info, model.state_dict(), 2.0), L2SP(model, model.state_dict(), 2.0)
    pushed(model)
    wanted = 2 / 2 * 0.5**2 * sum(p.numel() for p in model.parameters())
    assert ewc.penalty(model).item() == pytest.approx(wanted)
    assert l2sp.penalty(model).item() == pytest.approx(wanted)


def test_a_fisher_that_is_added_to_later_does_not_change_the_penalty():
    model = net()
    info, star = fisher(model, data()[0]), snapshot(model)
    ewc = EWC(model, info, star, 1.0)
    before = ewc.penalty(pushed(model)).item()
    for name in info:
        info[name] += 1
        star[name] += 1
    assert ewc.penalty(model).item() == before > 0


def test_a_memory_hands_out_copies():
    memory = Reservoir(4)
    memory.add(*data(n=4))
    x, y = memory.sample(4)
    x += 1
    y += 1
    again = memory.x[:, 0].sum(), memory.y.sum()
    assert again[0] == pytest.approx(data(n=4)[0][:, 0].sum().item())
    assert again[1] == data(n=4)[1].sum()


def test_l2sp_passes_over_buffers_frozen_weights_and_second_names():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    model[1].requires_grad_(False)
    assert "2.weight" in model.state_dict()
    method = L2SP(model, model.state_dict(), 2.0)
    with torch.no_grad():
        model[0].weight += 0.5
    assert method.penalty(model).item() == pytest.approx(16 * 0.5**2)
    with pytest.raises(UserError, match=r"'body\.weight', which is not among the model's trainable"):
        L2SP(model, {"body.weight": torch.ones(1)}, 1.0)


# What is frozen, unfrozen, grown or gone


@pytest.mark.parametrize("form", [quadratic, fast_quadratic])
def test_a_penalty_on_frozen_weights_alone_is_refused(form):
    model = net()
    star = snapshot(model)
    model[0].requires_grad_(False)
    info = {n: torch.ones_like(t) for n, t in star.items()}
    assert form(pushed(model), star, info, 2.0).item() == pytest.approx(18 * 0.5**2)
    with pytest.raises(UserError, match="holds is frozen: unfreeze"):
        form(model.requires_grad_(False), star, info, 2.0)


@pytest.mark.parametrize("form", [quadratic, fast_quadratic])
def test_a_head_that_grew_is_held_by_its_old_rows(form):
    model = net()
    star = snapshot(model)
    info = {n: torch.ones_like(t) for n, t in star.items()}
    grow(model, 2)
    value = form(pushed(model), star, info, 2.0)
    assert value.item() == pytest.approx(0.5**2 * sum(t.numel() for t in star.values()))
    value.backward()
    assert torch.allclose(model[2].weight.grad[:3], torch.full((3, 5), 2.0 * 0.5).double())
    assert not model[2].weight.grad[3:].any()


def test_ewc_and_l2sp_may_be_built_after_the_head_grew():
    model = net()
    star, info = snapshot(model), fisher(model, data()[0])
    grow(model, 2)
    new = (model[2].weight[3:].square().sum() + model[2].bias[3:].square().sum()).item()
    assert EWC(model, info, star, 1.0).penalty(model).item() == 0
    assert L2SP(model, star, 4.0, lam_new=0.5).penalty(model).item() == pytest.approx(0.5 / 2 * new)
    pushed(model)
    wanted = 0.5 * 0.5**2 * sum(f.sum() for f in info.values())
    assert EWC(model, info, star, 1.0).penalty(model).item() == pytest.approx(wanted.item())


@pytest.mark.parametrize("shape", [(2, 5), (3, 6), (3,)])
def test_any_other_change_of_shape_is_refused_in_one_sentence(shape):
    model = net()
    star, info = snapshot(model), fisher(model, data()[0])
    ewc = EWC(model, info, star, 1.0)
    model[2].weight = nn.Parameter(torch.zeros(shape).double())
    with pytest.raises(UserError, match=r"shapes of '2\.weight' differ"):
        ewc.penalty(model)
    with pytest.raises(UserError, match=r"shapes of '2\.weight' differ"):
        EWC(model, info, star, 1.0)
    model[2] = nn.Identity()
    with pytest.raises(UserError, match=r"'2\.weight' is measured, but no longer a weight"):
        ewc.penalty(model)


def test_si_lets_a_weight_join_that_was_frozen_at_first():
    model = net()
    model[0].requires_grad_(False)
    si = SI(model, c=1.0)
    step(si, model)
    si.end()
    model[0].requires_grad_(True)
    joined = snapshot(model)["0.weight"]
    step(si, model)
    si.end()
    assert set(si.importance) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert torch.equal(si.theta_star["0.weight"], joined + 0.5)
    model[0].requires_grad_(False)  # and the other way: what is frozen again keeps what it has earned
    before = si.importance["0.weight"].clone()
    step(si, model, by=0.1)
    si.end()
    assert torch.equal(si.importance["0.weight"], before)


def test_si_and_mas_and_online_ewc_keep_what_the_old_rows_of_a_grown_head_have_earned():
    model = net()
    x, y = data()
    task = Task(x, y, x, y, (0, 1, 2))
    si, mas, online = SI(model, c=1.0), MAS(model, 1.0), OnlineEWC(model, 1.0)
    step(si, model, by=-0.01)
    for method in (si, mas, online):
        method.end(task, torch.arange(6))
    old = [{n: v.clone() for n, v in method.importance.items()} for method in (si, mas, online)]
    grow(model, 2)
    for method in (si, mas, online):
        assert method.penalty(model).item() == 0, "nothing has moved yet"
    si.penalty(model)
    new_mas, new_fisher = mas_importance(model, x[:6]), fisher(model, x[:6])
    step(si, model, by=-0.01)
    earned = {n: w.clone() for n, w in si.omega.items()}
    si.end(task._replace(columns=(0, 1, 2, 3, 4)), torch.arange(6))
    assert torch.equal(si.theta_star["2.weight"], model[2].weight)
    assert si.importance["2.weight"].shape == (5, 5)
    assert earned["2.weight"].shape == (5, 5)
    assert (si.importance["2.weight"][:3] >= old[0]["2.weight"]).all()
    pushed(model, 0.01)  # back, so that the measures below are those above
    for method, before, new in ((mas, old[1], new_mas), (online, old[2], new_fisher)):
        method.end(task._replace(columns=(0, 1, 2, 3, 4)), torch.arange(6))
        wanted = new["2.weight"].clone()
        wanted[:3] += before["2.weight"]
        assert torch.allclose(method.importance["2.weight"], wanted)


def test_si_that_saw_no_step_says_so():
    model = net()
    si = SI(model, 1.0)
    (model(data()[0]).sum() + si.penalty(model)).backward()  # the penalty before the backward: there is no gradient yet
    with pytest.raises(UserError, match="SI saw no step"):
        si.end()
    step(si, model)
    si.end()
    with pytest.raises(UserError, match="SI saw no step"):
        si.end()


# What a model answers


class Answer:
    def __init__(self, logits: object) -> None:
        self.logits = logits


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module, as_: object) -> None:
        super().__init__()
        self.inner, self.as_ = inner, as_

    def forward(self, x: Tensor) -> object:
        return self.as_(self.inner(x))


@pytest.mark.parametrize("measure", MEASURES)
def test_an_output_object_with_logits_is_read(measure):
    x, _ = data()
    wanted = measure(net(), x)
    found = measure(Wrapped(net(), Answer), x)
    assert all(torch.equal(found[f"inner.{n}"], v) for n, v in wanted.items())
    with pytest.raises(UserError, match="answers with a tuple, not a tensor"):
        measure(Wrapped(net(), lambda out: (out, out)), x)


def test_the_fisher_of_a_hugging_face_classifier_is_that_of_its_logits():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=8, num_labels=3, attn_implementation="eager",
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config)
    ids, y = torch.randint(20, (6, 5)), torch.arange(6) % 3
    logits = Wrapped(model, lambda out: out.logits)
    for measure in (
        fisher,
        fast_fisher,
        partial(fisher, labels="empirical"),
        partial(wrong_batched_fisher, batch_size=2),
    ):
        found, wanted = measure(model, (ids, y)), measure(logits, (ids, y))
        assert found["classifier.weight"].any()
        assert all(torch.equal(found[n.removeprefix("inner.")], v) for n, v in wanted.items())
    EWC(model, found, model.state_dict(), 1.0).penalty(pushed(model)).backward()


@pytest.mark.parametrize("measure", FISHERS)
def test_outputs_that_are_no_classes_are_refused(measure):
    x, _ = data()
    with pytest.raises(UserError, match=r"outputs are \(.*, 1\): a Fisher needs logits"):
        measure(net(classes=1), x)
    with pytest.raises(UserError, match=r"outputs are \(.*, 3, 2\)"):
        measure(Wrapped(net(classes=6), lambda out: out.view(-1, 3, 2)), x)  # (B, 6) → (B, 3, 2)


@pytest.mark.parametrize("measure", FISHERS)
def test_labels_that_are_none_are_refused(measure):
    x, y = data()
    assert measure(net(), (x, y.int()), "empirical")["0.bias"].shape == (5,)
    for wrong in (y[:-1], y.double(), y[:, None]):
        with pytest.raises(UserError, match="give each of the 12 examples a class number"):
            measure(net(), (x, wrong), "empirical")
    with pytest.raises(UserError, match="The examples are a dict: pass a tensor"):
        measure(net(), {"x": x})


# Types and devices


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("measure", MEASURES)
def test_half_precision_is_summed_in_float32_and_near_the_double(measure, dtype):
    x, _ = data(dtype, n=300)
    model = net(dtype)
    wanted = measure(net(dtype).double(), x.double())
    found = measure(model, x)
    assert all(v.dtype == torch.float32 for v in found.values())
    assert all((found[n] - v).norm() < 0.005 * v.norm() for n, v in wanted.items())


def four(dtype: torch.dtype, setting: str) -> list[Task]:
    x, y = data(dtype, n=60)[0], torch.arange(60) % 4
    return split_classes(x, y, x, y, [(0, 1), (2, 3)], setting)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_in_every_type_but_float16(name, dtype):
    model, tasks = net(dtype, classes=4), four(dtype, "class")
    table = learn_stream(model, tasks, METHODS[name](model), steps=4, examples=5)
    assert table.shape == (3, 2)
    assert all(p.dtype == dtype and p.isfinite().all() for p in model.parameters())
    model = net(torch.float16, classes=4)
    with pytest.raises(UserError, match="vanish in float16: use"):
        learn_stream(model, four(torch.float16, "class"), METHODS[name](model), steps=4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("measured", [torch.float32, None])
def test_a_penalty_is_computed_in_the_wider_type_and_its_gradient_has_the_weights_own(dtype, measured):
    model = net(dtype)
    info = {n: torch.full(p.shape, 1e-3, dtype=measured or dtype) for n, p in model.named_parameters()}
    value = EWC(model, info, snapshot(model), 2.0).penalty(pushed(model))
    assert value.dtype == torch.promote_types(dtype, torch.float32)
    assert value.item() == pytest.approx(1e-3 * 0.25 * sum(p.numel() for p in model.parameters()), rel=0.01)
    value.backward()
    assert model[0].weight.grad.dtype == dtype


@pytest.mark.parametrize("name", METHODS)
def test_every_tensor_made_inside_follows_its_input(name):
    """Whatever names no device is made on another one here, and cannot meet the model's tensors."""
    x, y = data()
    with torch.device("meta"):
        for setting in ("task", "domain", "class"):
            with torch.device("cpu"):
                twin, model, parts = net(classes=4), net(classes=4), four(torch.double, "class")
                x4, y4 = (torch.cat([part[i] for part in parts]) for i in (0, 1))
                learn_stream(twin, four(torch.double, setting), METHODS[name](twin), steps=9, examples=5)
            tasks = split_classes(x4, y4, x4, y4, [(0, 1), (2, 3)], setting)
            learn_stream(model, tasks, METHODS[name](model), steps=9, examples=5)
            # Rows picked by an index of another device come out as anything, without an error.
            assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
        for labels in ("exact", "sample", "empirical"):
            assert fisher(model, (x, y), labels)["0.weight"].device.type == "cpu"
            assert fast_fisher(model, (x, y), labels)["0.weight"].device.type == "cpu"
        wrong_batched_fisher(model, (x, y), 4)
        assert answers(model, tasks[0], (0, 1, 2, 3)).device.type == "cpu"


# Numbers that are none, and tables that are too small


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused_where_they_enter(bad):
    model = net()
    info, star = fisher(model, data()[0]), snapshot(model)
    for spoilt in (info, star):
        kept, spoilt["0.weight"] = spoilt["0.weight"], spoilt["0.weight"].index_fill(0, torch.tensor(2), bad)
        with pytest.raises(UserError, match=r"EWC: '0\.weight' holds NaN, an infinity"):
            EWC(model, info, star, 1.0)
        spoilt["0.weight"] = kept
    with pytest.raises(UserError, match=r"L2SP: '0\.weight' holds NaN"):
        L2SP(model, star | {"0.weight": star["0.weight"] * bad}, 1.0)
    with pytest.raises(UserError, match="a stiffness below 0"):
        EWC(model, {n: -f for n, f in info.items()}, star, 1.0)


@pytest.mark.parametrize("measure", [*MEASURES, partial(wrong_batched_fisher, batch_size=4)])
def test_a_measure_that_is_not_finite_names_the_weight(measure):
    x, y = data()
    given = x if measure in (mas_importance, fast_mas_importance) else (x, y)
    measure(net(), given)
    x[3, 1] = torch.nan
    with pytest.raises(UserError, match=r"of '0\.weight' is not finite: look for NaN in x"):
        measure(net(), given)


@pytest.mark.parametrize("number", [forgetting, backward_transfer, forward_transfer])
def test_the_numbers_of_a_stream_need_two_tasks(number):
    x, y = data()
    model = net()
    one = learn_stream(model, [Task(x, y, x, y, (0, 1, 2))], Method(model), steps=1)
    with pytest.raises(UserError, match=r"at least two tasks.*not \(2, 1\): learn another task"):
        number(one)


# Right by construction


class Mixing(nn.Module):
    """Each row's output depends on the other rows of its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x - 0.1 * x.mean(0))


def test_the_fast_path_is_not_taken_where_a_model_mixes_the_rows_of_a_batch():
    torch.manual_seed(0)
    model, (x, _) = Mixing().double(), data()
    for fast, plain in ((fast_fisher, fisher), (fast_mas_importance, mas_importance)):
        found, wanted = fast(model, x), plain(model, x)
        assert all(torch.allclose(found[n], wanted[n]) for n in wanted)


def test_a_layer_that_is_left_out_has_no_fisher_in_batches_either():
    x, y = data()
    model = nn.ModuleDict({"used": nn.Linear(4, 3), "idle": nn.Linear(4, 3)}).double()
    model.forward = lambda x: model["used"](x)
    found = wrong_batched_fisher(model, (x, y), 4)
    assert found["used.weight"].any()
    assert not found["idle.weight"].any()


def test_the_exact_fisher_is_what_finite_differences_of_the_log_probabilities_say():
    x, _ = data()
    model, h = net(), 1e-5
    found, p = fisher(model, x), model(x).softmax(1).detach()
    for name, weight in model.named_parameters():
        for place in [(0,) * weight.dim(), tuple(n - 1 for n in weight.shape)]:
            with torch.no_grad():
                weight[place] += h
                up = model(x).log_softmax(1)
                weight[place] -= 2 * h
                down = model(x).log_softmax(1)
                weight[place] += h
            slope = (up - down) / (2 * h)  # (N, C)
            assert found[name][place].item() == pytest.approx((p * slope**2).sum(1).mean().item(), rel=1e-6), name


def test_answers_are_measured_in_eval_mode_and_move_no_statistics():
    x, y = data()
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.9), nn.Linear(8, 3)).double().train()
    before = {n: b.clone() for n, b in model.named_buffers()}
    task = Task(x, y, x, y, (0, 1, 2))
    found = {float(answers(model, task, task.columns).float().mean()) for _ in range(5)}
    assert all(part.training for part in model.modules())
    with torch.no_grad():
        assert found == {float((model.eval()(x).argmax(1) == y).float().mean())}
    assert all(torch.equal(b, before[n]) for n, b in model.named_buffers())
