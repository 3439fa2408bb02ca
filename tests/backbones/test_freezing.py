"""Frozen means frozen: every way in which a frozen network drifts elsewhere is tried here."""

import copy
import gc
import io
import pickle
import weakref

import pytest
import torch
from torch import nn
from transformers import BartConfig, BartModel, BertConfig, BertModel

from transferlib.backbones.freezing import freeze, hold_statistics, is_frozen, modes_kept, moving, unfreeze


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 2)
    )


X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def train(model: nn.Module, extra: nn.Module, steps: int = 20) -> None:
    optimiser = torch.optim.AdamW([*model.parameters(), *extra.parameters()], lr=0.1, weight_decay=0.1)
    for _ in range(steps):
        model.train()
        extra.train()
        optimiser.zero_grad()
        extra(model(X)).square().mean().backward()
        optimiser.step()


def test_parameters_and_buffers_are_bit_identical_after_training():
    model, extra = freeze(net()), nn.Linear(2, 2)
    before, start = copy.deepcopy(model.state_dict()), extra.weight.clone()
    train(model, extra)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not torch.equal(extra.weight, start)
    assert is_frozen(model)


def test_without_freeze_the_buffers_do_drift():
    """The trap: requires_grad_(False) alone leaves BatchNorm averaging."""
    model = net().requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    train(model, nn.Linear(2, 2))
    drifted = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
    assert drifted == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert not is_frozen(model)


def test_dropout_is_off_although_train_is_called_on_any_level():
    model = freeze(net())
    whole = nn.Sequential(model, nn.Linear(2, 2)).train()
    model[4].train()
    assert torch.equal(model(X), model(X))
    assert whole[1].training
    assert not any(m.training for m in model.modules())


def test_it_survives_deepcopy_pickle_and_a_saved_state():
    model = freeze(net())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - made one line above
        twin.train()
        assert is_frozen(twin)
        assert not any(m.training for m in twin.modules())
        assert torch.equal(twin(X), model(X))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert net().load_state_dict(torch.load(file, weights_only=True)).missing_keys == []


def test_no_class_changes_and_freezing_twice_is_once():
    model = freeze(freeze(net()))
    assert [type(part) for part in model.modules()] == [type(part) for part in net().modules()]
    assert repr(model) == repr(net())
    assert is_frozen(unfreeze(model)) is False


def test_unfreeze_gives_everything_back():
    model = unfreeze(freeze(net())).train()
    assert [type(m) for m in model.modules()] == [type(m) for m in net().modules()]
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_an_adapter_put_into_a_frozen_network_still_trains():
    model = freeze(net())
    model.add_module("adapter", nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.9)))
    model.train()
    assert model.adapter[1].training
    assert not model[4].training
    assert not is_frozen(model)


def test_held_statistics_stay_while_the_weights_move():
    model = hold_statistics(net())
    before = copy.deepcopy(model.state_dict())
    train(model, nn.Linear(2, 2))
    same = {k for k, v in model.state_dict().items() if torch.equal(v, before[k])}
    assert same == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert model[4].training


def test_every_module_gets_its_own_mode_back_also_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[1].eval()

    def failing() -> None:
        with modes_kept(model):
            model.eval()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert [part.training for part in model.modules()] == [True, True, False, True]
    with modes_kept(model[0], model[2]):
        model.eval()
    assert [part.training for part in model.modules()] == [False, True, False, True]


def test_what_moves_is_what_learns_and_the_statistics_that_nobody_holds():
    model = net()
    model[0].requires_grad_(False)
    own = {"1.weight", "1.bias", "5.weight", "5.bias"}
    live = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert moving(model).keys() == own | live
    assert moving(hold_statistics(model)).keys() == own
    assert moving(freeze(model)) == {}


def test_a_head_can_be_left_out_with_its_dropout_and_its_flags():
    model = nn.ModuleDict({"body": net(), "head": nn.Sequential(nn.Dropout(), nn.Linear(2, 2), nn.Linear(2, 2))})
    model["head"][1].requires_grad_(False)
    freeze(model, but=[model["head"]]).train()
    assert is_frozen(model["body"])
    assert model["head"][0].training
    assert [p.requires_grad for p in model["head"].parameters()] == [False, False, True, True]


def test_nothing_keeps_a_frozen_model_in_memory():
    model = freeze(net())
    seen = weakref.ref(model)
    gc.disable()  # a circle would wait for the collector, on a GPU until the memory is full
    try:
        del model
        assert seen() is None
    finally:
        gc.enable()


def test_a_shallow_copy_can_be_thawed_alone():
    model = freeze(nn.Linear(2, 2))
    twin = copy.copy(model)
    assert unfreeze(twin).train() is twin
    assert twin.training and not model.train().training


SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}


def test_frozen_blocks_of_transformers_still_checkpoint_and_still_drop_nothing():
    model = freeze(BertModel(BertConfig(vocab_size=20, hidden_dropout_prob=0.5, **SIZE))).train()
    model.gradient_checkpointing_enable()
    calls = 0

    def counted(run, *args):
        nonlocal calls
        calls += 1
        return run(*args)

    for part in model.modules():
        if hasattr(part, "_gradient_checkpointing_func"):
            part._gradient_checkpointing_func = counted
    ids = torch.arange(10).view(2, 5)
    assert torch.equal(model(ids).last_hidden_state, model(ids).last_hidden_state)
    assert calls == 4, "two layers, two passes"
    model.eval()(ids)
    assert calls == 4


def test_a_block_that_drops_units_by_itself_stays_in_eval_mode():
    size = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}  # fmt: skip
    model = freeze(BartModel(BartConfig(vocab_size=20, dropout=0.5, activation_dropout=0.5, **size))).train()
    model.gradient_checkpointing_enable()
    ids = torch.arange(10).view(2, 5)
    assert torch.equal(model(ids).last_hidden_state, model(ids).last_hidden_state)


def test_a_frozen_model_is_saved_under_its_own_name(tmp_path):
    model = freeze(BertModel(BertConfig(vocab_size=20, **SIZE)))
    model.save_pretrained(tmp_path)
    assert BertModel.from_pretrained(tmp_path).config.architectures == ["BertModel"]
