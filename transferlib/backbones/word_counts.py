"""Counted words: the small model of texts, with nothing to learn before its head."""

from collections.abc import Sequence

import torch
from sklearn.feature_extraction.text import HashingVectorizer
from torch import Tensor, nn

from transferlib.tensors import several


class HashedWords(nn.Module):
    """Texts → unit vectors (N, out_features): each word adds one at a fixed place, its hash.

    No vocabulary is kept, so the model is its head. Two words may share a place; with 4,096 places and a few thousand
    labelled texts that costs little. Weinberger et al. 2009, arXiv:0902.2206.

    >>> words = HashedWords()
    >>> words.encode(["good film", "film good", "bad film"]) @ words.encode(["good film"])[0]
    tensor([1.0000, 1.0000, 0.5000])
    """

    def __init__(self, out_features: int = 4096) -> None:
        super().__init__()
        self.out_features = out_features
        self.counter = HashingVectorizer(n_features=out_features, alternate_sign=False)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Texts → (N, out_features)."""
        return torch.from_numpy(self.counter.transform(several("texts", texts)).toarray()).float()

    def forward(self, counts: Tensor) -> Tensor:
        return counts
