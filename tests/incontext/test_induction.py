"""A head that was built to copy is found, and is the one whose silence stops the copying."""

from types import SimpleNamespace

import pytest
import torch

from transferlib.errors import UserError
from transferlib.incontext.induction import heads_off, induction_scores, repeated


@pytest.fixture(scope="module")
def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, **sizes)).eval()


def test_sequences_repeat_themselves_and_a_seed_repeats_them() -> None:
    ids = repeated(50, 7, 3, seed=4)
    assert ids.shape == (3, 14) and torch.equal(ids[:, :7], ids[:, 7:])
    assert torch.equal(ids, repeated(50, 7, 3, seed=4)) and not torch.equal(ids, repeated(50, 7, 3, seed=5))


class Looks:
    """One layer of three heads, which look at what followed the earlier copy, at that copy, and at the token before."""

    training = False

    def __init__(self, half: int) -> None:
        self.config, self.half, self.told = SimpleNamespace(_attn_implementation="sdpa"), half, []

    def set_attn_implementation(self, name: str) -> None:
        self.told.append(name)

    def modules(self):
        return iter(())

    def eval(self):
        return self

    def __call__(self, input_ids, output_attentions):
        size = input_ids.shape[1]
        a = torch.zeros(len(input_ids), 3, size, size)
        for t in range(size):
            for head, place in enumerate((t - self.half + 1, t - self.half, t - 1)):
                a[:, head, t, max(place, 0)] = 1
        return SimpleNamespace(attentions=[a])


def test_only_the_head_that_looks_behind_the_earlier_copy_scores() -> None:
    model = Looks(5)
    assert induction_scores(model, repeated(50, 5, 2, seed=0)).tolist() == [[1.0, 0.0, 0.0]]
    assert model.told == ["eager", "sdpa"]


def test_scores_are_the_attention_read_off_by_hand(llama) -> None:
    ids = repeated(50, 6, 3, seed=0)
    before = llama.config._attn_implementation
    found = induction_scores(llama, ids)
    assert found.shape == (2, 4) and llama.config._attn_implementation == before
    llama.set_attn_implementation("eager")
    weights = llama(input_ids=ids, output_attentions=True).attentions
    llama.set_attn_implementation(before)
    by_hand = [[torch.stack([w[:, h, t, t - 5] for t in range(6, 12)]).mean() for h in range(4)] for w in weights]
    assert torch.allclose(found, torch.tensor(by_hand), atol=1e-6)
    with pytest.raises(UserError, match="second half repeats the first"):
        induction_scores(llama, torch.arange(12)[None])


@torch.no_grad()
def test_a_head_switched_off_is_a_head_whose_output_weights_are_zero(llama) -> None:
    ids, width = repeated(50, 4, 2, seed=0), llama.config.head_dim
    plain = llama(input_ids=ids).logits
    with heads_off(llama, [(0, 2), (1, 0), (1, 3)]):
        off = llama(input_ids=ids).logits
    assert torch.equal(llama(input_ids=ids).logits, plain) and not torch.allclose(off, plain)
    kept = {name: p.clone() for name, p in llama.named_parameters()}
    for layer, head in [(0, 2), (1, 0), (1, 3)]:
        llama.model.layers[layer].self_attn.o_proj.weight[:, head * width : (head + 1) * width] = 0
    assert torch.allclose(llama(input_ids=ids).logits, off, atol=1e-6)
    llama.load_state_dict(kept, strict=False)


def test_what_enters_a_projection_is_silenced_in_a_copy(llama) -> None:
    x = torch.ones(1, 4, 32)
    with heads_off(llama, [(0, 0)]):
        llama.model.layers[0].self_attn.o_proj(x)
    assert bool((x == 1).all())


def test_heads_come_back_after_an_error_and_missing_ones_are_named(llama) -> None:
    ids = repeated(50, 4, 1, seed=0)
    plain = llama(input_ids=ids).logits
    with pytest.raises(RuntimeError), heads_off(llama, [(0, 0)]):
        raise RuntimeError
    assert torch.equal(llama(input_ids=ids).logits, plain)
    for head in ((2, 0), (0, 4), (0, -1)):
        with pytest.raises(UserError, match="the model has 2 layers of 4 heads"), heads_off(llama, [head]):
            pass
