"""Probes beside the plain one: the layer is chosen on the labels of the draw, and the kept model reads that layer."""

from pathlib import Path

import pytest
import torch

from transferlib.backbones.weights import MANIFEST
from transferlib.course import figures
from transferlib.datasets.found import Collection
from transferlib.own_data import beside as trying
from transferlib.own_data import compare as comparing
from transferlib.own_data.beside import beside, best_layer, others
from transferlib.own_data.checks import Check, check
from transferlib.own_data.compare import keep
from transferlib.own_data.draws import draw, evenly
from transferlib.own_data.plots import TONES
from transferlib.own_data.saved import load_model
from transferlib.own_data.scan import DEFAULTS, Scan
from transferlib.own_data.ways import NAMES


@pytest.fixture
def lengths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Sixty texts by their number of words, which an early layer of a sentence encoder holds and the last one loses."""
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "cache"))
    words = "the sea was calm and we saw a boat go by on its way home that day".split()
    texts = [" ".join(words[i % 9 :][:3] if i % 2 else words[i % 5 :][:10]) + f" {i}" for i in range(60)]
    found = Collection("texts", Path(), texts, [i % 2 for i in range(60)], ["long", "short"], [], [], [])
    x = torch.randn(60, 384, generator=torch.Generator().manual_seed(0))
    return check(Scan(found, texts, x, [(3, 5)] * 60, 0, 32), threshold=2.0)


def test_the_layer_is_the_one_whose_probe_is_nearest_to_the_labels_it_learns_from() -> None:
    g = torch.Generator().manual_seed(0)
    y = torch.arange(40) % 2
    noise, signal = torch.randn(40, 6, generator=g), torch.randn(40, 4, generator=g) + 3 * y[:, None]
    layer, part = best_layer(
        torch.cat([torch.ones(40, 3), noise, signal, noise], 1), y, {"a": 3, "b": 6, "c": 4, "d": 6}
    )
    assert layer == "c" and part == slice(9, 13)


@pytest.mark.parametrize("kind", ["image", "text"])
def test_every_packaged_network_of_a_kind_is_tried(kind: str) -> None:
    tried = {name.rstrip("@") for name in others(f"{kind}s").values()}
    assert tried == {name for name, entry in MANIFEST.items() if entry["kind"] == kind}
    assert DEFAULTS[f"{kind}s"] in tried


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_each_way_has_a_name_and_a_colour_of_its_own(kind: str) -> None:
    assert set(others(kind)) <= set(NAMES[kind])
    colours = [figures.TONES[TONES[way]] for way in NAMES[kind]]
    assert len(set(colours)) == len(colours) == len(set(NAMES[kind].values()))


def test_each_probe_has_a_row_for_each_draw_and_no_test_label_is_looked_at(lengths: Check) -> None:
    draws = draw(lengths, seeds=[0, 1, 2], few=2, most=40, most_trained=20, tested=20)
    rows = beside(lengths, draws)
    assert set(rows["strategy"]) == set(others("texts")) == {"best_layer"}
    assert sorted(zip(rows["n"], rows["seed"], strict=True)) == [(n, s) for n in draws.trained_at for s in (0, 1)]
    right = [(row.scores.argmax(1) == draws.y[draws.test[row.seed]].numpy()).mean() for row in rows.itertuples()]
    assert max(right) > 0.8
    torn = draws._replace(y=draws.y.clone())
    torn.y[draws.test[0]] = 1 - torn.y[draws.test[0]]
    again = beside(lengths, torn)
    for before, after in zip(rows[rows["seed"] == 0]["scores"], again[again["seed"] == 0]["scores"], strict=True):
        assert (before == after).all()


def test_a_network_that_was_tried_does_not_see_the_examples_again(
    lengths: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = draw(lengths, seeds=[0, 1], few=2, most=40, most_trained=20, tested=20)
    before = beside(lengths, draws)
    monkeypatch.setattr(trying, "scan", lambda *_, **__: pytest.fail("it looked again"))
    assert all((a == b).all() for a, b in zip(before["scores"], beside(lengths, draws)["scores"], strict=True))


def test_the_kept_model_ends_at_the_layer_that_was_chosen_on_all_of_its_labels(lengths: Check, tmp_path: Path) -> None:
    draws = draw(lengths, seeds=[0, 1], few=2, most=40, most_trained=20, tested=20)
    keep(lengths, draws, "best_layer", tmp_path / "model", temperature=5.0)
    saved, found = load_model(tmp_path / "model"), lengths.scan.found
    layer = saved.about["backbone"].partition("@")[2]
    every = trying.seen(lengths, "all-MiniLM-L6-v2@", torch.arange(60))
    probe, chosen, part = trying.solve_on(found, 32, "best_layer", every, draws.y)
    assert layer == chosen
    expected = probe.predict(every[:, part])
    assert saved.predict(found.items)["class"].tolist() == [found.classes[c] for c in expected.tolist()]


@pytest.mark.parametrize("way", ["probe", "best_layer", "partial"])
def test_of_very_many_examples_the_kept_model_learns_from_an_even_draw(
    way: str, lengths: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = draw(lengths, seeds=[0, 1], few=2, most=40, most_trained=20, tested=20)
    monkeypatch.setattr(comparing, "MOST_KEPT", 12)
    assert keep(lengths, draws, way, tmp_path / "model", temperature=5.0, steps=1) == 12
    y = torch.tensor([0] * 50 + [1] * 3 + [2] * 9)
    assert y[evenly(y, 20, seed=0)].bincount().tolist() == [8, 3, 8]  # a rare class loses nothing
    assert y[evenly(y, 2, seed=0)].bincount().tolist() == [1, 1, 1]
    assert evenly(y, 62, seed=0).tolist() == list(range(62))
