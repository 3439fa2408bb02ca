"""The photo lab: its arithmetic against PyTorch and transferlib, and one run driven in a browser."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from transferlib.backbones.images import ImageBackbone, SmallCNN, image_backbone
from transferlib.datasets.budgets import nested_subset
from transferlib.datasets.pictures import read
from transferlib.errors import UserError
from transferlib.own_data import saved
from transferlib.own_data.lab_head import load_head
from transferlib.own_data.label_errors import label_errors
from transferlib.own_data.next_labels import next_labels
from transferlib.tuning import strategies
from transferlib.tuning.probes import fit_probe, probe_answers
from transferlib.tuning.training import fit

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
import hs_lab
import hs_lab_kernel
from marionette import firefox
from test_pages import AXE, RUN, SETTLED

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
            for (const name of ["network", "probe", "advice"]) require({json.dumps(str(LAB))} + `/${{name}}.js`);
            const fs = require("fs"), network = hsLab.network(), probe = hsLab.probe(), advice = hsLab.advice();
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


def test_the_head_is_the_linear_layer_of_the_package(node):
    x, y = clouds(15, 3)
    lines = """const k = probe.gram(given.x);
        out = probe.linear(probe.fit(k, given.y, given.y.map((_, i) => i), 3), given.x);"""
    found = node(lines, x=(x + 2).tolist(), y=y.tolist())  # far from zero: the bias has something to take off
    wanted = fit_probe(x + 2, y)
    assert torch.allclose(torch.tensor(found["weight"], dtype=torch.double).T, wanted.weight, atol=1e-8)
    assert torch.allclose(torch.tensor(found["bias"], dtype=torch.double), wanted.bias, atol=1e-8)


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
    assert np.abs(np.array(found["losses"]) - history["loss"]).max() < 5e-6  # about 1e-7 was seen
    assert found["answers"] == model(x).argmax(1).tolist()


def test_advice_is_that_of_the_package(node):
    g = torch.Generator().manual_seed(3)
    y = torch.randint(3, (40,), generator=g)
    scores = torch.randn(40, 3, generator=g).double() + 1.2 * F.one_hot(y, 3)
    y[::9] = (y[::9] + 1) % 3
    features = torch.randn(40, 6, generator=g)
    features[5] = features[4]
    lines = """const factor = advice.temperature(given.scores, given.y);
        const p = given.scores.map((s) => advice.softmax(s, factor));
        out = {factor, p, errors: advice.labelErrors(p, given.y), next: advice.nextLabels(p, given.features, 6, 2),
          twins: advice.twins(probe.gram(given.features))};"""
    found = node(lines, scores=scores.tolist(), y=y.tolist(), features=features.tolist())
    assert found["factor"] == pytest.approx(saved.temperature(scores, y))
    p = torch.tensor(found["p"], dtype=torch.double)
    assert torch.allclose(p, (scores * found["factor"]).softmax(1))
    suspect = label_errors(p, y).tolist()
    assert found["errors"] == suspect and len(suspect) > 2
    assert found["next"] == next_labels(p, features, 6, 2).tolist()
    assert found["twins"] == [[4, 5]]


def pngs(folder, names, colour, start):
    """Generated pictures with a common tone."""
    made = []
    for name, noise in zip(names, pictures(24)[start:].permute(0, 2, 3, 1).numpy(), strict=False):
        made.append(folder / name)
        Image.fromarray((0.6 * noise + 0.4 * np.array(colour)).astype(np.uint8)).save(made[-1])
    return made


def odd(folder, picture):
    """Files that are no pictures or bad ones, and a moving one: (refused, read)."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    wide = bytearray(file.getvalue())
    wide[16:24] = (20000).to_bytes(4, "big") * 2
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG")
    bad = {"empty.jpg": b"", "cut.png": file.getvalue()[:40], "cut.jpg": jpeg.getvalue()[:200], "wide.png": bytes(wide),
           "text.jpg": b"not a picture", "paper.pdf": b"%PDF-1.7 and so on",
           "draw.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
           "phone.heic": b"\0\0\0\x18ftypheic" + bytes(40), "clip.mp4": b"\0\0\0\x18ftypisom" + bytes(40),
           "clip.webm": b"\x1aE\xdf\xa3" + bytes(40), "scan.tif": b"II*\0" + bytes(40)}  # fmt: skip
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    Image.new("RGB", (1, 1)).save(folder / "<img src=x onerror=alert(1)>.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("LA").save(folder / "see-through.png")
    for name in ("moves.gif", "moves.webp", "moves.png"):
        picture.save(
            folder / name, save_all=True, append_images=[picture.rotate(90, expand=False), picture.rotate(180)]
        )
    read = [folder / name for name in ("cmyk.jpg", "see-through.png", "moves.gif", "moves.webp", "moves.png")]
    return [folder / name for name in [*bad, "<img src=x onerror=alert(1)>.png"]], read


def packaged(book):
    if not (book / "_static" / "lab" / "weights.js").is_file():
        pytest.skip("the book was built without the weights of the network")


def piles(page):
    return page.locator(".hs-lab__pile input[type=file]")


def read_all(page, **counts):
    page.wait_for_selector("[data-lab][data-waiting='0']" + "".join(f"[data-{k}='{v}']" for k, v in counts.items()))


@pytest.fixture(scope="module")
def journey(book, site, browser, watched, tmp_path_factory):
    """One reader's way through the whole page; what was seen on it."""
    packaged(book)
    folder = tmp_path_factory.mktemp("photographs")
    left = pngs(folder, [f"<b>left-{i}.png" for i in range(6)], (200, 90, 40), 0)
    right = pngs(folder, [f"right-{i}.png" for i in range(6)], (40, 90, 200), 6)
    loose = pngs(folder, [f"loose-{i}.png" for i in range(8)], (120, 90, 120), 12)
    bad, strange = odd(folder, Image.open(left[0]))
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = watched(context.new_page())
    sizes = {}
    page.on("response", lambda r: r.url.startswith("http") and sizes.update({r.url.removeprefix(site): len(r.body())}))
    seen = {"page": page, "left": left, "right": right, "bad": bad, "moving": strange[2:]}
    page.goto(f"{site}try-it.html")
    page.evaluate(SETTLED)
    seen["policy"] = page.locator("meta[http-equiv]").get_attribute("content")
    seen["before"] = dict(sizes)
    piles(page).nth(0).set_input_files([*left, *bad, *strange])
    read_all(page, refused=len(bad), read=len(left) + len(strange))
    piles(page).nth(1).set_input_files(right)
    piles(page).nth(2).set_input_files(loose)
    read_all(page, read=len(left) + len(strange) + len(right), loose=len(loose))
    seen["notes"] = page.locator(".hs-lab__troubles").inner_text()
    seen["markup"] = page.locator(".hs-lab b, .hs-lab img").count()
    hints = page.locator(".hs-lab__hint")
    before = hints.all_inner_texts()
    move = page.locator(".hs-lab__card select").first
    move.focus()
    move.select_option("1")  # to the other pile, then back
    seen["moved"] = (before, hints.all_inner_texts())
    move = page.locator(".hs-lab__pile").nth(1).locator("select").last
    move.focus()
    seen["focus"] = move.evaluate("node => node === document.activeElement")
    move.select_option("0")
    page.locator(".hs-lab__go").click()
    page.wait_for_selector("[data-lab][data-state='curve'], [data-lab][data-state='done']", timeout=60_000)
    page.get_by_label("A new photograph").set_input_files(right[0])  # does not stop the training
    page.wait_for_selector(".hs-lab__answer p")
    seen["held"] = page.locator(".hs-lab__answer").inner_text()
    seen["alike"] = page.locator(".hs-lab__answer canvas").count()
    page.wait_for_selector("[data-lab][data-state='done']", timeout=120_000)
    seen["after"] = dict(sizes)
    seen["sentence"] = page.locator(".hs-lab__sentence").inner_text()
    seen["ways"] = page.locator(".hs-lab .hs-kit__rows dt").count()
    seen["out"] = page.locator(".hs-lab__out").inner_text()
    for name in ("head.json", "numbers.csv", "chart.svg"):
        with page.expect_download() as saved_file:
            page.get_by_role("button", name=name.rpartition(".")[2].upper()).click()
        assert saved_file.value.suggested_filename == name
        seen[name] = Path(saved_file.value.path()).read_text(encoding="utf-8")
    page.evaluate(AXE)
    seen["axe"] = page.evaluate(RUN)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.wait_for_selector("html[data-theme=dark]")
    seen["axe"] += page.evaluate(RUN, ["color-contrast"])
    page.set_viewport_size({"width": 360, "height": 740})
    seen["width"] = page.evaluate("document.documentElement.scrollWidth")
    seen["stored"] = page.evaluate("indexedDB.databases().then((all) => all.length + localStorage.length)")
    page.locator(".hs-lab__cards--wide select").last.focus()
    page.locator(".hs-lab__cards--wide select").last.select_option("0")  # a label for what is worth one
    seen["stale"] = page.get_by_text("The piles have changed").is_visible()
    page.get_by_role("button", name="Clear all").click()
    seen["left over"] = page.locator(".hs-lab canvas").count()
    yield seen
    context.close()


def test_the_journey_asks_nobody_and_complains_of_nothing(journey):
    assert "connect-src 'none'" in journey["policy"] and "http" not in journey["policy"]
    assert journey["page"].troubles == []
    assert journey["stored"] == 0 and journey["left over"] == 0


def test_the_page_is_light_until_the_network_is_asked_for(journey):
    before, after = journey["before"], journey["after"]
    assert "_static/lab/weights.js" not in before and "_static/lab/weights.js" in after
    assert sum(before.values()) <= 300_000, sorted(before.items(), key=lambda item: -item[1])[:6]
    assert sum(after.values()) <= 9_000_000


def test_bad_files_are_refused_by_name_and_moving_ones_are_called_so(journey):
    said = journey["notes"].split("\n")
    for path in journey["bad"]:
        assert any(line.startswith(f"{path.name} was not read: ") for line in said), path.name
    for path in journey["moving"]:
        assert f"{path.name} moves; only its first picture is used." in said
    assert "wide.png was not read: it has 20000 × 20000 pixels, more than 120 million." in said
    assert len(said) == len(journey["bad"]) + len(journey["moving"])
    assert journey["markup"] == 0  # a name is text


def test_photographs_move_between_piles_and_keep_the_focus(journey):
    before, after = journey["moved"]
    assert before[0].startswith("11 ") and after[0].startswith("10 ")
    assert before[1].startswith("6 ") and after[1].startswith("7 ") and journey["focus"]


def test_the_chart_says_what_the_head_start_is_worth_and_what_may_be_wrong(journey):
    assert re.search(r"head start is worth|behind|cannot tell", journey["sentence"])
    assert journey["ways"] == 4
    assert "like the same photograph twice" in journey["out"]  # the odd files show the first photograph


def test_a_photograph_held_in_is_answered_by_the_page_as_by_the_package(journey, tmp_path):
    answer, sure = re.search(r"“(.*)”, (?:more than )?(\d+) % sure. Of the 10 photographs", journey["held"]).groups()
    assert answer == "Pile 2" and journey["alike"] == 3
    (tmp_path / "head.json").write_text(journey["head.json"])
    table = load_head(tmp_path / "head.json").predict([journey["right"][0]])
    assert table["class"][0] == answer
    assert table["probability"][0] == pytest.approx(int(sure) / 100, abs=0.03)


def test_what_to_label_next_is_a_short_list_that_can_be_labelled(journey):
    part = journey["out"].partition("What to label next")[2]
    assert 1 <= len(re.findall(r"“Pile [12]”\? (?:more than )?\d+ % sure", part)) <= 6
    assert journey["stale"]


def test_the_numbers_and_the_chart_can_be_taken_away(journey):
    rows = [line.split(",") for line in journey["numbers.csv"].split("\n")]
    assert rows[0][:2] == ["way", "labels a pile"] and len(rows) == 1 + 4 * 3
    assert all(0 <= float(row[2]) <= 1 and float(row[3]) <= float(row[2]) <= float(row[4]) for row in rows[1:])
    svg = ElementTree.fromstring(journey["chart.svg"])
    drawn = list(svg.iter())
    assert svg.tag.endswith("}svg") and any("linear" in (node.text or "") for node in drawn)
    assert not any(node.get("class") for node in drawn) and len({node.get("stroke") for node in drawn}) >= 4


def test_the_whole_journey_is_accessible_and_fits_a_phone(journey):
    assert journey["axe"] == []
    assert journey["width"] <= 360


def test_it_works_from_disk_with_ready_made_piles_that_are_kept_on_request(book, tab):
    packaged(book)
    page = tab()
    page.goto((book / "try-it.html").as_uri())
    page.get_by_role("button", name="Clothing").click()
    read_all(page, read=24)
    page.get_by_label("Keep these photographs").check()
    read_all(page, kept="yes")
    page.reload()
    read_all(page, read=24)  # they are there again
    page.get_by_label("Keep these photographs").uncheck()
    read_all(page, kept="no")
    page.locator(".hs-lab__go").click()
    page.wait_for_selector("[data-lab][data-state='curve'], [data-lab][data-state='done']", timeout=60_000)
    page.reload()
    page.wait_for_selector("[data-lab][data-read='0']")
    assert page.troubles == []


def test_firefox_reads_and_measures_the_same_files(book, site, tmp_path):
    packaged(book)
    if not shutil.which("firefox"):
        pytest.skip("no Firefox is installed: the photo lab is driven in Chromium alone")
    left = pngs(tmp_path, [f"left-{i}.png" for i in range(6)], (200, 90, 40), 0)
    right = pngs(tmp_path, [f"right-{i}.png" for i in range(6)], (40, 90, 200), 6)
    bad, strange = odd(tmp_path, Image.open(left[0]))
    with firefox(tmp_path / "profile") as fox:
        fox.open(f"{site}try-it.html")
        fox.choose(".hs-lab__pile input[type=file]", 0, [*left, *bad, *strange])
        fox.choose(".hs-lab__pile input[type=file]", 1, right)
        fox.wait("document.querySelector('[data-lab]').dataset.read === '17'")
        said = fox.run("return document.querySelector('.hs-lab__troubles').innerText")
        assert all(path.name in said for path in [*bad, *strange[2:]])
        fox.run("document.querySelector('.hs-lab__go').click()")
        fox.wait("/curve|done/.test(document.querySelector('[data-lab]').dataset.state)")
        asked = fox.run("return performance.getEntriesByType('resource').map((one) => one.name)")
        assert len(asked) > 10 and all(name.startswith((site, "blob:", "data:")) for name in asked)


def test_without_javascript_the_page_says_what_it_would_do_and_shows_an_example(book, tab):
    page = tab(java_script_enabled=False)
    page.goto((book / "try-it.html").as_uri())
    sentence = page.locator("noscript p")  # the search for a text looks into no <noscript>
    assert sentence.is_visible() and "needs JavaScript; the recorded example below" in sentence.inner_text()
    assert page.locator(".hs-widget__fallback, .hs-nothing").first.is_visible()
