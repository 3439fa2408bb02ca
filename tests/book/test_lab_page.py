"""The photo lab: its arithmetic against PyTorch and transferlib, and one run driven in a browser."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from transferlib.backbones.images import ImageBackbone, SmallCNN, image_backbone
from transferlib.datasets.budgets import nested_subset
from transferlib.datasets.pictures import read
from transferlib.errors import UserError
from transferlib.tuning import strategies
from transferlib.tuning.probes import fit_probe, probe_answers
from transferlib.tuning.training import fit

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
import hs_lab
import hs_lab_kernel

LAB = Path(__file__).resolve().parents[2] / "book" / "_static" / "lab"


@pytest.fixture
def node(tmp_path):
    """Runs lines of JavaScript beside ``network`` and ``probe``; what they leave in ``out`` comes back."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("no Node.js is installed: the lab's arithmetic is not tested here")

    def run(lines, **given):
        (tmp_path / "kernel.wasm").write_bytes(hs_lab_kernel.module())
        (tmp_path / "given.json").write_text(json.dumps(given))
        script = f"""
            require({json.dumps(str(LAB / "network.js"))}); require({json.dumps(str(LAB / "probe.js"))});
            const fs = require("fs"), network = hsLab.network(), probe = hsLab.probe();
            const kernels = () => ({{plain: network.plainKernel(), fast: network.fastKernel(read("kernel.wasm"))}});
            const read = (name) => {{ const b = fs.readFileSync({json.dumps(str(tmp_path))} + "/" + name);
              return b.buffer.slice(b.byteOffset, b.byteOffset + b.length); }};
            const given = JSON.parse(Buffer.from(read("given.json")).toString());
            let out; {lines} console.log(JSON.stringify(out));"""
        done = subprocess.run([path, "-e", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def pictures(count, height=150, width=200):
    """Smooth random pictures, uint8 (count, 3, height, width)."""
    coarse = torch.rand(count, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1).mul(255).byte()


def rgba(x):
    return torch.cat([x, torch.full_like(x[:, :1], 255)], 1).permute(0, 2, 3, 1).contiguous().numpy().tobytes()


def clouds(count, classes, spread=1.5, seed=0):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % classes
    return (torch.randn(count, 20, generator=g) + spread * torch.randn(classes, 20, generator=g)[y]).double(), y


@pytest.fixture(scope="module")
def packed():
    """The plan and the weights, as the build packs them."""
    try:
        return hs_lab.weights()
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("kernel", ["fast", "plain"])
def test_pixels_and_features_of_ten_pictures_are_torchs(node, packed, tmp_path, kernel):
    plan, half = packed
    count = 10 if kernel == "fast" else 2  # the plain kernel is slow
    x = pictures(count)
    (tmp_path / "half").write_bytes(half)
    (tmp_path / "pixels").write_bytes(rgba(x))
    lines = """const run = network.network(read("half"), given.plan, kernels()[given.kernel]);
        const pixels = new Uint8Array(read("pixels"));
        out = [...Array(given.count).keys()].map((i) => {
          const small = network.resize(pixels.subarray(i * 120000, (i + 1) * 120000), 200, 150, 96, true);
          return {small: [...small], features: [...run(small)]}; });"""
    found = node(lines, plan=plan, count=count, kernel=kernel)
    small = torch.tensor([row["small"] for row in found]).view(count, 96, 96, 3).permute(0, 3, 1, 2)
    wanted = F.interpolate(x.float(), (96, 96), mode="bilinear", antialias=True)
    assert (small - wanted).abs().max() < 1e-3
    with torch.no_grad():
        features = image_backbone(size=96).eval()(x)
    assert (torch.tensor([row["features"] for row in found]) - features).abs().max() < 0.055


def test_the_fast_kernel_computes_what_the_plain_one_does(node):
    lines = """const made = kernels(); let seed = 1;
        const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647 - 0.5;
        const numbers = Array.from({length: 20000}, random);
        const both = (size, run) => { const [a, b] = ["plain", "fast"].map((name) => { const k = made[name];
            const take = (at, n) => { const f = k.floats(n); f.set(numbers.slice(at, at + n)); return f; };
            const out = k.floats(size); run(k, take, out); return [...out]; });
          return Math.max(...a.map((v, i) => Math.abs(v - b[i]))); };
        out = given.products.map(([pixels, from, to, low, high, turned]) => both(pixels * to, (k, take, out) => k.gemm({
          x: take(0, pixels * from), xp: turned ? 1 : from, xi: turned ? pixels : 1, w: take(5000, from * to), wi: to,
          wo: 8, b: take(99, to), out, op: to, pixels, from, to, low, high})));
        out.push(...given.taps.map(([size, small, stride, before, side, channels]) => both(small * small * channels,
          (k, take, out) => k.depthwise({x: take(0, size * size * channels), w: take(9000, side * side * channels),
            b: take(7, channels), out, size, small, stride, before, side, channels, low: 0, high: 0.4}))));"""
    products = [[4, 1, 8, -9, 9, False], [9, 33, 16, 0, 0.5, False], [27, 50, 8, -9, 9, True], [5, 7, 24, -9, 9, True]]
    taps = [[7, 7, 1, 1, 3, 8], [8, 4, 2, 0, 3, 16], [9, 5, 2, 1, 3, 4], [6, 6, 1, 2, 5, 12]]
    assert max(node(lines, products=products, taps=taps)) < 2e-6


def test_a_small_picture_is_enlarged_as_torch_enlarges_it(node, tmp_path):
    x = pictures(1, 28, 20)
    (tmp_path / "pixels").write_bytes(rgba(x))
    found = node('out = [...network.resize(new Uint8Array(read("pixels")), 20, 28, 96, true)];')
    wanted = F.interpolate(x.float(), (96, 96), mode="bilinear")
    assert (torch.tensor(found).view(96, 96, 3).permute(2, 0, 1) - wanted[0]).abs().max() < 1e-3


@pytest.mark.parametrize(("height", "width"), [(150, 201), (133, 100), (20, 28)])
def test_the_middle_square_is_the_one_that_the_package_reads(node, tmp_path, height, width):
    x = pictures(1, height, width)
    (tmp_path / "pixels").write_bytes(rgba(x))
    Image.fromarray(x[0].permute(1, 2, 0).numpy()).save(tmp_path / "p.png")
    found = node(f'out = [...network.resize(new Uint8Array(read("pixels")), {width}, {height}, 96)];')
    wanted = read(tmp_path / "p.png", 96).float()
    assert (torch.tensor(found).view(96, 96, 3).permute(2, 0, 1) - wanted).abs().max() < 1.01  # Pillow rounds twice


def test_the_draws_are_those_of_nested_subset(node):
    y = [0, 1, 1, 0, 0, 1, 2, 0, 1, 2, 2, 0, 1, 2] * 6
    seeds = [0, 1, 7, 12345, 2**31]
    found = node("out = given.seeds.map((seed) => probe.nested(given.y, 15, seed));", y=y, seeds=seeds)
    assert found == [nested_subset(torch.tensor(y), 15, seed).tolist() for seed in seeds]


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_the_probe_answers_as_transferlibs(node, classes):
    x, y = clouds(24 * classes, classes)
    budgets = [1, 2, 4, 8]
    wanted = probe_answers(x, y, x, y, budgets, range(4))
    lines = """const k = probe.gram(given.x), c = given.classes;
        out = [0, 1, 2, 3].map((seed) => { const order = probe.nested(given.y, 8, seed);
          return given.budgets.map((n) => { const made = probe.fit(k, given.y, order.slice(0, n * c), c);
            return k.map((row, t) => probe.largest(probe.scores(made, row)) === given.y[t]); }); });"""
    found = node(lines, x=x.tolist(), y=y.tolist(), budgets=budgets, classes=classes)
    assert np.array_equal(np.array(found), wanted)


def test_leaving_one_out_equals_refitting_without_it(node):
    x, y = clouds(14, 2)
    lines = """const k = probe.gram(given.x); out = probe.fit(k, given.y, given.y.map((_, i) => i), 2);
        out.left = out.left.map((row) => [...row]);"""
    found = node(lines, x=x.tolist(), y=y.tolist())
    assert found["lambda"] == pytest.approx(fit_probe(x, y).lam)
    centred = x - x.mean(0)
    shift = found["lambda"] * float((centred**2).sum()) / len(x)
    for i in range(len(x)):
        rest = [j for j in range(len(x)) if j != i]
        mean, targets = x[rest].mean(0), F.one_hot(y[rest], 2).double()
        rows = x[rest] - mean
        weight = torch.linalg.solve(
            rows.T @ rows + shift * torch.eye(20, dtype=torch.double), rows.T @ (targets - targets.mean(0))
        )
        assert found["left"][i] == pytest.approx(((x[i] - mean) @ weight + targets.mean(0)).tolist(), abs=1e-8)


@pytest.mark.parametrize("kernel", ["fast", "plain"])
def test_the_small_network_trains_as_pytorch_does(node, kernel):
    torch.manual_seed(0)
    cnn = SmallCNN(8)
    model = strategies.Classifier(
        ImageBackbone(cnn, cnn.num_features, 32, (0.5,) * 3, (0.5,) * 3), torch.nn.Linear(128, 2)
    )
    steps = 30 if kernel == "fast" else 4
    x, y = pictures(12, 32, 32), torch.arange(12) % 2
    start = [p.detach().flatten().tolist() for p in model.parameters()]
    history = fit(model, x, y, lr=0.003, steps=steps)
    lines = """const tools = {kernel: kernels()[given.kernel], surroundings: network.surroundings};
        const cnn = probe.smallCNN({classes: 2, start: given.start, tools});
        out = {losses: cnn.train(given.x, given.y, given.steps), answers: given.x.map(cnn.predict)};"""
    rows = (x.float() / 127.5 - 1).permute(0, 2, 3, 1).flatten(1).tolist()
    found = node(lines, x=rows, y=y.tolist(), start=start, kernel=kernel, steps=steps)
    print("largest difference of the losses", np.abs(np.array(found["losses"]) - history["loss"]).max())
    assert np.abs(np.array(found["losses"]) - history["loss"]).max() < 7e-5
    assert found["answers"] == model(x).argmax(1).tolist()


def files(folder):
    """Two piles of generated pictures, and files that are no pictures or bad ones: (good, good, bad)."""
    piles = []
    for c, (red, blue) in enumerate([(200, 40), (40, 200)]):
        piles.append([])
        for i, noise in enumerate(pictures(12)[c * 6 : c * 6 + 6].permute(0, 2, 3, 1).numpy()):
            pixels = (0.6 * noise + 0.4 * np.array([red, 90, blue])).astype(np.uint8)
            path = folder / f"<b>{c}-{i}.png"
            Image.fromarray(pixels).save(path)
            piles[-1].append(path)
    Image.open(piles[0][0]).convert("CMYK").save(folder / "cmyk.jpg")
    Image.open(piles[0][1]).convert("LA").save(folder / "see-through.png")
    piles[0] += [folder / "cmyk.jpg", folder / "see-through.png"]
    file = io.BytesIO()
    Image.open(piles[0][0]).save(file, "PNG")
    wide = bytearray(file.getvalue())
    wide[16:24] = (20000).to_bytes(4, "big") * 2
    bad = {"empty.jpg": b"", "cut.png": file.getvalue()[:40], "wide.png": bytes(wide), "text.jpg": b"not a picture",
           "paper.pdf": b"%PDF-1.7 and so on", "draw.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
           "phone.heic": b"\0\0\0\x18ftypheic" + bytes(40), "clip.mp4": b"\0\0\0\x18ftypisom" + bytes(40),
           "scan.tif": b"II*\0" + bytes(40)}  # fmt: skip
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    return *piles, [folder / name for name in [*bad, "dot.png"]]


@pytest.mark.parametrize("how", ["http", "disk"])
def test_from_piles_to_the_chart_without_a_request_elsewhere(book, site, tab, tmp_path, how):
    if not (book / "_static" / "lab" / "weights.js").is_file():
        pytest.skip("the book was built without the weights of the network")
    left, right, bad = files(tmp_path)
    page = tab()
    page.goto(f"{site}try-it.html" if how == "http" else (book / "try-it.html").as_uri())
    assert "connect-src 'none'" in page.locator("meta[http-equiv]").get_attribute("content")
    inputs = page.locator(".hs-lab__pile input[type=file]")
    inputs.nth(0).set_input_files(left + bad)
    page.wait_for_selector(f"[data-lab][data-waiting='0'][data-refused='{len(bad)}']")
    page.locator(".hs-lab__pile input[type=file]").nth(1).set_input_files(right)
    page.wait_for_selector(f"[data-lab][data-waiting='0'][data-read='{len(left) + len(right)}']")
    said = page.locator(".hs-lab__troubles").inner_text()
    assert all(path.name in said for path in bad)
    assert page.locator(".hs-lab b").count() == 0  # a name is text
    page.locator(".hs-lab__card select").first.select_option("1")  # moved, then back
    page.locator(".hs-lab__pile").nth(1).locator("select").last.select_option("0")
    page.locator(".hs-lab__go").click()
    page.wait_for_selector("[data-lab][data-state='curve'], [data-lab][data-state='done']", timeout=60_000)
    if how == "disk":  # the rest is the same page
        assert page.troubles == []
        return
    page.wait_for_selector("[data-lab][data-state='done']", timeout=120_000)
    assert re.search(r"head start is worth|behind|cannot tell", page.locator(".hs-lab__sentence").inner_text())
    assert page.locator(".hs-lab .hs-kit__rows dt").count() == 4
    with page.expect_download() as saved:
        page.get_by_role("button", name="The head (JSON)").click()
    head = json.loads(Path(saved.value.path()).read_text())
    assert len(head["weight"]) == 2 and len(head["weight"][0]) == 1280
    page.get_by_label("A new photograph").set_input_files(right[0])
    page.wait_for_selector(".hs-lab__answer canvas")
    assert "“Pile 2”" in page.locator(".hs-lab__answer").inner_text()
    page.get_by_role("button", name="Clear all").click()
    assert page.locator(".hs-lab canvas").count() == 0
    assert page.troubles == []
