"""What a function makes inside is on its input's device and in its precision, whatever PyTorch's defaults are.

Each case runs plainly and then four times more: with a default device that holds no numbers ("meta": what forgets its
device lands there), with float64 as default precision, on a GPU that is pretended, and on float64 inputs.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pretend import PretendGpu, marked, tensors
from torch import Tensor, nn

from transferlib.backbones import features as backbone_features
from transferlib.backbones import filters, simclr
from transferlib.domains import adversarial, alignment, at_test_time, label_shift, reweighting, sar, similarity, tent
from transferlib.errors import UserError
from transferlib.incontext import calibration, ranking, scoring
from transferlib.meta.episodes import Episode, episodes
from transferlib.meta.maml import maml_adapt, maml_loss
from transferlib.meta.prototypes import prototypes, prototypical_loss
from transferlib.meta.reptile import reptile_step
from transferlib.multitask.gradients import gradient_cosine
from transferlib.multitask.gradnorm import GradNorm
from transferlib.multitask.pcgrad import pcgrad
from transferlib.preference import best_of_n, dpo, ipo, leash, log_probs, policy_gradient, ppo, reward_model
from transferlib.tuning import cost, lpft, probes, training, wise_ft
from transferlib.zeroshot import names, tip_adapter


class Inputs:
    """Everything that the cases eat, made before any default is changed; ``put`` moves it."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        g, self.dtype = torch.Generator().manual_seed(0), dtype

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

        self.x, self.z, self.y = draw(20, 6), draw(20, 6) + 1, torch.arange(20) % 2
        self.w, self.kernels = draw(20).abs() + 0.1, draw(8, 3, 3, 3)
        self.p = draw(20, 3).softmax(1)
        self.logits, self.other = draw(2, 5, 7), draw(2, 5, 7)
        self.ids, self.mask = torch.randint(7, (2, 5), generator=g), torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
        self.a, self.b = draw(4), draw(4)
        self.images = torch.randint(256, (6, 3, 8, 8), generator=g, dtype=torch.uint8)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)).to(dtype)
            self.layer = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2)).to(dtype)
            self.plain = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).to(dtype)
            self.body, self.head = nn.Linear(6, 5).to(dtype), nn.Linear(5, 2).to(dtype)
            self.domain = adversarial.domain_head(5, 4).to(dtype)
            self.words = Words().to(dtype)
            self.pixels = Pixels().to(dtype)

    def put(self, move: Callable[[Any], Any]) -> "Inputs":
        for value in vars(self).values():
            if isinstance(value, (Tensor, nn.Module)):
                move(value)
        return self


class Words(nn.Module):
    """A causal language model over 50 letters, and an encoder of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(50, 8), nn.Linear(8, 50)

    def encode(self, texts: list[str]) -> Tensor:
        return torch.tensor([[ord(t[0]) % 50] for t in texts], device="cpu")

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        hidden = self.embed(input_ids)
        return hidden[:, 0] if attention_mask is None else SimpleNamespace(logits=self.out(hidden.cumsum(1)))


class Pixels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.to(self.layer.weight.dtype).flatten(1) / 255)


LETTERS = SimpleNamespace(encode=lambda text, add_special_tokens: [ord(c) % 50 for c in text])


def weights(model: nn.Module) -> list[Tensor]:
    return [t for t in model.state_dict(keep_vars=True).values() if t.is_floating_point()]


def after(act: Callable[[], Any], model: nn.Module) -> list[Tensor]:
    act()
    return weights(model)


def one_episode(i: Inputs) -> Episode:
    return next(episodes(i.x, i.y, ways=2, shots=3, queries=2, seed=0, count=1))


def grad_norm(i: Inputs) -> Tensor:
    norm = GradNorm(["a", "b"])
    losses = [i.plain(i.x).square().mean() * k for k in (1, 5)]
    norm.update(dict(zip("ab", losses, strict=True)), i.plain[0].weight)
    return norm.update(dict(zip("ab", losses, strict=True)), i.plain[0].weight)


def name_map(i: Inputs) -> Any:
    fitted = names.fit_name_map(i.x, i.z)
    return fitted.matrix, fitted.weights(i.x), fitted.scores(i.z, i.x)


def fit_dann(i: Inputs) -> list[Tensor]:
    return after(lambda: adversarial.fit_dann(i.body, i.head, i.domain, i.x, i.y, i.z, 3, batch_size=8), i.body)


# Results are compared in all runs. "float32 always" marks what has one precision by contract.
CASES: dict[str, Callable[[Inputs], Any]] = {
    "covariance": lambda i: alignment.covariance(i.x),
    "coral": lambda i: alignment.coral(i.x, i.z),
    "mmd": lambda i: alignment.mmd(i.x, i.z),
    "mmd biased": lambda i: alignment.mmd(i.x, i.z, biased=True),
    "coral_recolour": lambda i: alignment.coral_recolour(i.x, i.z),
    "density_ratio": lambda i: reweighting.density_ratio(i.x, i.z),
    "density_ratio folds": lambda i: reweighting.density_ratio(i.x, i.z, folds=2),
    "check_weights": lambda i: reweighting.check_weights(i.w, 20),
    "weighted_ridge": lambda i: reweighting.weighted_ridge(i.x, i.y, i.w),
    "weighted_logistic": lambda i: reweighting.weighted_logistic(i.x, i.y, i.w),
    "target_shares": lambda i: label_shift.target_shares(i.p, i.p.mean(0)),
    "with_shares": lambda i: label_shift.with_shares(i.p, i.p.mean(0), i.p[0]),
    "nearest_neighbours": lambda i: similarity.nearest_neighbours(i.x, i.z, batch_size=8),
    "nearest_neighbours itself": lambda i: similarity.nearest_neighbours(i.x, i.x, batch_size=8, exclude_self=True),
    "near_duplicates": lambda i: similarity.near_duplicates(i.x, i.x[:5]),
    "dann_losses": lambda i: adversarial.dann_losses(i.body, i.head, i.domain, i.x, i.y, i.z, 0.5),
    "fit_dann": fit_dann,
    "entropy": lambda i: tent.entropy(i.x),
    "reestimate_batchnorm": lambda i: weights(at_test_time.reestimate_batchnorm(i.net, [i.x, i.z], prior=5)),
    "Tent BatchNorm": lambda i: after(lambda: tent.Tent(i.net).adapt(i.x), i.net),
    "Tent LayerNorm": lambda i: after(lambda: tent.Tent(i.layer).adapt(i.x), i.layer),
    "Sar": lambda i: after(lambda: sar.Sar(i.layer, certain=1.0).adapt(i.x), i.layer),
    "episodes": lambda i: list(one_episode(i)),
    "prototypes": lambda i: prototypes(i.x, i.y, 2),
    "prototypical_loss": lambda i: prototypical_loss(i.x, i.y, i.z, i.y, 2),
    "maml_adapt": lambda i: list(maml_adapt(i.plain, i.x, i.y, 0.1, 2).values()),
    "maml_loss": lambda i: maml_loss(i.plain, [one_episode(i)], 0.1, 2),
    "reptile_step": lambda i: after(
        lambda: reptile_step(i.plain, [maml_adapt(i.plain, i.x, i.y, 0.1, 2)], 0.5), i.plain
    ),
    "gradient_cosine": lambda i: gradient_cosine(
        i.plain(i.x).sum(), i.plain(i.z).square().sum(), list(i.plain.parameters())
    ),
    "GradNorm": grad_norm,
    "pcgrad": lambda i: pcgrad(i.x[:2]),
    "token_log_probs": lambda i: log_probs.token_log_probs(i.logits, i.ids),
    "sequence_log_probs": lambda i: log_probs.sequence_log_probs(i.logits, i.ids, i.mask),
    "reward_loss": lambda i: reward_model.reward_loss(i.a, i.b),
    "dpo_loss": lambda i: dpo.dpo_loss(i.a, i.b, i.b, i.a, 0.1),
    "ppo_loss": lambda i: ppo.ppo_loss(i.logits[..., 0], i.other[..., 0], i.a[:2], i.mask),
    "kl": lambda i: log_probs.kl(i.logits, i.other, i.mask[:1]),
    "leashed_reward": lambda i: leash.leashed_reward(i.a, i.b, i.a, 0.1),
    "advantages": lambda i: policy_gradient.advantages(i.a),
    "group_advantages": lambda i: policy_gradient.group_advantages(i.a),
    "policy_gradient_loss": lambda i: policy_gradient.policy_gradient_loss(i.a, i.b),
    "fit_reward (float64 always)": lambda i: reward_model.fit_reward(i.x, i.z, 0.5),
    "tilted": lambda i: leash.tilted(i.p.log(), i.p, 0.5),
    "ipo_loss": lambda i: ipo.ipo_loss(i.a, i.b, i.b, i.a, 0.1),
    "best_of_n": lambda i: best_of_n.best_of_n(i.a, i.b, 2),
    "best_of_n_shares": lambda i: best_of_n.best_of_n_shares(i.p[:, 0], i.p[:, 1], 3),
    "contextual": lambda i: calibration.contextual(i.x, i.z),
    "batch": lambda i: calibration.batch(i.x),
    "auc_parts": lambda i: ranking.auc_parts(i.x[:, 0], i.y),
    "score_labels (float32 always)": lambda i: scoring.score_labels(i.words, LETTERS, ["ab", "c"], ["x", "yz"], 2),
    "name_vectors": lambda i: names.name_vectors(i.words, ["cat", "dog"], ["{}", "a {}"]),
    "fit_name_map": name_map,
    "cache_scores": lambda i: tip_adapter.cache_scores(i.x, i.z, i.y, 2, beta=2.0),
    "tip_adapter": lambda i: tip_adapter.tip_adapter(i.x, i.x, 0.5),
    "nt_xent": lambda i: simclr.nt_xent(i.x, i.z),
    "two_views": lambda i: simclr.two_views(i.images, torch.Generator().manual_seed(0)),
    "fit_simclr": lambda i: after(lambda: simclr.fit_simclr(i.pixels, i.images, 4, 2, 3), i.pixels),
    "grey_kernels (float64 always)": lambda i: filters.grey_kernels(i.kernels),
    "gabor_fit (float64 always)": lambda i: filters.gabor_fit(i.kernels[:, 0]),
    "flip_and_shift": lambda i: training.flip_and_shift(i.images, torch.Generator().manual_seed(0)),
    "ridge_path": lambda i: probes.ridge_path(i.x, i.z, [0.1, 1.0]),
    "fit_probe": lambda i: list(probes.fit_probe(i.x, i.y)[:2]),
    "fit_probe balanced": lambda i: list(probes.fit_probe(i.x, i.y, balanced=True)[:2]),
    "Probe.predict": lambda i: probes.fit_probe(i.x, i.y).predict(i.z),
    "interpolate": lambda i: list(wise_ft.interpolate({"w": i.x}, {"w": i.z}, 0.3).values()),
}
# Numbers and what ends on the CPU: the same in all runs, but on no device.
NUMBERS: dict[str, Callable[[Inputs], Any]] = {
    "median_bandwidth": lambda i: alignment.median_bandwidth(i.x, i.z),
    "starting_scale": lambda i: alignment.starting_scale(i.w[0], i.w[1]),
    "effective_sample_size": lambda i: reweighting.effective_sample_size(i.w),
    "linear_cka": lambda i: similarity.linear_cka(i.x, i.z),
    "linear_cka debiased": lambda i: similarity.linear_cka(i.x, i.z, debiased=True),
    "count_edge_detectors": lambda i: filters.count_edge_detectors(i.kernels)[1],
    "score_scale": lambda i: lpft.score_scale(i.x, i.y, probes.fit_probe(i.x, i.y)),
    "probe_curve": lambda i: probes.probe_curve(i.x, i.y, i.z, i.y, [1, 3], [0, 1]).sum(),
    "trainable": lambda i: cost.trainable(i.plain),
    "task_bytes": lambda i: cost.task_bytes(i.plain) / i.x.element_size(),
    "fit": lambda i: training.fit(i.plain, i.x, i.y, steps=3)["loss"][-1],
    "evaluate": lambda i: training.evaluate(i.plain, i.x, i.y),
    "features": lambda i: backbone_features.features(i.body, i.x).double().sum().item(),
}
# A module that runs where the caller says runs on the CPU here, so it is not asked to stay on the pretended GPU.
ON_CPU = {"fit", "evaluate", "features"}


def results(case: Callable[[Inputs], Any], i: Inputs) -> list[Tensor]:
    found = case(i)
    return list(tensors(found)) if not isinstance(found, (int, float)) else [torch.tensor(found, device="cpu")]


def alike(found: list[Tensor], wanted: list[Tensor], atol: float = 1e-5) -> None:
    assert len(found) == len(wanted) > 0
    for a, b in zip(found, wanted, strict=True):
        assert a.device.type != "meta"
        torch.testing.assert_close(a.double(), b.double(), atol=atol, rtol=1e-3)


@pytest.mark.parametrize("name", [*CASES, *NUMBERS])
def test_a_default_device_is_not_where_things_are_made(name: str) -> None:
    case = (CASES | NUMBERS)[name]
    wanted, i = results(case, Inputs()), Inputs()
    with torch.device("meta"):
        found = results(case, i)
    alike(found, wanted)


@pytest.mark.parametrize("name", [*CASES, *NUMBERS])
def test_a_default_precision_changes_no_result(name: str) -> None:
    case = (CASES | NUMBERS)[name]
    wanted, i = results(case, Inputs()), Inputs()
    torch.set_default_dtype(torch.float64)
    try:
        found = results(case, i)
    finally:
        torch.set_default_dtype(torch.float32)
    alike(found, wanted)
    if name in CASES:
        assert [t.dtype for t in found] == [t.dtype for t in wanted]


@pytest.mark.parametrize("name", [n for n in (CASES | NUMBERS) if n not in ON_CPU])
def test_on_a_gpu_everything_is_on_the_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = (CASES | NUMBERS)[name]
    wanted, i = results(case, Inputs()), Inputs()
    with PretendGpu() as gpu:
        # An autograd function hands out a tensor that has lost its mark.
        reverse = adversarial.gradient_reversal
        monkeypatch.setattr(adversarial, "gradient_reversal", lambda x, s: gpu(reverse(x, s)))
        found = results(case, i.put(gpu))
        assert name in NUMBERS or all(map(marked, found))
    alike(found, wanted)


@pytest.mark.parametrize("name", CASES)
def test_float64_stays_float64(name: str) -> None:
    wanted, found = results(CASES[name], Inputs()), results(CASES[name], Inputs(torch.float64))
    one = torch.float32 if "float32 always" in name else torch.float64
    assert {t.dtype for t in found if t.is_floating_point()} <= {one}
    alike(found, wanted, atol=1e-3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_half_precision_gives_finite_numbers_or_a_sentence(name: str, kind: torch.dtype) -> None:
    found, said = [], "float32"
    try:
        found = results(CASES[name], Inputs(kind))
    except UserError as error:
        said = str(error)
    assert "float32" in said and all(bool(torch.isfinite(t).all()) for t in found)


def test_the_pretended_gpu_is_as_strict_as_a_real_one() -> None:
    x, other = torch.randn(3, 2), torch.randn(3, 2)
    with PretendGpu() as gpu:
        gpu(x)
        for wrong in (
            lambda: x + other,
            lambda: torch.cat([x, other]),
            lambda: other[x[:, 0].argsort()],
            lambda: torch.eye(2) @ x.T,
            lambda: nn.functional.mse_loss(x, other),
            lambda: torch.rand(3, generator=torch.Generator(), device=x.device),
        ):
            with pytest.raises(RuntimeError):
                wrong()
        with pytest.raises(TypeError, match="numpy"):
            x.numpy()
        assert not marked(x.cpu()) and marked(x.cpu().to(x)) and marked(x[torch.tensor([0])]) and marked(x * 2 + 1)
        assert marked(torch.zeros(2, device=x.device)) and not marked(torch.zeros(2))
