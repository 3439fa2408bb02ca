"""The comparison: who is learned from, what is scored, that nothing is trained twice, and what is concluded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from transferlib.datasets.collection import Collection
from transferlib.own_data import compare as comparing
from transferlib.own_data.checks import Check, check
from transferlib.own_data.compare import compare, keep, solved, trained
from transferlib.own_data.draws import draw, effort
from transferlib.own_data.saved import load_model
from transferlib.own_data.scan import Scan
from transferlib.own_data.ways import solve, vectors

SPEND = {"seeds": [0, 1, 2], "few": 2, "most": 60, "most_trained": 12, "tested": 20}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One process, which can be patched, and a cache of its own."""
    monkeypatch.setenv("TRANSFERLIB_WORKERS", "1")
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))


def texts(splits: bool = False) -> Check:
    """Ninety texts of three classes, 50, 30 and 10, with features that tell them apart most of the time."""
    y = [0] * 50 + [1] * 30 + [2] * 10
    words = [f"{'red green blue'.split()[c]} {'sky sea sand'.split()[(c + i) % 3]} {i}" for i, c in enumerate(y)]
    parts = ["test" if i % 3 == 0 else "train" for i in range(len(y))] if splits else []
    found = Collection("texts", Path(), words, y, ["red", "green", "blue"], [], parts, [])
    g = torch.Generator().manual_seed(0)
    features = torch.randn(len(y), 40, generator=g) + 1.5 * torch.randn(3, 40, generator=g)[y]
    return check(Scan(found, [f"key {w}" for w in words], features, [(3, 1)] * len(y), 0, 32), threshold=0.999)


class Fixed(torch.nn.Module):
    """The class that a text's first word names."""

    def encode(self, items: list[str]) -> torch.Tensor:
        return torch.tensor([["red", "green", "blue"].index(item.split()[0]) for item in items])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.eye(3)[x]


def test_each_seed_draws_its_own_disjoint_sides_and_budgets_are_nested() -> None:
    draws = draw(texts(), **SPEND)
    assert list(draws.train) == [0, 1, 2] and draws.few == 2
    for seed in draws.train:
        assert not set(draws.train[seed].tolist()) & set(draws.test[seed].tolist())
        assert draws.y[draws.test[seed]].bincount().max() <= 20 // 3
    assert not torch.equal(draws.test[0], draws.test[1])
    largest = int(draws.y[draws.train[0]].bincount().max())
    top = min(largest, 60 // 3)
    assert draws.grid == sorted({top // 2**k for k in range(7) if top // 2**k})
    assert all(3 * n <= 12 for n in draws.trained_at) and set(draws.trained_at) <= set(draws.grid)
    for small, large in zip(draws.grid, draws.grid[1:], strict=False):
        few, more = draws.rows(small, 1), draws.rows(large, 1)
        assert set(few.tolist()) <= set(more.tolist()) <= set(draws.train[1].tolist())
        assert draws.y[few].bincount().max() <= small


def test_a_given_split_is_kept_in_every_draw() -> None:
    checked = texts(splits=True)
    draws = draw(checked, **SPEND)
    parts = np.array(checked.scan.found.splits)
    for seed in draws.train:
        assert set(parts[draws.train[seed]]) == {"train"} and set(parts[draws.test[seed]]) == {"test"}
        assert torch.equal(draws.test[seed], draws.test[0])


def test_the_effort_of_a_profile_fits_what_draws() -> None:
    for kind in ("images", "texts"):
        few, some, many = (len(effort(profile, kind)["seeds"]) for profile in ("smoke", "cpu", "gpu"))
        assert few < some < many
    assert effort("cpu", "images", 7)["seeds"][:2] == [7, 8] and effort("cpu", "images")["steps"] is None
    assert draw(texts(), **effort("smoke", "texts")).grid[-1] <= 20


def test_a_closed_form_run_is_the_probe_on_those_rows() -> None:
    checked = texts()
    draws = draw(checked, **SPEND)
    table = solved(checked, draws)
    assert len(table) == 2 * len(draws.grid) * 3 and set(table["strategy"]) == {"probe", "scratch_small"}
    row = table[(table["strategy"] == "scratch_small") & (table["n"] == draws.grid[-1]) & (table["seed"] == 1)].iloc[0]
    probe = solve(checked, "scratch_small", draws.rows(draws.grid[-1], 1))
    scores = vectors(checked, "scratch_small", draws.test[1]) @ probe.weight + probe.bias
    assert np.allclose(row["scores"], scores.numpy(), atol=1e-6)


def test_accuracy_is_balanced_and_rows_of_a_run_are_its_seeds_test_rows(monkeypatch) -> None:
    monkeypatch.setattr(comparing, "train", lambda *_, **__: Fixed())
    checked = texts()
    draws = draw(checked, **SPEND)
    compared = compare(checked, draws)
    assert list(compared.names) == ["probe", "best_layer", "scratch_small", "partial", "lora", "fine_tune"]
    assert compared.budgets("best_layer") == draws.trained_at
    assert compared.budgets("partial") == draws.trained_at and compared.budgets("probe") == draws.grid
    assert compared.values("fine_tune", draws.trained_at[0]).tolist() == [1.0, 1.0]
    assert [len(compared.values("probe", draws.grid[0], few=few)) for few in (False, True)] == [3, 2]
    for run in compared.runs.itertuples():
        truth, guess = draws.y[draws.test[run.seed]].numpy(), run.scores.argmax(1)
        assert run.accuracy == pytest.approx(balanced_accuracy_score(truth, guess))
        assert (run.right == (truth == guess)).all()
    assert compared.ratio == len(draws.test[0]) / (len(draws.y) - len(draws.test[0]))
    span = compared.accuracy("fine_tune", draws.trained_at[0])
    assert (span.mean, span.high) == (100, 100) and span.low < 100  # two draws that agree do not make it certain


def test_an_interrupted_comparison_goes_on_where_it_stopped(monkeypatch) -> None:
    checked, calls = texts(), []
    draws = draw(checked, **SPEND)
    cells = 3 * len(draws.trained_at) * 2

    def train(*args: object, **_: object) -> Fixed:
        calls.append(args[0])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return Fixed()

    monkeypatch.setattr(comparing, "train", train)
    with pytest.raises(KeyboardInterrupt):
        trained(checked, draws)
    first = trained(checked, draws)
    assert len(calls) == cells + 1  # the fourth was tried twice, and no other
    moved = checked._replace(scan=checked.scan._replace(found=checked.scan.found.keep(range(90), "a note")))
    assert trained(moved, draws)["seconds"].tolist() == first["seconds"].tolist()
    assert len(calls) == cells + 1
    for change in ({"steps": 3}, {"device": "meta"}):  # other settings are other runs
        before = len(calls)
        monkeypatch.setattr(comparing, "logits", lambda *_, **__: torch.zeros(2, 3))
        trained(checked, draws, **change)
        assert len(calls) == before + cells
    before, keys = len(calls), list(checked.scan.keys)
    changed = int(draws.rows(draws.trained_at[0], 0)[0])
    keys[changed] = "new content"
    trained(checked._replace(scan=checked.scan._replace(keys=keys)), draws)
    at = [torch.cat([draws.rows(n, seed), draws.test[seed]]).tolist() for n in draws.trained_at for seed in (0, 1)]
    assert len(calls) == before + 3 * sum(changed in rows for rows in at)  # so is other content, where it was seen


@pytest.mark.parametrize("splits", [False, True])
def test_the_model_that_is_kept_answers_as_the_head_learned_from_everything(splits: bool, tmp_path: Path) -> None:
    checked = texts(splits)
    draws = draw(checked, **SPEND)
    learned = keep(checked, draws, "scratch_small", tmp_path / "model", temperature=3.0)
    rows = draws.train[0] if splits else torch.arange(90)
    assert learned == len(rows)
    probe, items = solve(checked, "scratch_small", rows), checked.scan.found.items
    scores = vectors(checked, "scratch_small", torch.arange(90)) @ probe.weight + probe.bias
    answers = load_model(tmp_path / "model").predict(items)
    assert np.allclose(answers["probability"], (3 * scores).softmax(1).max(1).values.numpy(), atol=1e-5)
    assert answers["class"].tolist() == [["red", "green", "blue"][c] for c in scores.argmax(1).tolist()]


def wordless(checked: Check, rows: list[int]) -> Check:
    """The same with emoji, which are no words, in these rows."""
    found = checked.scan.found
    items = ["😀 😃" if i in rows else item for i, item in enumerate(found.items)]
    return checked._replace(scan=checked.scan._replace(found=replace(found, items=items)))


def test_a_way_that_tells_nothing_apart_guesses_in_that_draw_and_it_is_counted(monkeypatch) -> None:
    checked = texts()
    draws = draw(checked, **SPEND)
    some = draws.rows(draws.grid[0], 0).tolist()  # the smallest budget of the first seed sees emoji only
    table = solved(wordless(checked, some), draws)
    blind = table[table["blind"]]
    assert [(row.strategy, row.n, row.seed) for row in blind.itertuples()] == [("scratch_small", draws.grid[0], 0)]
    assert (blind["scores"].iloc[0] == 0).all() and blind["scores"].iloc[0].shape == (len(draws.test[0]), 3)
    monkeypatch.setattr(comparing, "beside", lambda *_: table.iloc[:0])
    monkeypatch.setattr(comparing, "trained", lambda *_: table[table["strategy"] == "probe"].assign(strategy="partial"))
    compared = compare(wordless(checked, some), draws)
    assert compared.blind == {"scratch_small": (1, 3 * len(draws.grid))} and "scratch_small" in compared.names


def test_a_way_that_never_tells_anything_apart_is_left_out_and_counted(monkeypatch) -> None:
    checked = texts()
    draws, every = draw(checked, **SPEND), list(range(len(checked.scan.found.items)))
    table = solved(checked, draws)
    monkeypatch.setattr(comparing, "beside", lambda *_: table.iloc[:0])
    monkeypatch.setattr(comparing, "trained", lambda *_: table[table["strategy"] == "probe"].assign(strategy="partial"))
    compared = compare(wordless(checked, every), draws)
    assert list(compared.names) == ["probe", "partial"] and set(compared.runs["strategy"]) == set(compared.names)
    assert compared.blind == {"scratch_small": (3 * len(draws.grid), 3 * len(draws.grid))}
