"""Draws against the data they are drawn from."""

import pytest
import torch

from transferlib.course.draws import labelled, swapped_sentences
from transferlib.datasets.budgets import nested_subset
from transferlib.datasets.named import load
from transferlib.errors import UserError


def test_labelled_pictures_are_the_rows_of_the_nested_draw() -> None:
    data = load("digits", "test")
    rows = nested_subset(data.y, 3, 7)
    x, y = labelled("digits", "test", 3, 7)
    assert torch.equal(x, data.x[rows]) and torch.equal(y, data.y[rows])
    assert y.bincount().tolist() == [3] * 10


def test_labelled_texts_come_with_their_own_labels() -> None:
    data = load("sentiment", "train", domain="nyt")
    known = dict(zip(data.x, data.y.tolist(), strict=True))
    x, y = labelled("sentiment", "train", 5, 1, domain="nyt")
    assert isinstance(x, list) and [known[text] for text in x] == y.tolist()


def test_more_labels_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match="more than there are"):
        labelled("digits", "train", 10**6, 0)


def test_a_swapped_sentence_is_a_review_with_two_neighbours_exchanged() -> None:
    data = load("sentiment", domain="movie")
    praise = {tuple(text.split()): y for text, y in zip(data.x, data.y.tolist(), strict=True)}
    texts, labels = swapped_sentences(60, 6, 12, 9, seed=3)
    assert len(texts) == 60 and labels.shape == (60, 3) and 10 < int(labels[:, 1].sum()) < 50
    for text, (long, swapped, good) in zip(texts, labels.tolist(), strict=True):
        words = text.split()
        assert 6 <= len(words) <= 12 and long == (len(words) > 9)
        back = [
            (*words[:i], words[i + 1], words[i], *words[i + 2 :]) for i in range(len(words) - 1)
        ]  # one of them is the review, when it was swapped
        origin = [b for b in back if b in praise] if swapped else [tuple(words)]
        assert good in {praise[o] for o in origin}
    assert swapped_sentences(60, 6, 12, 9, seed=3)[0] == texts != swapped_sentences(60, 6, 12, 9, seed=4)[0]
