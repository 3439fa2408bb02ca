"""Your own pictures: from files to features, a saved model's answers for a folder, and over HTTP.

Rates are those of two free cores, from processor seconds: a busy machine would slow the wall clock and nothing else.
"""

import io
import os
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from transferlib.backbones.images import packaged_state_dict
from transferlib.datasets.collection import collect
from transferlib.own_data.answers import judged
from transferlib.own_data.saved import build, load_model, probe_classifier, save_model
from transferlib.own_data.scan import scan
from transferlib.tuning.probes import Probe

COUNT, SIDE, PIXELS = int(os.environ.get("PHOTOS", "1000")), 500, 128
CLIENTS, ASKED = 4, 25  # at once, and how often each


def photograph(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("photos")
    for i in range(COUNT):
        (place / "ab"[i % 2]).mkdir(exist_ok=True)
        photograph(i).save(place / "ab"[i % 2] / f"{i}.jpg", quality=90)
    return place


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model")
    head = Probe(torch.randn(1280, 2), torch.zeros(2), 1.0)
    save_model(place, probe_classifier(build("efficientnet-lite0", PIXELS), head), kind="images",
               backbone="efficientnet-lite0", size=PIXELS, classes=["a", "b"], temperature=1.0)  # fmt: skip
    return place


class Photos(Dataset):
    """The usual way: open, scale with timm's transform, one by one."""

    def __init__(self, files: list[Path], transform: object) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.transform(Image.open(self.files[i]).convert("RGB"))


def usual(files: list[Path]) -> torch.Tensor:
    net = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    net.load_state_dict(packaged_state_dict("efficientnet-lite0", "tf_efficientnet_lite0"))
    config = timm.data.resolve_data_config({"input_size": (3, PIXELS, PIXELS)}, model=net)
    loader = DataLoader(Photos(files, timm.data.create_transform(**config)), batch_size=64)
    with torch.inference_mode():
        return torch.cat([net(x) for x in loader])


def test_pictures_become_features(benchmark, tell, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))
    found = collect(photos)
    start = time.process_time()
    benchmark.pedantic(lambda: scan(found, size=PIXELS), rounds=1)
    ours, start = time.process_time() - start, time.process_time()
    usual([photos / item for item in found.items])
    theirs = time.process_time() - start
    against = f"timm and DataLoader, {COUNT / theirs:.0f} pictures/s a core"
    said = f"{COUNT / ours:.0f} pictures/s a core, {SIDE} × {SIDE} JPEG, contents hashed and kept"
    tell("your pictures: files to features", against, theirs / ours, "× faster", said, at_least=2)


def test_a_folder_is_judged(benchmark, tell, photos, model):
    saved, files = load_model(model), sorted(photos.rglob("*.jpg"))
    start = time.process_time()
    benchmark.pedantic(lambda: list(judged(saved, files)), rounds=1)
    each = (time.process_time() - start) / len(files)
    said = f"{1000 * each:.1f} ms of a core for each, {PIXELS} pixels"
    tell("transferlib predict, two cores", "", 2 / each, "pictures/s", said, at_least=100)


def test_a_served_model_answers(benchmark, tell, model):
    told = [sys.executable, "-m", "transferlib", "serve", str(model), "--port", "0"]
    buffer = io.BytesIO()
    photograph(0).save(buffer, "JPEG")
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
        + buffer.getvalue()
        + b"\r\n--b--\r\n"
    )
    with subprocess.Popen(told, stdout=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().split()[2].rstrip(":,")

        def ask(_: int) -> float:
            start = time.perf_counter()
            form = {"Content-Type": "multipart/form-data; boundary=b"}
            urllib.request.urlopen(urllib.request.Request(f"{address}/predict", body, form)).read()
            return time.perf_counter() - start

        try:
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(ask, range(2 * CLIENTS)))  # the first answers wait for caches
                waits = benchmark.pedantic(lambda: list(pool.map(ask, range(CLIENTS * ASKED))), rounds=1)
        finally:
            server.send_signal(signal.SIGINT)
    late = 1000 * float(np.quantile(waits, 0.95))
    said = f"median {1000 * float(np.median(waits)):.0f} ms; the wall clock of this machine"
    tell(f"transferlib serve, {CLIENTS} clients, one picture: 95 of 100 wait", "", late, "ms", said, at_most=150)
