"""Features and training steps beside the plain PyTorch way: DataLoader, ImageFolder, contiguous layout."""

import copy
import statistics

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from pairs import alternate, matrix_rate, ratio, seconds
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from torchvision.datasets import ImageFolder

from transferlib.backbones.features import features
from transferlib.backbones.folding import folded
from transferlib.backbones.images import image_backbone
from transferlib.datasets.named import load
from transferlib.tuning import strategies
from transferlib.tuning.training import fit, flip_and_shift

SIZE, EXAMPLES = 48, 256


@pytest.fixture(scope="module")
def pictures():
    whole = load("emoji", split="train", style="all", label="group")
    return whole.x[:EXAMPLES], whole.y[:EXAMPLES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    place = tmp_path_factory.mktemp("pictures")
    for i, (x, y) in enumerate(zip(*pictures, strict=True)):
        (place / f"{int(y):02}").mkdir(exist_ok=True)
        Image.fromarray(x.permute(1, 2, 0).numpy()).save(place / f"{int(y):02}" / f"{i}.png")
    return place


def loader(folder, size, **options):
    steps = [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    return DataLoader(ImageFolder(folder, transforms.Compose(steps)), **options)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "vit_tiny_patch16_224"])
def test_features(benchmark, tell, beside, pictures, folder, name):
    size = 64 if name.startswith("vit") else 96
    body = timm.create_model(name, num_classes=0, **({"img_size": size} if name.startswith("vit") else {})).eval()
    plain = copy.deepcopy(body)
    ours = image_backbone("efficientnet-lite0" if name == "efficientnet_lite0" else name, pretrained=False, size=size)

    def theirs():
        with torch.no_grad():
            return torch.cat([plain(x) for x, _ in loader(folder, size, batch_size=64)])

    ours = folded(ours, ours.example(4))
    spent = alternate({"ours": lambda: features(ours, pictures[0]), "theirs": theirs}, 5)
    benchmark.pedantic(lambda: features(ours, pictures[0]), rounds=1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        plain(torch.zeros(1, 3, size, size))
    rate = matrix_rate()
    share = 100 * EXAMPLES * counter.get_total_flops() / statistics.median(spent["ours"]) / rate
    piece = f"features of {EXAMPLES} pictures, {name}, {size} px"
    dense = name != "efficientnet_lite0"  # its depthwise convolutions wait for memory, not for arithmetic
    why = "nearly all of it is dense products, in the same library on both sides" if dense else ""
    beside(piece, spent, "ours", "theirs", "timm with DataLoader", at_least=2, because=why)
    limit = f"{rate / 1e9:.0f} GFLOP/s"
    why = "its products are smaller than those that reach the limit" if dense else ""
    least = 80 if dense else None
    tell(f"{piece}: share of the matrix rate", limit, share, "%", seconds(spent["ours"]), least, because=why)


def model():
    return strategies.fine_tune(14, "efficientnet-lite0", size=SIZE, seed=0)


def test_fine_tuning(benchmark, beside, pictures, folder):
    x, y = pictures
    ours, plain, steps = model(), model(), EXAMPLES // 32
    body = nn.Sequential(plain.backbone.body, nn.Flatten(), plain.head).to(memory_format=torch.contiguous_format)
    optimiser = torch.optim.AdamW(body.parameters(), lr=1e-4)

    def theirs():
        body.train()
        for batch, labels in loader(folder, SIZE, batch_size=32, shuffle=True):
            optimiser.zero_grad()
            F.cross_entropy(body(batch), labels).backward()
            optimiser.step()

    spent = alternate({"ours": lambda: fit(ours, x, y, lr=1e-4, steps=steps, refresh=False), "theirs": theirs}, 5)
    benchmark.pedantic(lambda: fit(ours, x, y, lr=1e-4, steps=steps, refresh=False), rounds=1)
    piece = f"fine-tuning, EfficientNet-Lite0, {SIZE} px, {EXAMPLES} pictures"
    beside(piece, spent, "ours", "theirs", "plain loop with DataLoader and ImageFolder", at_least=1.5)


@pytest.mark.parametrize("kind", ["small-cnn", "efficientnet-lite0"])
def test_overhead(benchmark, tell, pictures, kind):
    """fit beside its own arithmetic: forward, backward and step on batches that lie ready."""
    x, y = pictures
    size = 28 if kind == "small-cnn" else SIZE
    ours = strategies.from_scratch(14, kind, size=size, seed=0) if kind == "small-cnn" else model()
    bare, steps = copy.deepcopy(ours).to(memory_format=torch.channels_last).train(), 64
    optimiser = torch.optim.AdamW([p for p in bare.parameters() if p.requires_grad], lr=1e-4)
    ready = [(x[i * 32 : (i + 1) * 32].contiguous(), y[i * 32 : (i + 1) * 32]) for i in range(EXAMPLES // 32)]

    def arithmetic():
        bare.train()
        for step in range(steps):
            batch, labels = ready[step % len(ready)]
            optimiser.zero_grad()
            F.cross_entropy(bare(batch), labels).backward()
            optimiser.step()

    spent = alternate({"fit": lambda: fit(ours, x, y, lr=1e-4, steps=steps, refresh=False), "bare": arithmetic}, 5)
    benchmark.pedantic(arithmetic, rounds=1)
    more = 100 * (ratio(spent["fit"], spent["bare"]) - 1)
    tell(
        f"training loop, {kind}, {steps} steps: overhead",
        "bare forward, backward and step",
        more,
        "%",
        seconds(spent["fit"]),
        at_most=5,
    )


def test_small_pictures_to_batches(benchmark, beside):
    """Batches of small augmented pictures: one tensor and one generator beside a DataLoader over PIL."""
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4096, 3, 32, 32), dtype=np.uint8))
    generator = torch.Generator().manual_seed(0)
    change = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.RandomCrop(32, 2),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )

    class Plain(TensorDataset):
        def __getitem__(self, i):
            return change(x[i])

    spent = alternate(
        {
            "ours": lambda: [flip_and_shift(part, generator) for part in x.split(64)],
            "theirs": lambda: list(DataLoader(Plain(x), batch_size=64)),
        },
        3,
    )
    benchmark.pedantic(lambda: flip_and_shift(x[:64], generator), rounds=1)
    beside(f"flip and shift, 32 px, {len(x):,} pictures", spent, "ours", "theirs", "DataLoader over PIL", at_least=10)
