"""Rebuild the embedded data sets from the public packages they come from.

    python -m venv build/venv && build/venv/bin/pip install pillow==13.0.0 numpy resvg_py==0.5.0
    build/venv/bin/python scripts/build_data.py SOURCES

``SOURCES`` is a folder that holds these downloads, made with each registry's ordinary client:

    npm pack emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0
    npm pack @lobehub/fluent-emoji-3d@1.1.0 openmoji@17.0.0
    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    apt-get download dataset-fashion-mnist

Nothing is fetched here. Each download is checked against the SHA-256 below, and the result is written to
``transferlib/datasets/embedded`` with a manifest of its own hashes. The same downloads give the same bytes.
"""

import csv
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).resolve().parents[1] / "transferlib" / "datasets" / "embedded"
PIXELS, COLUMNS = 64, 44
STYLES = ("noto", "twemoji", "fluent", "openmoji")
FASHION = "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb"
SOURCES = {
    "emoji-datasource-google-16.0.0.tgz": "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    "emoji-datasource-twitter-16.0.0.tgz": "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
    "lobehub-fluent-emoji-3d-1.1.0.tgz": "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    "openmoji-17.0.0.tgz": "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
    "vaderSentiment-3.3.2.tar.gz": "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    FASHION: "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
}
REPEAT = 3.0  # grey levels, root mean square at 16 pixels: what is closer than that is the same drawing
DOMAINS = {
    "tweets": "tweets_GroundTruth.txt",
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
    "movie": "movieReviewSnippets_GroundTruth.txt",
    "nyt": "nytEditorialSnippets_GroundTruth.txt",
}


def on_white(data: bytes) -> Image.Image:
    """An image with transparency as RGB on white, PIXELS wide."""
    image = Image.open(io.BytesIO(data)).convert("RGBA").resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image).convert("RGB")


def spellings(unified: str) -> list[str]:
    """The ways vendors write a code point: with or without the emoji variation selector."""
    return [unified, unified.replace("-FE0F", ""), f"{unified}-FE0F", unified.replace("FE0F-", "").replace("-FE0F", "")]


def drawings(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, bytes]]]:
    """Each code point that all four vendors draw: its table row and its files. Skin tones are left out.

    So are flags: the Fluent package fills them with Noto's drawings, as Microsoft draws no country's flag.
    """
    import resvg_py

    for entry in json.loads((folder / "google/package/emoji.json").read_text()):
        names = spellings(entry["unified"])
        files = {
            "noto": [folder / "google/package/img/google/64" / entry["image"]],
            "twemoji": [folder / "twitter/package/img/twitter/64" / entry["image"]],
            "fluent": [folder / f"fluent/package/assets/{n.lower()}.webp" for n in names],
            "openmoji": [folder / f"openmoji/package/color/svg/{n}.svg" for n in names],
        }
        found = {style: next((f for f in paths if f.is_file()), None) for style, paths in files.items()}
        if not all(found.values()) or entry["category"] in ("Component", "Flags"):
            continue
        row = {
            "codepoint": entry["unified"],
            "name": entry["short_name"].replace("_", " ").replace("-", " "),
            "category": entry["category"],
            "subcategory": entry["subcategory"],
        }
        data = {style: path.read_bytes() for style, path in found.items() if path}
        data["openmoji"] = bytes(resvg_py.svg_to_bytes(svg_string=data["openmoji"].decode(), width=4 * PIXELS))
        yield row, data


def emoji(sources: Path, work: Path) -> None:
    """One WebP sheet per style, tiles in the order of emoji.csv."""
    archives = dict(zip(("google", "twitter", "fluent", "openmoji"), list(SOURCES)[:4], strict=True))
    for name, archive in archives.items():
        with tarfile.open(sources / archive) as tar:
            tar.extractall(work / name, filter="data")
    rows: list[dict[str, str]] = []
    small: list[np.ndarray] = []
    tiles: dict[str, list[Image.Image]] = {style: [] for style in STYLES}
    for row, data in drawings(work):
        drawn = {style: on_white(data[style]) for style in STYLES}
        # One vendor repeating a drawing is enough: a split by code point would show it in both parts.
        thumb = np.stack([np.asarray(drawn[style].resize((16, 16), Image.Resampling.BOX), float) for style in STYLES])
        if any((np.sqrt(((thumb - other) ** 2).mean((1, 2, 3))) < REPEAT).any() for other in small):
            continue
        rows.append(row)
        small.append(thumb)
        for style in STYLES:
            tiles[style].append(drawn[style])
    for style in STYLES:
        sheet = Image.new("RGB", (COLUMNS * PIXELS, -(-len(rows) // COLUMNS) * PIXELS), "white")
        for i, tile in enumerate(tiles[style]):
            sheet.paste(tile, (i % COLUMNS * PIXELS, i // COLUMNS * PIXELS))
        sheet.save(OUT / f"emoji-{style}.webp", quality=88, method=6)
    with (OUT / "emoji.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def fashion(sources: Path, work: Path) -> None:
    """800 training and 200 test images of each class, the first of each in the original order."""
    subprocess.run(["dpkg", "-x", str(sources / FASHION), str(work)], check=True)
    folder = work / "usr/share/datasets/fashion-mnist"
    parts = {}
    for split, name, count in (("train", "train", 800), ("test", "t10k", 200)):
        pixels = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())
        classes = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())
        images, labels = np.frombuffer(pixels, np.uint8, offset=16), np.frombuffer(classes, np.uint8, offset=8)
        keep = np.sort(np.concatenate([np.flatnonzero(labels == c)[:count] for c in range(10)]))
        parts[f"x_{split}"], parts[f"y_{split}"] = images.reshape(-1, 28, 28)[keep], labels[keep]
    np.savez_compressed(OUT / "fashion-mnist.npz", **parts)


def sentiment(sources: Path) -> None:
    """Text and mean rating (−4 … 4) of every snippet; texts that repeat after normalising are kept once."""
    with tarfile.open(sources / list(SOURCES)[4]) as outer:
        member = next(m for m in outer.getmembers() if m.name.endswith("hutto_ICWSM_2014.tar.gz"))
        inner = outer.extractfile(member)
        assert inner is not None
        archive = inner.read()
    rows: list[list[str]] = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for domain, name in DOMAINS.items():
            file = tar.extractfile(f"hutto_ICWSM_2014/{name}")
            assert file is not None
            seen: set[str] = set()
            for line in file.read().decode("utf-8", "replace").splitlines():
                _, rating, text = line.split("\t", 2)
                text = " ".join(text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">").split())
                words = " ".join(re.findall(r"[a-z]+", text.lower()))  # case, digits and punctuation do not count
                if words and words not in seen:
                    seen.add(words)
                    rows.append([domain, f"{float(rating):.3f}", text])
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["domain", "rating", "text"], *rows])
    (OUT / "sentiment.csv.gz").write_bytes(gzip.compress(out.getvalue().encode(), 9, mtime=0))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(sources: Path) -> None:
    for name, expected in SOURCES.items():
        if not (sources / name).is_file():
            sys.exit(f"{sources / name} is missing: the head of this file says how to download it.")
        if sha256(sources / name) != expected:
            sys.exit(f"{name} has SHA-256 {sha256(sources / name)}, expected {expected}: download that version again.")
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        emoji(sources, Path(work))
        fashion(sources, Path(work))
        sentiment(sources)
    files = sorted(p for p in OUT.iterdir() if p.suffix not in (".json", ".txt"))
    (OUT / "manifest.json").write_text(json.dumps({p.name: sha256(p) for p in files}, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Say which folder holds the downloads: python scripts/build_data.py SOURCES")
    main(Path(sys.argv[1]))
