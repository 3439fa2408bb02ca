"""``:::{photo-lab}``: the page where readers measure on their own photographs, and two scripts that the build makes.

A page opened from disk may not fetch, so the network comes as a classic script: BatchNorm folded into the convolutions,
half precision, gzip, base64; the SIMD kernel comes with it. The ready-made piles are a few embedded pictures. Neither
file is ever committed.
"""

import base64
import gzip
import hashlib
import io
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import hs_lab_kernel
import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from transferlib.backbones.weights import MANIFEST
from transferlib.errors import UserError

NETWORK, SIDE, PER_PILE = "efficientnet-lite0", 96, 12
SAMPLES = {"Emoji: fruit and drinks": ("emoji", ["fruit and vegetables", "drinks and sweets"]),
           "Clothing: coats and pullovers": ("fashion", ["coat", "pullover"])}  # fmt: skip
# Nothing on the page may ask any host for anything, whatever a photograph or its name holds.
POLICY = (
    "default-src 'none'; connect-src 'none'; script-src 'self' file: blob: 'unsafe-inline' 'wasm-unsafe-eval'; "
    "worker-src blob:; "
    "style-src 'self' file: 'unsafe-inline'; img-src 'self' file: data: blob:; font-src 'self' file: data:; "
    "base-uri 'none'; form-action 'none'"
)
log = logging.getLogger(__name__)


def plan(body: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """The steps of a folded EfficientNet-Lite for network.js, and their weights and biases in the order it reads."""
    from timm.models._efficientnet_blocks import InvertedResidual

    steps, numbers = [], []

    def step(conv: Any, relu: bool, keep: bool = False, add: bool = False) -> None:
        kind = "depthwise" if conv.groups > 1 else "pointwise" if conv.kernel_size == (1, 1) else "full"
        numbers.extend((conv.weight.permute(2, 3, 1, 0), conv.bias))  # (row, column, i, o)
        shape = {"side": conv.kernel_size[0], "stride": conv.stride[0], "from": conv.in_channels}
        steps.append({"kind": kind, **shape, "to": conv.out_channels, "relu": relu, "keep": keep, "add": add})

    step(body.conv_stem, True)
    for block in (block for stage in body.blocks for block in stage):
        skip = bool(block.has_skip)
        if isinstance(block, InvertedResidual):
            step(block.conv_pw, True, keep=skip)
            step(block.conv_dw, True)
            step(block.conv_pwl, False, add=skip)
        else:
            step(block.conv_dw, True, keep=skip)
            step(block.conv_pw, False, add=skip)
    step(body.conv_head, True)
    return steps, numbers


def weights() -> tuple[list[dict[str, Any]], bytes]:
    """The plan, and the folded weights as half precision."""
    import torch

    from transferlib.backbones.folding import folded
    from transferlib.backbones.images import image_backbone

    backbone = image_backbone(NETWORK, size=SIDE).eval()
    steps, numbers = plan(folded(backbone, backbone.example(1)).body)
    flat = torch.cat([n.detach().flatten() for n in numbers]).numpy()
    return steps, flat.astype("<f2").tobytes()


def network_script() -> str:
    """The classic script that hands the network over; loaded on a click."""
    steps, half = weights()
    packed, kernel = (base64.b64encode(b).decode() for b in (gzip.compress(half, 9, mtime=0), hs_lab_kernel.module()))
    return f'globalThis.hsLabNetwork({json.dumps(steps)}, "{packed}", "{kernel}");\n'


def _png(pixels: np.ndarray[Any, Any]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def samples() -> list[dict[str, Any]]:
    """Two ready-made pairs of piles: drawn emoji and photographed clothing, from the data inside the package."""
    made = []
    for title, (source, names) in SAMPLES.items():
        data = import_module(f"transferlib.datasets.{source}").load("train")
        piles = []
        for name in names:
            chosen = data.x[data.y == data.classes.index(name)][:PER_PILE].permute(0, 2, 3, 1).numpy().squeeze()
            piles.append({"name": name, "pictures": [_png(picture) for picture in chosen]})
        made.append({"title": title, "piles": piles})
    return made


def _write(app: Sphinx, config: Any) -> None:
    """Make the two scripts where Sphinx collects static files, unless they are there already."""
    folder = Path(app.doctreedir) / "hs_lab_static"
    (folder / "lab").mkdir(parents=True, exist_ok=True)
    parts = (
        Path(__file__).read_bytes() + hs_lab_kernel.module() + json.dumps(MANIFEST[NETWORK], sort_keys=True).encode()
    )
    key = f"// {hashlib.sha256(parts).hexdigest()}\n"

    def make(name: str, content: Any) -> Path:
        path = folder / "lab" / name
        if not path.is_file() or not path.read_text(encoding="utf-8").startswith(key):
            path.write_text(key + content(), encoding="utf-8")
        return path

    make("samples.js", lambda: f"(globalThis.hsLab ??= {{}}).samples = {json.dumps(samples())};\n")
    try:
        size = make("weights.js", network_script).stat().st_size
    except UserError as error:
        log.info("The photo lab comes without its network: %s", error)
        size = 0
    config.hs_lab_megabytes = round(size / 1e6, 1)
    config.html_static_path.append(str(folder))


class PhotoLab(SphinxDirective):
    """The place where photos.js builds the lab; a sentence where no script runs."""

    def run(self) -> list[nodes.Node]:
        size = f"{self.config.hs_lab_megabytes:.1f}"
        titles = "|".join(SAMPLES)
        html = (
            f'<div class="hs-lab" data-lab data-megabytes="{size}" data-samples="{titles}"></div>'
            "<noscript><p>The measurement runs in your browser and "
            "needs JavaScript; the recorded example below shows what it looks like.</p></noscript>"
        )
        return [nodes.raw("", html, format="html")]


def _context(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    if "data-lab " not in context.get("body", ""):
        return
    context["metatags"] = f'\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">{context["metatags"]}'
    for name, extra in (
        ("hs_styles", ["hs-widgets.css", "lab/photos.css"]),
        ("hs_scripts", ["hs-widgets.js", "lab/photos.js"]),
    ):
        context[name] += [file for file in extra if file not in context[name]]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("hs_lab_megabytes", 0.0, "env", types=(float,))
    app.add_directive("photo-lab", PhotoLab)
    app.connect("config-inited", _write)
    app.connect("html-page-context", _context, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
