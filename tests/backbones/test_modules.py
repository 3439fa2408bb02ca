"""Finding modules by name: what matches, and the sentence when nothing or too much does."""

import pytest
from torch import nn

from transferlib.backbones.modules import count_parameters, find_modules, matches, replace_module
from transferlib.errors import UserError


def tower() -> nn.Module:
    block = lambda: nn.ModuleDict({"attn": nn.ModuleDict({"query": nn.Linear(4, 4), "key": nn.Linear(4, 4)}),  # noqa: E731
                                   "norm": nn.LayerNorm(4)})  # fmt: skip
    return nn.ModuleDict({"layer": nn.ModuleList([block(), block()])})


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("layer.0.attn.query", "query", True),
        ("layer.0.attn.query", "attn.query", True),
        ("layer.0.attn.query", "layer.*.attn.query", True),
        ("layer.0.attn.query", "layer.*.query", False),  # one star is one part
        ("layer.0.attn.query", "uery", False),  # a part, not a substring
        ("layer.0.attn.query", "encoder.layer.0.attn.query", False),
    ],
)
def test_patterns_read_the_name_part_by_part_from_its_end(name: str, pattern: str, expected: bool) -> None:
    assert matches(name, pattern) is expected


def test_modules_are_found_in_order_and_of_the_wanted_kind() -> None:
    assert find_modules(tower(), ["query", "key"], (nn.Linear,)) == [
        "layer.0.attn.query", "layer.1.attn.query", "layer.0.attn.key", "layer.1.attn.key",
    ]  # fmt: skip
    assert find_modules(tower(), "layer.1.*", (nn.LayerNorm,)) == ["layer.1.norm"]


def test_no_match_names_the_closest_modules() -> None:
    with pytest.raises(UserError, match=r"'q_query' matches no Linear .*closest names are layer\.1\.attn\.query"):
        find_modules(tower(), "q_query", (nn.Linear,))


def test_a_match_of_the_wrong_kind_says_what_it_is() -> None:
    with pytest.raises(UserError, match=r"layer\.0\.norm is a LayerNorm"):
        find_modules(tower(), "norm", (nn.Linear,))


def test_a_module_matched_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r"'query' and 'attn\.\*' both match the module 'layer\.0\.attn\.query'"):
        find_modules(tower(), ["query", "attn.*"], (nn.Linear,))


def test_no_pattern_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="name at least one pattern"):
        find_modules(tower(), [], (nn.Linear,))


def test_replacing_and_counting() -> None:
    model = tower()
    replace_module(model, "layer.0.attn.query", nn.Linear(4, 2, bias=False))
    model.get_submodule("layer.1").requires_grad_(False)
    assert count_parameters(model) == (8 + 20 + 8, 8 + 20 + 8 + 20 + 20 + 8)


def test_a_shared_weight_counts_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert count_parameters(model) == (9, 9)
