"""Calibration on constructed scores: a bias that was put in comes out again, and nothing else does."""

import pytest
import torch

from transferlib.errors import UserError
from transferlib.incontext.calibration import batch, contextual


def test_a_content_free_prompt_becomes_undecided_and_differences_stay() -> None:
    bias = torch.tensor([[2.0, 0.0, -1.0]])
    assert torch.allclose(contextual(bias, bias), torch.full((1, 3), 1 / 3).log())
    evidence = torch.tensor([[0.0, 1.0, 0.5]])
    assert torch.allclose(contextual(bias + evidence, bias), evidence.log_softmax(1), atol=1e-6)


def test_the_bias_is_the_mean_probability_of_several_empty_questions() -> None:
    evidence, free = torch.tensor([[0.0, 1.0, 0.5]]), torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    by_hand = evidence.softmax(1) / free.softmax(1).mean(0)
    assert torch.allclose(contextual(evidence, free).exp(), by_hand / by_hand.sum())


def test_the_example_of_the_chapter_flips() -> None:
    found = contextual(torch.tensor([[0.6, 0.4]]).log(), torch.tensor([[0.7, 0.3]]).log())
    assert torch.allclose(found[0].exp(), torch.tensor([0.6 / 0.7, 0.4 / 0.3]) / (0.6 / 0.7 + 0.4 / 0.3))
    assert found.argmax() == 1


def test_batch_calibration_divides_by_the_mean_answer() -> None:
    p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [0.6, 0.4]])
    by_hand = p / p.mean(0)
    assert torch.allclose(batch(p.log()).exp(), by_hand / by_hand.sum(1, keepdim=True))
    assert batch(p.log()).argmax(1).tolist() == [0, 0, 1, 1]


def test_batch_calibration_takes_out_a_bias_that_was_put_in() -> None:
    generator = torch.Generator().manual_seed(0)
    half = torch.rand(500, generator=generator) * 2
    odds = torch.cat([half, -half])  # a balanced batch without a bias
    plain = torch.stack([torch.zeros_like(odds), odds], 1)
    for bias in (-3.0, 0.0, 2.0):
        found = batch(plain + torch.tensor([0.0, bias]))
        right = (found.argmax(1) == (odds > 0)).float().mean()
        assert right > 0.83 and (found[:, 1] - found[:, 0]).argsort().equal(odds.argsort())
    assert not (plain[:, 1] - 3 > 0).any()  # as they are, all answers would be the first


def test_a_batch_of_one_class_is_pulled_apart() -> None:
    sure = torch.tensor([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]).log()
    assert batch(sure).argmax(1).tolist() == [1, 0, 0]  # all three were the second answer, and the batch is halved


def test_bad_input_is_said_in_one_sentence() -> None:
    with pytest.raises(UserError, match="content-free"):
        contextual(torch.zeros(2, 3), torch.zeros(1, 2))
    with pytest.raises(UserError, match="two or more questions"):
        batch(torch.zeros(1, 2))
