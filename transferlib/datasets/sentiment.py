"""Sentiment in four domains: tweets, Amazon and film reviews, newspaper editorials (Hutto & Gilbert, 2014)."""

import gzip
import io
from functools import cache

import numpy as np
import pandas as pd
import torch

from transferlib.datasets.base import Dataset, archive, choose

DOMAINS = ["tweets", "amazon", "movie", "nyt"]
CLASSES = ["negative", "positive"]
TEST_SHARE = 0.35


@cache
def _table() -> pd.DataFrame:
    text = gzip.decompress(archive("sentiment.csv.gz")).decode()
    # keep_default_na: a review that reads "NA" is a text, not a missing value.
    return pd.read_csv(io.StringIO(text), dtype={"text": str}, keep_default_na=False)


def load(split: str, domain: str = "tweets") -> Dataset:
    """Texts whose mean human rating is clear: above 0.5 is positive (1), below −0.5 negative (0).

    Texts that are the same after dropping case, digits and punctuation were kept once, before the split, so no
    test text was seen in training in another spelling. ``meta`` has ``rating`` (−4 … 4) and ``domain``.
    """
    rows = _table()[_table()["domain"] == choose("Sentiment domain", domain, DOMAINS)]
    rows = rows[rows["rating"].abs() > 0.5].reset_index(drop=True)
    order = np.random.default_rng(0).permutation(len(rows))  # one fixed split: the same for every user
    cut = round(TEST_SHARE * len(rows))
    picked = np.sort(order[cut:] if split == "train" else order[:cut])
    rows = rows.iloc[picked].reset_index(drop=True)
    y = torch.from_numpy((rows["rating"].to_numpy() > 0).astype(np.int64))
    return Dataset("sentiment", split, rows["text"].tolist(), y, list(CLASSES), rows[["rating", "domain"]])
