import torch

from transferlib.backbones.grid_features import SameGrid, cached_grid_features
from transferlib.backbones.images import image_backbone
from transferlib.backbones.layer_features import layer_features

PICTURES = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_grid_1_is_the_mean_that_layer_features_gives_and_grid_2_averages_to_it():
    found = cached_grid_features("efficientnet-lite0", PICTURES, size=64)
    plain = layer_features(image_backbone(size=64), PICTURES)
    assert list(found[1]) == list(found[2]) == list(plain)
    for name, value in plain.items():
        assert torch.allclose(found[1][name], value, atol=1e-5)
        quarters = found[2][name].view(3, -1, 4)
        assert torch.allclose(quarters.mean(2), value, atol=1e-4), name  # at 64 pixels every map has an even side


def test_the_grid_keeps_where_things_are():
    z = torch.zeros(1, 1, 4, 4)
    z[0, 0, :2, 2:] = 1
    grids = SameGrid(image_backbone("small-cnn", pretrained=False), grids=(1, 2))
    assert grids.pool(z, z).tolist() == [[0.25, 0, 1, 0, 0]]


def test_random_weights_follow_their_seed():
    one, two = (cached_grid_features("small-cnn", PICTURES, pretrained=False, seed=s)[1] for s in (0, 1))
    again = cached_grid_features("small-cnn", PICTURES, pretrained=False, seed=0)[1]
    last = list(one)[-1]
    assert torch.equal(one[last], again[last]) and not torch.equal(one[last], two[last])
