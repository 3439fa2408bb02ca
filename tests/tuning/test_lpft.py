"""LP-FT starts at the probe, exactly; the scale of its scores is chosen inside the labels."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from transferlib.backbones.images import image_backbone
from transferlib.errors import UserError
from transferlib.tuning.lpft import SCALES, score_scale, start_from_probe
from transferlib.tuning.probes import Probe, features, fit_probe
from transferlib.tuning.strategies import Classifier, fine_tune, param_groups
from transferlib.tuning.training import fit, logits


def task(n=60):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    x = torch.randint(0, 120, (n, 3, 16, 16), dtype=torch.uint8, generator=generator)
    x[:, :, 4:9, 4:9] += (40 * y)[:, None, None, None].to(torch.uint8)
    return x, y


def pretrained():
    torch.manual_seed(1)
    return image_backbone("small-cnn", pretrained=False, size=16)


def test_before_the_first_step_the_logits_are_the_probes_scores():
    x, y = task()
    model = fine_tune(3, pretrained())
    seen = features(model.backbone, x)
    probe = fit_probe(seen, y)
    scores = seen @ probe.weight + probe.bias
    for scale in (1.0, 7.0):
        start_from_probe(model, probe, scale)
        assert torch.allclose(logits(model, x), scale * scores, atol=1e-4)
        model.train()  # as in the first step
        assert torch.allclose(model(x), scale * scores, atol=1e-4)
    assert (logits(model, x).argmax(1) == probe.predict(seen)).all()


def test_the_first_loss_of_fine_tuning_is_the_loss_of_the_probe_and_everything_moves_after_it():
    x, y = task(24)
    model = fine_tune(3, pretrained())
    seen = features(model.backbone, x)
    probe = fit_probe(seen, y)
    start_from_probe(model, probe, 3.0)
    before = {name: p.clone() for name, p in model.named_parameters()}
    history = fit(model, x, y, steps=2, batch_size=24, groups=param_groups(model, 1e-3, 1e-3), schedule="constant")
    assert history["loss"][0] == pytest.approx(
        float(F.cross_entropy(3 * (seen @ probe.weight + probe.bias), y)), abs=1e-4
    )
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_the_scale_is_the_best_one_for_left_out_examples():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(300) % 3
    x = torch.randn(300, 8, generator=generator)
    x[torch.arange(300), y] += 2.0
    probe = fit_probe(x, y)
    scale = score_scale(x, y, probe)
    assert scale in SCALES
    assert 1 < scale < 64
    fresh = torch.randn(3000, 8, generator=generator)
    labels = torch.arange(3000) % 3
    fresh[torch.arange(3000), labels] += 2.0
    losses = [float(F.cross_entropy(s * (fresh @ probe.weight + probe.bias), labels)) for s in SCALES]
    assert abs(SCALES.index(scale) - losses.index(min(losses))) <= 1


def test_labels_that_are_noise_get_a_small_scale():
    # Left-out scores of noise mean nothing; scores of the examples that were fitted would look certain.
    x = torch.randn(60, 200, generator=torch.Generator().manual_seed(0))
    y = torch.randint(0, 3, (60,), generator=torch.Generator().manual_seed(1))
    assert score_scale(x, y, fit_probe(x, y, lambdas=[1e-3])) <= 2


def test_bad_input():
    model, probe = fine_tune(3, pretrained()), Probe(torch.zeros(4, 3), torch.zeros(3), 1.0)
    with pytest.raises(UserError, match=r"head of shape \(3, 4\) .* \(3, 512\)"):
        start_from_probe(model, probe)
    with pytest.raises(UserError, match="model has Sequential"):
        start_from_probe(Classifier(model.backbone, nn.Sequential(model.head)), probe)
    with pytest.raises(UserError, match="scale = -1"):
        start_from_probe(model, Probe(torch.zeros(512, 3), torch.zeros(3), 1.0), -1)
    with pytest.raises(UserError, match="folds = 1"):
        score_scale(torch.randn(6, 2), torch.arange(6) % 2, Probe(torch.zeros(2, 2), torch.zeros(2), 1.0), folds=1)


def test_the_scale_takes_other_labels_and_half_precision():
    x, y = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2
    x[:, 0] += 2 * y
    wanted = score_scale(x, y, fit_probe(x, y))
    assert score_scale(x, y.bool(), fit_probe(x, y)) == wanted
    half = x.half()
    assert score_scale(half, y, fit_probe(half, y)) == score_scale(half.float(), y, fit_probe(half.float(), y))
    with pytest.raises(UserError, match=r"shape \(60, 1\)"):
        score_scale(x, y[:, None], fit_probe(x, y))
