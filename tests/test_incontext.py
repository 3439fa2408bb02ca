"""Label words scored against a brute-force sum of token log-probabilities."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from transferlib.errors import UserError
from transferlib.incontext import calibrate, few_shot_prompt, score_after, score_labels


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


def test_calibration_makes_a_content_free_prompt_undecided_and_keeps_differences():
    bias = torch.tensor([[2.0, 0.0, -1.0]])
    assert torch.allclose(calibrate(bias, bias), torch.full((1, 3), 1 / 3).log())
    evidence = torch.tensor([[0.0, 1.0, 0.5]])
    assert torch.allclose(calibrate(bias + evidence, bias), evidence.log_softmax(1), atol=1e-6)
    two = calibrate(evidence, torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]))
    mean = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]).softmax(1).mean(0)
    by_hand = evidence.softmax(1) / mean
    assert torch.allclose(two.exp(), by_hand / by_hand.sum())


def test_prompts_show_the_demonstrations_and_leave_the_answer_open():
    assert few_shot_prompt([("hot", " cold"), ("{y}", " {x}")], "big") == "hot -> cold\n{y} -> {x}\nbig ->"
    assert few_shot_prompt([], "big", "Q: {x}\nA:{y}\n\n") == "Q: big\nA:"


def test_bad_input_is_said_in_one_sentence():
    model, letters = Causal(), Letters()
    with pytest.raises(UserError, match="at least two different label words"):
        score_labels(model, letters, ["a"], ["yes", "yes"])
    with pytest.raises(UserError, match="label '_' has no token"):
        score_labels(model, letters, ["a"], ["yes", "_"])
    with pytest.raises(UserError, match="Prompt 1 is empty"):
        score_labels(model, letters, ["a", ""], ["yes", "no"])
    with pytest.raises(UserError, match=r"needs \{x\} once"):
        few_shot_prompt([], "a", "{y} {x}")
    with pytest.raises(UserError, match="content-free"):
        calibrate(torch.zeros(2, 3), torch.zeros(1, 2))
    with torch.no_grad():
        model.out.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="NaN or infinity"):
        score_labels(model, letters, ["a"], ["yes", "no"])


def test_demonstrations_read_once_give_the_scores_of_whole_prompts():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=50, **sizes)).eval()
    prefix, queries, labels = "hot -> cold big -> small ", ["wet", "a longer one"], [" yes", " no", "x"]
    found = score_after(model, Letters(), prefix, queries, labels)
    assert torch.allclose(found, score_labels(model, Letters(), [prefix + q for q in queries], labels), atol=1e-4)
    assert torch.equal(
        score_after(model, Letters(), "", queries, labels), score_labels(model, Letters(), queries, labels)
    )
    with pytest.raises(UserError, match="Prompt 0 is empty"):
        score_after(model, Letters(), prefix, ["_"], labels)


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
