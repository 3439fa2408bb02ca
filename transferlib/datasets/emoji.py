"""Emoji drawn by four vendors: the same things in four styles, split by what is drawn and never by drawing.

Styles: ``noto`` (Google), ``twemoji`` (Twitter), ``fluent`` (Microsoft, three-dimensional), ``openmoji``.
Every code point is drawn by all four; variants by skin tone are left out, and so is every code point for
which one vendor repeats the drawing of another. Flags are left out too: the Fluent package shows Noto's.

``GROUPS`` joins Unicode's subcategories into groups of one visual kind with at least 30 drawings each. Mixed
bags, such as "other objects", and kinds that only words tell apart, such as persons by role, are left out.
The kinds are not equally varied: clocks are one dial with other hands, so they are the easiest group.
"""

import io
from functools import cache

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from transferlib.datasets.base import Dataset, archive, choose

STYLES = ["noto", "twemoji", "fluent", "openmoji"]
LABELS = ["group", "category", "name"]
PIXELS, COLUMNS, TEST_SHARE = 64, 44, 0.35
FACES = "affection concerned costume glasses hand hat negative neutral-skeptical sleepy smiling tongue unwell"
HANDS = "hand-fingers-closed hand-fingers-open hand-fingers-partial hand-prop hand-single-finger hands"
GROUPS = {
    "mammals": ["animal-mammal"],
    "birds, sea life and insects": ["animal-bird", "animal-marine", "animal-bug"],
    "faces": [f"face-{kind}" for kind in FACES.split()],
    "hands": HANDS.split(),
    "fruit and vegetables": ["food-fruit", "food-vegetable"],
    "dishes": ["food-prepared", "food-asian"],
    "drinks and sweets": ["drink", "food-sweet"],
    "vehicles": ["transport-ground"],
    "buildings": ["place-building", "place-religious", "hotel"],
    "clothing": ["clothing"],
    "clocks": ["time"],
    "sky and weather": ["sky & weather"],
    "shapes": ["geometric"],
    "arrows and buttons": ["arrow", "av-symbol"],
}


@cache
def _table() -> pd.DataFrame:
    rows = pd.read_csv(io.BytesIO(archive("emoji.csv")), dtype=str, keep_default_na=False)
    group = {sub: name for name, subs in GROUPS.items() for sub in subs}
    rows["group"] = rows["subcategory"].map(group).fillna("")
    rows["tile"] = np.arange(len(rows))
    # One fixed split, stratified by subcategory: every group and every category is in both parts.
    rng = np.random.default_rng(0)
    rank = rows.groupby("subcategory")["tile"].transform(lambda t: rng.permutation(len(t)) / len(t))
    rows["split"] = np.where(rank < 1 - TEST_SHARE, "train", "test")
    return rows


@cache
def _tiles(style: str) -> Tensor:
    """All drawings of one style, uint8 (code points, 3, 64, 64), on white."""
    sheet = torch.from_numpy(np.array(Image.open(io.BytesIO(archive(f"emoji-{style}.webp"))).convert("RGB")))
    rows = sheet.shape[0] // PIXELS
    tiles = sheet.view(rows, PIXELS, COLUMNS, PIXELS, 3).permute(0, 2, 4, 1, 3)  # (R, h, C, w, 3) → (R, C, 3, h, w)
    return tiles.reshape(-1, 3, PIXELS, PIXELS)[: len(_table())]  # (R·C, 3, h, w), the sheet's empty end cut off


def load(split: str, style: str = "noto", label: str = "group") -> Dataset:
    """Drawings uint8 (N, 3, 64, 64). With ``style="all"`` the four styles follow each other, same order in each.

    ``label``: ``group`` (14 visual kinds, the rest left out), ``category`` (eight: Unicode's without flags) or ``name``
    (each code point is its own class; the two splits then share no class, as few-shot learning needs).
    ``meta`` has ``codepoint``, ``name``, ``category``, ``subcategory``, ``group`` and ``style``.
    """
    choose("Emoji label", label, LABELS)
    styles = STYLES if style == "all" else [choose("Emoji style", style, [*STYLES, "all"])]
    rows = _table()[_table()["split"] == split]
    rows = rows[rows["group"] != ""] if label == "group" else rows
    classes = {"group": list(GROUPS), "category": sorted(set(_table()["category"])), "name": rows["codepoint"].tolist()}
    key = "codepoint" if label == "name" else label
    number = {name: i for i, name in enumerate(classes[label])}
    y = torch.tensor([number[value] for value in rows[key]]).repeat(len(styles))
    x = torch.cat([_tiles(s)[rows["tile"].tolist()] for s in styles])
    meta = pd.concat([rows.drop(columns=["tile", "split"]).assign(style=s) for s in styles], ignore_index=True)
    names = rows["name"].tolist() if label == "name" else classes[label]
    return Dataset("emoji", split, x, y, names, meta)
