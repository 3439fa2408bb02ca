"""Label words scored against a brute-force sum of token log-probabilities."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from transferlib.errors import UserError
from transferlib.incontext.prefixes import score_after, score_along
from transferlib.incontext.scoring import score_labels


class Letters:
    """One token a character; "_" vanishes, as some tokenizers drop what they cannot read."""

    def encode(self, text, add_special_tokens=True):
        assert not add_special_tokens
        return [ord(c) % 50 for c in text if c != "_"]


class Causal(nn.Module):
    """Logits at t depend on all tokens up to t and on nothing after, as in any causal language model."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.gru, self.out = nn.Embedding(50, 8), nn.GRU(8, 16, batch_first=True), nn.Linear(16, 50)
        self.rows = 0

    def forward(self, input_ids, attention_mask):
        self.rows += len(input_ids)
        return SimpleNamespace(logits=3 * self.out(self.gru(self.embed(input_ids))[0]))


def brute_force(model, prompt, label):
    ids = Letters().encode(prompt + label, False)
    logp = model(torch.tensor([ids]), None).logits.log_softmax(-1)[0]
    n = len(Letters().encode(label, False))
    return sum(logp[t - 1, ids[t]].item() for t in range(len(ids) - n, len(ids)))


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_scores_are_summed_over_the_label_s_tokens(batch_size):
    model, prompts, labels = Causal(), ["a", "good film:", "bad"], [" yes", " no", "x", " nope"]
    found = score_labels(model, Letters(), prompts, labels, batch_size)
    wanted = torch.tensor([[brute_force(model, p, c) for c in labels] for p in prompts])
    assert torch.allclose(found, wanted, atol=1e-5)


def test_labels_of_one_token_cost_one_row_for_each_prompt():
    model = Causal()
    score_labels(model, Letters(), ["one", "two", "three"], ["a", "b", "c"])
    assert model.rows == 3


def test_probabilities_over_all_words_sum_to_one():
    words = [chr(100 + i) for i in range(50)]
    total = score_labels(Causal(), Letters(), ["abc"], words).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-5)


def test_bad_input_is_said_in_one_sentence():
    model, letters = Causal(), Letters()
    with pytest.raises(UserError, match="at least two different label words"):
        score_labels(model, letters, ["a"], ["yes", "yes"])
    with pytest.raises(UserError, match="label '_' has no token"):
        score_labels(model, letters, ["a"], ["yes", "_"])
    with pytest.raises(UserError, match="Prompt 1 is empty"):
        score_labels(model, letters, ["a", ""], ["yes", "no"])
    with torch.no_grad():
        model.out.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="NaN or infinity"):
        score_labels(model, letters, ["a"], ["yes", "no"])


@pytest.fixture(scope="module")
def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, num_key_value_heads=2, **sizes)).eval()


@pytest.mark.parametrize("packed", [4, 17, 256])
def test_examples_read_once_give_the_scores_of_whole_prompts(llama, packed, monkeypatch):
    monkeypatch.setattr("transferlib.incontext.prefixes.PACKED", packed)  # few and many questions side by side
    pieces, queries, labels = ["", "hot -> cold ", "big -> small "], ["wet", "a longer one", "b"], [" yes", " no", "x"]
    for n, found in enumerate(score_along(llama, Letters(), pieces, queries, labels), 1):
        whole = score_labels(llama, Letters(), ["".join(pieces[:n]) + q for q in queries], labels)
        assert torch.allclose(found, whole, atol=1e-4)
        assert torch.equal(found, score_along_once(llama, pieces[:n], queries, labels))
    assert torch.allclose(score_after(llama, Letters(), "".join(pieces), queries, labels), found, atol=1e-4)
    with pytest.raises(UserError, match="Prompt 0 is empty"):
        score_after(llama, Letters(), "hot", ["_"], labels)


def score_along_once(model, pieces, queries, labels):
    *_, last = score_along(model, Letters(), pieces, queries, labels)
    return last


def test_a_question_sees_the_examples_and_itself_only(llama):
    alone = score_after(llama, Letters(), "hot -> cold ", ["wet"], ["x", "y"])
    beside = score_after(llama, Letters(), "hot -> cold ", ["dry", "wet", "old"], ["x", "y"])
    assert torch.allclose(beside[1], alone[0], atol=1e-5)


def test_a_single_string_is_not_read_letter_by_letter():
    with pytest.raises(UserError, match="prompts are the single string 'good film'"):
        score_labels(Causal(), Letters(), "good film", ["yes", "no"])
    with pytest.raises(UserError, match="labels are the single string 'yes'"):
        score_labels(Causal(), Letters(), ["good film"], "yes")
    with pytest.raises(UserError, match="prompts are the single string"):
        score_after(Causal(), Letters(), "a b", "good", ["yes", "no"])


def test_the_model_is_scored_without_dropout_and_keeps_its_mode():
    model = Causal()
    model.gru.register_module("drop", nn.Dropout(0.9))
    model.embed = nn.Sequential(model.embed, model.gru.drop)
    wanted = score_labels(model.eval(), Letters(), ["ab"], ["x", "y"])
    model.train()
    assert torch.equal(score_labels(model, Letters(), ["ab"], ["x", "y"]), wanted)
    assert model.training and model.embed[1].training


def test_labels_alike_are_refused_behind_a_prefix_too():
    with pytest.raises(UserError, match="two different label words"):
        score_after(Causal(), Letters(), "a b", ["c"], ["yes", "yes"])


def test_a_label_that_the_model_bans_is_infinitely_unlikely():
    model = Causal()
    with torch.no_grad():
        model.out.bias[ord("n") % 50] = -torch.inf
    found = score_labels(model, Letters(), ["ab"], ["y", "n"])
    assert found[0, 1] == -torch.inf and torch.isfinite(found[0, 0])
