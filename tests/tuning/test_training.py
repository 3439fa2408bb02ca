"""The loop: it learns, repeats itself, keeps to its schedule, and stops with a sentence when it diverges."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms.functional import crop, hflip, pad

from transferlib.backbones.features import features
from transferlib.backbones.freezing import freeze
from transferlib.backbones.images import image_backbone
from transferlib.errors import UserError
from transferlib.tuning import training
from transferlib.tuning.learning_rates import param_groups
from transferlib.tuning.strategies import fine_tune, from_scratch, linear_probe
from transferlib.tuning.training import batches, evaluate, fit, flip_and_shift, logits, predict

G = torch.Generator().manual_seed(0)
Y = torch.arange(60) % 3
X = torch.randint(90, (60, 1, 8, 8), dtype=torch.uint8, generator=G) + (80 * Y).to(torch.uint8)[:, None, None, None]


def cnn(seed: int = 0):
    return from_scratch(3, "small-cnn", size=8, seed=seed)


def test_it_learns_and_scores():
    model = cnn()
    history = fit(model, X[:40], Y[:40], epochs=8, batch_size=16)
    assert len(history["loss"]) == 8 * 3
    assert history["loss"][-1] < history["loss"][0] / 2
    assert evaluate(model, X[40:], Y[40:]) == pytest.approx(float((predict(model, X[40:]) == Y[40:]).double().mean()))
    assert evaluate(model, X[40:], Y[40:]) > 0.9
    assert not any(m.training for m in model.modules())


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_does_not():
    def weights(seed):
        model = cnn()
        model.head = nn.Sequential(nn.Dropout(0.5), model.head)
        fit(model, X, Y, epochs=1, seed=seed, augment=flip_and_shift)
        return torch.cat([p.flatten() for p in model.parameters()])

    torch.manual_seed(1)
    first = weights(3)
    torch.manual_seed(2)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)


def test_the_callers_random_numbers_are_left_alone():
    model = cnn()
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    fit(model, X, Y, steps=2)
    assert torch.equal(torch.rand(2), expected)


def test_it_is_adamw_on_cross_entropy_step_by_step():
    x, y = torch.randn(10, 4), torch.arange(10) % 3
    ours, by_hand = nn.Linear(4, 3), nn.Linear(4, 3)
    by_hand.load_state_dict(ours.state_dict())
    history = fit(ours, x, y, lr=0.1, epochs=3, batch_size=4, seed=5, schedule="constant", weight_decay=0.2)
    optimiser, order = (
        torch.optim.AdamW(by_hand.parameters(), lr=0.1, weight_decay=0.2),
        torch.Generator().manual_seed(5),
    )
    losses = []
    for _ in range(3):
        for rows in torch.randperm(10, generator=order).split(4):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(by_hand(x[rows]), y[rows])
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert history["loss"] == losses
    assert torch.equal(ours.weight, by_hand.weight)


@pytest.mark.parametrize(
    ("schedule", "shape"),
    [
        ("constant", lambda t: 1.0),
        ("cosine", lambda t: (1 + math.cos(math.pi * t)) / 2),
        ("one-cycle", lambda t: (t + 0.01) / 0.31 if t < 0.3 else (1 + math.cos(math.pi * (t - 0.3) / 0.7)) / 2),
    ],
)
def test_every_group_follows_the_schedule_from_its_own_rate(schedule, shape, monkeypatch):
    seen = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self, *a: (seen.append([g["lr"] for g in self.param_groups]), step(self, *a))[1],
    )
    model = cnn()
    history = fit(model, X, Y, groups=param_groups(model, 1e-2, 1e-4), steps=20, schedule=schedule)
    expected = np.array([[1e-2 * shape(k / 20), 1e-4 * shape(k / 20)] for k in range(20)])
    np.testing.assert_allclose(seen, expected)
    np.testing.assert_allclose(history["lr"], expected[:, 0])


def test_a_last_batch_of_one_joins_the_batch_before():
    sizes = [len(b) for b in batches(9, 4, torch.Generator())]
    assert sizes == [4, 5]
    assert [len(b) for b in batches(10, 4, torch.Generator())] == [4, 4, 2]
    assert [len(b) for b in batches(1, 4, torch.Generator())] == [1]
    assert sorted(torch.cat(batches(9, 4, torch.Generator())).tolist()) == list(range(9))
    model = from_scratch(3, image_backbone("small-cnn", False, size=8))
    model.head = nn.Sequential(nn.BatchNorm1d(512), model.head)  # has no variance in a batch of one
    fit(model, X[:9], Y[:9], epochs=1, batch_size=4)


def test_a_frozen_backbone_is_run_once_and_gives_what_running_it_each_step_gives(monkeypatch):
    source = cnn().backbone.state_dict()
    probe = linear_probe(3, image_backbone("small-cnn", False, size=8))
    probe.backbone.load_state_dict(source)
    slow, before = copy.deepcopy(probe), copy.deepcopy(probe.backbone.state_dict())
    calls = []
    probe.backbone.body.register_forward_hook(lambda *_: calls.append(1))
    fit(probe, X, Y, epochs=5)
    assert len(calls) == 1
    monkeypatch.setattr(training, "is_frozen", lambda module: False)
    fit(slow, X, Y, epochs=5)
    torch.testing.assert_close(slow.head.weight, probe.head.weight, atol=1e-5, rtol=1e-4)
    for model in (probe, slow):
        assert all(torch.equal(v, before[k]) for k, v in model.backbone.state_dict().items())


def test_only_what_is_trainable_moves():
    model = fine_tune(3, image_backbone("small-cnn", False, size=8))
    model.backbone.body.blocks[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    fit(model, X, Y, steps=3, weight_decay=0.5)
    moved = {k.split(".")[3] for k, v in model.state_dict().items() if "blocks" in k and not torch.equal(v, before[k])}
    assert moved == {"1", "2"}


def test_a_penalty_is_part_of_the_loss():
    model = cnn()
    free, held = copy.deepcopy(model), copy.deepcopy(model)
    start = model.head.weight.detach().clone()
    fit(free, X, Y, steps=10)
    fit(held, X, Y, steps=10, penalty=lambda m: 1e4 * (m.head.weight - start).square().sum())
    assert (held.head.weight - start).norm() < (free.head.weight - start).norm() / 3


def test_bfloat16_learns_too_and_leaves_float32_weights():
    model = cnn()
    history = fit(model, X, Y, epochs=3, amp=True)
    assert history["loss"][-1] < history["loss"][0]
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_running_statistics_end_up_being_those_of_the_final_weights():
    model = cnn()
    model.head = nn.Sequential(nn.BatchNorm1d(512), model.head)
    model.backbone.body.blocks[2][1] = freeze(model.backbone.body.blocks[2][1])
    frozen = model.backbone.body.blocks[2][1].running_mean.clone()
    fit(model, X[:50], Y[:50], steps=5)
    first = model.backbone.body.blocks[0]
    with torch.no_grad():
        z = first[0](model.backbone.mean.new_tensor(X[:50].float().numpy() / 255).expand(-1, 3, -1, -1) * 2 - 1)
    torch.testing.assert_close(first[1].running_mean, z.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(first[1].running_var, z.var((0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert first[1].momentum == 0.1
    assert torch.equal(model.backbone.body.blocks[2][1].running_mean, frozen)
    lagging = cnn()
    fit(lagging, X[:50], Y[:50], steps=5, refresh=False)
    assert (lagging.backbone.body.blocks[0][1].running_var - first[1].running_var).abs().max() > 0.05


def test_a_frozen_backbone_with_batch_norm_in_the_head_is_refreshed_on_the_heads_inputs():
    model = linear_probe(3, image_backbone("small-cnn", False, size=8))
    model.head = nn.Sequential(nn.BatchNorm1d(512), model.head)
    fit(model, X[:50], Y[:50], steps=2)
    torch.testing.assert_close(model.head[0].running_mean, features(model.backbone, X[:50]).mean(0))


def test_divergence_stops_at_once_and_names_the_rate():
    model = cnn()
    with pytest.raises(UserError, match=r"diverged at step \d of 50: .* lr = 1e\+20 in group 'head'; try a tenth"):
        fit(model, X, Y, groups=param_groups(model, 1e20, 1e-3), steps=50, schedule="constant")


def test_texts_are_encoded_by_the_model():
    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(1, 2)

        def encode(self, texts):
            return torch.tensor([[len(t)] for t in texts])

        def forward(self, ids):
            return self.head(ids.float())

    model, texts, y = Bag(), ["a", "a long text", "b", "another one"], torch.tensor([0, 1, 0, 1])
    fit(model, texts, y, lr=0.1, steps=100)
    assert evaluate(model, texts, y) == 1.0
    assert logits(model, texts).shape == (4, 2)


def test_flip_and_shift_moves_pixels_and_invents_none():
    x = torch.randint(256, (64, 3, 6, 9), dtype=torch.uint8)
    out = flip_and_shift(x, torch.Generator().manual_seed(0))
    assert out.shape == x.shape
    assert out.dtype == torch.uint8
    assert torch.equal(flip_and_shift(x, torch.Generator().manual_seed(0)), out)
    still = flip_and_shift(x, torch.Generator().manual_seed(1), pixels=0)
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(still, x, strict=True)])
    untouched = torch.tensor([torch.equal(a, b) for a, b in zip(still, x, strict=True)])
    assert (mirrored ^ untouched).all()
    assert 20 < mirrored.sum() < 44


@pytest.mark.parametrize("seed", range(6))
def test_flip_and_shift_is_torchvisions_flip_pad_and_crop(seed):
    x = torch.randint(256, (8, 3, 6, 9), dtype=torch.uint8)
    g = torch.Generator().manual_seed(seed)
    flip = torch.rand(8, generator=g) < 0.5
    down, right = torch.randint(-2, 3, (2,), generator=g).tolist()
    turned = torch.stack([hflip(image) if turn else image for image, turn in zip(x, flip, strict=True)])
    moved = crop(pad(turned, [2] * 4, padding_mode="edge"), 2 + down, 2 + right, 6, 9)
    assert torch.equal(flip_and_shift(x, torch.Generator().manual_seed(seed)), moved)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit(cnn(), X, Y[:3]), "60 examples and 3 labels"),
        (lambda: fit(cnn(), X[:0], Y[:0]), "0 examples and 0 labels"),
        (lambda: fit(cnn(), X, Y, schedule="cosin"), "'cosin': did you mean 'cosine'"),
        (lambda: fit(cnn().requires_grad_(False), X, Y), "nothing to train"),
        (lambda: evaluate(cnn(), X, Y[:3]), "60 examples and 3 labels"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.int16])
def test_labels_of_another_whole_type_train_like_int64(kind):
    assert fit(cnn(), X, Y.to(kind), steps=3) == fit(cnn(), X, Y, steps=3)
    assert evaluate(cnn(), X, Y.to(kind)) == evaluate(cnn(), X, Y)
    two = (Y > 0).long()
    assert fit(cnn(), X, two.bool(), steps=3) == fit(cnn(), X, two, steps=3)
    assert evaluate(cnn(), X, two.bool()) == evaluate(cnn(), X, two)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (Y.float(), "labels are torch.float32"),
        (Y + 1, "from 1 to 3, but classes count from 0 to 2, one for each of the model's 3 outputs: subtract 1"),
        (Y * 5, "from 0 to 10, but classes count from 0 to 2.*number them anew"),
        (Y - 1, "from -1 to 1"),
        (Y[:, None], r"shape \(60, 1\).*y\.squeeze\(1\)"),
        (torch.eye(3)[Y], r"shape \(60, 3\).*y\.argmax\(1\)"),
    ],
)
def test_labels_that_are_no_classes_of_the_model_get_one_sentence(y, words):
    with pytest.raises(UserError, match=words):
        fit(cnn(), X, y, steps=1)


def test_a_perfect_model_is_not_half_right_for_labels_in_a_column():
    scores = torch.eye(2)[torch.arange(8) % 2]
    assert evaluate(nn.Identity(), scores, torch.arange(8) % 2) == 1
    with pytest.raises(UserError, match=r"shape \(8, 1\)"):
        evaluate(nn.Identity(), scores, (torch.arange(8) % 2)[:, None])


def test_one_example_under_live_batchnorm_is_one_sentence():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    for x, y, size in ((torch.randn(1, 4), Y[:1], 8), (torch.randn(6, 4), Y[:6], 1)):
        with pytest.raises(UserError, match="batch of 1 example has no variance"):
            fit(model, x, y, batch_size=size, steps=1)

    class Own(nn.Linear):
        def forward(self, x):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fit(Own(4, 3), torch.randn(6, 4), Y[:6], steps=1)


def test_float16_weights_are_refused_and_the_other_precisions_train():
    x = torch.randn(60, 4)
    with pytest.raises(UserError, match=r"torch\.float16.*float32"):
        fit(nn.Linear(4, 3).half(), x.half(), Y, steps=1)
    for kind in (torch.float64, torch.bfloat16):
        model = nn.Linear(4, 3).to(kind)
        history = fit(model, x.to(kind), Y, lr=0.1, epochs=5)
        assert model.weight.dtype == kind and history["loss"][-1] < history["loss"][0]
        assert 0 <= evaluate(model, x.to(kind), Y) <= 1


def test_a_single_text_is_not_read_letter_by_letter():
    from transferlib.backbones.word_counts import HashedWords

    for act in (lambda: logits(HashedWords(), "great"), lambda: HashedWords().encode("great"),
                lambda: fit(cnn(), "great", torch.zeros(5).long())):  # fmt: skip
        with pytest.raises(UserError, match="texts are the single string 'great'"):
            act()
