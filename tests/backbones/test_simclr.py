import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from transferlib.backbones.images import image_backbone
from transferlib.backbones.simclr import fit_simclr, nt_xent, two_views
from transferlib.datasets.budgets import nested_subset
from transferlib.errors import UserError


def test_loss_equals_the_papers_double_loop():
    g = torch.Generator().manual_seed(0)
    z1, z2, tau = torch.randn(5, 3, generator=g), torch.randn(5, 3, generator=g), 0.3
    z, total = torch.cat([z1, z2]), 0.0
    for i in range(10):
        s = [math.exp(float(F.cosine_similarity(z[i], z[k], dim=0)) / tau) for k in range(10)]
        total -= math.log(s[(i + 5) % 10] / sum(s[k] for k in range(10) if k != i)) / 10
    assert float(nt_xent(z1, z2, tau)) == pytest.approx(total, rel=1e-5)


def test_loss_in_closed_form():
    assert float(nt_xent(torch.ones(4, 2), torch.ones(4, 2))) == pytest.approx(math.log(7))
    # Perfect agreement on orthogonal directions: the partner scores 1, the 2N − 2 others 0.
    z, tau = torch.eye(4), 0.5
    assert float(nt_xent(z, 3 * z, tau)) == pytest.approx(math.log(math.exp(1 / tau) + 6) - 1 / tau, rel=1e-5)


def test_loss_gradient_by_finite_differences():
    g = torch.Generator().manual_seed(1)
    z = [torch.randn(4, 3, generator=g, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(nt_xent, z)


def test_views_differ_keep_their_type_and_repeat_with_the_seed():
    x = torch.randint(256, (6, 3, 16, 16), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    a, b = two_views(x, torch.Generator().manual_seed(3))
    assert a.shape == x.shape
    assert a.dtype == torch.uint8
    assert not torch.equal(a, b)
    again = two_views(x, torch.Generator().manual_seed(3))
    assert torch.equal(a, again[0])
    assert torch.equal(b, again[1])


def test_flip_can_be_switched_off():
    x = torch.zeros(64, 1, 8, 8, dtype=torch.uint8)
    x[..., :4] = 255  # white on the left: a crop without a flip never has more white on the right

    def more_white_right(view):
        return (view[..., 4:].float().mean((1, 2, 3)) > view[..., :4].float().mean((1, 2, 3)) + 20).any()

    assert more_white_right(two_views(x, torch.Generator().manual_seed(0), flip=True)[0])
    assert not more_white_right(two_views(x, torch.Generator().manual_seed(0), flip=False)[0])


def test_the_encoder_beats_random_weights():
    digits = load_digits()
    x = torch.as_tensor(digits.images * 255 / 16).to(torch.uint8)[:, None]  # (N, 1, 8, 8)
    y = torch.as_tensor(digits.target)
    torch.manual_seed(0)
    backbone = image_backbone("small-cnn", pretrained=False, size=16)

    def probe():
        with torch.no_grad():
            features = backbone.eval()(x)
        scores = []
        for seed in range(5):
            few = nested_subset(y[:1000], 3, seed)
            model = LogisticRegression(max_iter=500).fit(features[few], y[few])
            scores.append(model.score(features[1000:], y[1000:]))
        return sum(scores) / 5

    before = probe()
    history = fit_simclr(backbone, x[:1000], backbone.out_features, epochs=4, batch_size=250, flip=False)
    assert history[-1] < history[0]
    assert probe() > before + 0.05


def test_bad_input_gets_one_sentence():
    with pytest.raises(UserError, match="both must be"):
        nt_xent(torch.zeros(3, 2), torch.zeros(2, 2))
    with pytest.raises(UserError, match="temperature = 0"):
        nt_xent(torch.zeros(3, 2), torch.zeros(3, 2), temperature=0)
    with pytest.raises(UserError, match="got 1"):
        fit_simclr(torch.nn.Identity(), torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 4)


def test_images_of_another_shape_and_weights_in_float16_get_one_sentence():
    with pytest.raises(UserError, match=r"got shape \(3, 8, 8\)"):
        two_views(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.Generator())
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4)).half()
    with pytest.raises(UserError, match="float16"):
        fit_simclr(net, torch.zeros(4, 1, 8, 8, dtype=torch.uint8), 4)
