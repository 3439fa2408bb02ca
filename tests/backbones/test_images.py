"""Image backbones: the packaged weights sit under the right names, and preprocessing travels with the network."""

import pytest
import torch
import torch.nn.functional as F
from packaged import weights_or_skip
from sklearn.datasets import load_sample_image

from transferlib.backbones import images as backbones
from transferlib.backbones.images import image_backbone, packaged_state_dict
from transferlib.errors import UserError


def photo(name: str) -> torch.Tensor:
    x = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None]  # (1, 3, H, W)
    edge = (x.shape[3] - x.shape[2]) // 2
    return x[..., edge:-edge]


@pytest.mark.parametrize(
    ("name", "size", "file", "label"),
    [
        ("efficientnet-lite0", 224, "flower.jpg", 985),  # daisy
        ("efficientnet-lite0", 224, "china.jpg", 698),  # palace
        ("efficientnet-lite1", 240, "china.jpg", 698),
        ("efficientnet-lite2", 260, "china.jpg", 698),
    ],
)
def test_the_packaged_networks_recognise_real_photos(name, size, file, label):
    """A wrong tensor order, a wrong mean or a wrong channel order all fail here; ``size``: as they were trained."""
    weights_or_skip(name)
    state = packaged_state_dict(name, f"tf_{name.replace('-', '_')}", head=True)
    backbone = image_backbone(name, size=size).eval()
    with torch.inference_mode():
        scores = backbone(photo(file)) @ state["classifier.weight"].T + state["classifier.bias"]
    assert scores.argmax() == label


def test_a_shuffled_checkpoint_is_refused(tmp_path, monkeypatch):
    state = torch.load(weights_or_skip("efficientnet-lite0"), weights_only=True)
    torch.save(dict(reversed(state.items())), tmp_path / "shuffled.pth")
    monkeypatch.setattr(backbones, "path", lambda name: tmp_path / "shuffled.pth")
    with pytest.raises(UserError, match="does not fit timm's 'tf_efficientnet_lite0'"):
        image_backbone()


def test_pretrained_and_random_differ_and_random_obeys_the_seed():
    weights_or_skip("efficientnet-lite0")
    torch.manual_seed(0)
    a = image_backbone(pretrained=False).state_dict()
    torch.manual_seed(0)
    b, p = image_backbone(pretrained=False).state_dict(), image_backbone().state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["body.conv_stem.weight"], p["body.conv_stem.weight"])


def test_grey_equals_the_same_picture_in_three_channels_and_size_is_resized_inside():
    net = image_backbone("small-cnn", pretrained=False, size=32).eval()
    grey = torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        features = net(grey)
        torch.testing.assert_close(features, net(grey.repeat(1, 3, 1, 1)))
        resized = F.interpolate(grey.float(), (32, 32), mode="bilinear")
        torch.testing.assert_close(features, net(resized))  # floats keep the 0..255 scale
    assert features.shape == (3, net.out_features)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "vit_tiny_patch16_224", "resnet18"])
def test_out_features_is_the_true_width_for_any_timm_network(name):
    net = image_backbone(name, pretrained=False, size=32).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 40, 40, dtype=torch.uint8)).shape == (1, net.out_features)


def test_running_statistics_follow_within_tens_of_steps():
    net = image_backbone(pretrained=False)
    assert {m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: image_backbone("efficentnet-lite0"), "did you mean 'efficientnet-lite0'"),
        (lambda: image_backbone("small-cnn"), "has no pretrained weights"),
        (lambda: image_backbone("resnet18", pretrained=True), "hub did not answer"),
        (lambda: image_backbone("small-cnn", False)(torch.zeros(2, 4, 8, 8)), r"got shape \(2, 4, 8, 8\)"),
        (lambda: image_backbone("small-cnn", False)(torch.zeros(3, 8, 8)), r"got shape \(3, 8, 8\)"),
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
