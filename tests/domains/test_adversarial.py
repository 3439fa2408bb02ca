import copy
import math

import pytest
import torch
from torch import nn

from transferlib.domains.adversarial import (
    dann_losses,
    dann_schedule,
    domain_batches,
    domain_head,
    fit_dann,
    gradient_reversal,
)
from transferlib.errors import UserError


def test_reversal_is_the_identity_forwards():
    x = torch.randn(3, 2)
    assert torch.equal(gradient_reversal(x, 0.7), x)


def test_reversal_gradient_is_minus_strength_times_finite_differences():
    torch.manual_seed(0)
    x, strength, step = torch.randn(5, dtype=torch.float64, requires_grad=True), 0.3, 1e-6

    def plain(v):
        return (v.sin() * v).sum()

    plain(gradient_reversal(x, strength)).backward()
    with torch.no_grad():
        moves = step * torch.eye(5, dtype=torch.float64)
        slope = torch.stack([(plain(x + m) - plain(x - m)) / (2 * step) for m in moves])
    assert torch.allclose(x.grad, -strength * slope, atol=1e-8)


def test_schedule_reaches_the_papers_values():
    assert dann_schedule(0.0) == 0
    assert dann_schedule(0.5) == pytest.approx(0.98661, abs=1e-5)
    # A default of γ = 1, met in the field, stops at 0.46.
    assert dann_schedule(1.0) == pytest.approx(0.99991, abs=1e-5)
    with pytest.raises(UserError, match=r"progress is 1\.5"):
        dann_schedule(1.5)


def test_encoder_climbs_and_domain_head_descends_the_domain_loss():
    torch.manual_seed(0)
    encoder, head, domain = nn.Linear(4, 3).double(), nn.Linear(3, 2).double(), domain_head(3, 5).double()
    xs, xt, ys, strength = torch.randn(6, 4).double(), torch.randn(8, 4).double(), torch.randint(2, (6,)), 0.4
    label_loss, domain_loss = dann_losses(encoder, head, domain, xs, ys, xt, strength)
    (label_loss + domain_loss).backward()

    features = encoder(torch.cat([xs, xt]))
    label = nn.functional.cross_entropy(head(features[:6]), ys)
    guess, bce = domain(features)[:, 0], nn.functional.binary_cross_entropy_with_logits
    wrong = bce(guess[:6], torch.zeros(6).double()) + bce(guess[6:], torch.ones(8).double())  # a mean each
    expected = torch.autograd.grad(label - strength * wrong, encoder.weight, retain_graph=True)[0]
    assert torch.allclose(encoder.weight.grad, expected)
    assert torch.allclose(domain[0].weight.grad, torch.autograd.grad(wrong, domain[0].weight)[0])


def test_batches_are_whole_disjoint_and_reshuffled():
    pairs = list(domain_batches((10, 3), 4, 4, torch.Generator().manual_seed(0)))
    assert all(len(s) == 4 and len(t) == 3 for s, t in pairs)
    assert len(set(torch.cat([pairs[0][0], pairs[1][0]]).tolist())) == 8
    assert not torch.equal(pairs[0][0], pairs[2][0])


def shifted(seed):
    """Two classes along axis 0; axis 1 repeats the class in the source and is useless, and moved, in the target."""
    g = torch.Generator().manual_seed(seed)
    ys, yt = torch.randint(2, (300,), generator=g), torch.randint(2, (300,), generator=g)
    xs = torch.stack([2.0 * ys - 1, 2.0 * ys - 1], 1) + 0.5 * torch.randn(300, 2, generator=g)
    xt = torch.stack([2.0 * yt - 1, torch.full((300,), 2.0)], 1) + 0.5 * torch.randn(300, 2, generator=g)
    return xs, ys, xt, yt


def run(max_strength, seed=0):
    xs, ys, xt, yt = shifted(seed)
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    head, domain = nn.Linear(2, 2), domain_head(2, 16)
    history = fit_dann(encoder, head, domain, xs, ys, xt, steps=400, lr=3e-3, max_strength=max_strength, seed=seed)
    with torch.no_grad():
        return float((head(encoder(xt)).argmax(1) == yt).float().mean()), history


def test_dann_confuses_the_domain_head_and_strength_zero_is_source_only():
    plain, plain_history = run(0.0)
    dann, history = run(1.0)
    late = sum(h["domain_loss"] for h in history[-50:]) / 50
    plain_late = sum(h["domain_loss"] for h in plain_history[-50:]) / 50
    assert plain_late < 1.0 < late < 2 * math.log(2) + 0.1
    assert dann > plain + 0.05
    assert history[0]["strength"] == 0
    assert history[-1]["strength"] > 0.999


def test_the_same_seed_gives_the_same_history():
    assert run(1.0)[1] == run(1.0)[1]


def test_bad_input_gets_one_sentence():
    encoder, head, domain = nn.Linear(2, 2), nn.Linear(2, 2), domain_head(2)
    x, y = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])
    with pytest.raises(UserError, match="0 target"):
        fit_dann(encoder, head, domain, x, y, x[:0], steps=1)
    with pytest.raises(UserError, match="3 labels"):
        fit_dann(encoder, head, domain, x, y[:3], x, steps=1)
    before = copy.deepcopy(encoder.state_dict())
    with pytest.raises(UserError, match="not finite at step 0"):
        fit_dann(encoder, head, domain, x * float("nan"), y, x, steps=1)
    assert torch.equal(before["weight"], encoder.weight)


def test_each_domain_counts_alike_however_many_examples_it_brings():
    torch.manual_seed(0)
    head, domain, x = nn.Linear(2, 2), domain_head(2), torch.randn(3, 2)
    y, few = torch.tensor([0, 1, 0]), torch.randn(2, 2)

    def loss(target):
        return dann_losses(nn.Identity(), head, domain, x, y, target, 1.0)[1].item()

    assert loss(few.repeat(50, 1)) == pytest.approx(loss(few), rel=1e-5)
    for p in domain.parameters():
        nn.init.zeros_(p)
    assert loss(few) == pytest.approx(2 * math.log(2))  # the docstring's number for domains that look alike


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.tensor([[0], [1], [0], [1]]), r"shape \(4, 1\).*squeeze\(1\)"),
        (torch.tensor([0.0, 1.0, 0.0, 1.0]), "torch.float32"),
        (torch.tensor([1, 2, 1, 2]), "from 1 to 2, but classes count from 0 to 1.*subtract 1"),
        (torch.tensor([0, -100, 0, 1]), "from -100 to 1"),
    ],
)
def test_labels_that_are_no_class_numbers_get_one_sentence(y, words):
    x = torch.randn(4, 2)
    with pytest.raises(UserError, match=words):
        fit_dann(nn.Linear(2, 2), nn.Linear(2, 2), domain_head(2), x, y, x, steps=1)


@pytest.mark.parametrize("kind", [torch.int32, torch.bool, torch.uint8])
def test_labels_of_another_whole_type_train_like_int64(kind):
    def history(y):
        torch.manual_seed(0)
        x, parts = torch.randn(8, 2), (nn.Linear(2, 2), nn.Linear(2, 2), domain_head(2))
        return fit_dann(*parts, x, y, x + 1, steps=3)

    y = torch.arange(8) % 2
    assert history(y.to(kind)) == history(y)
