from pathlib import Path

import pytest

from transferlib.errors import UserError
from transferlib.sweep import sweep, workers


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path))


CELLS = [{"n": n, "seed": s, "log": ""} for n in (1, 2) for s in (0, 1)]


def _square(n: int, seed: int, log: str) -> dict[str, float]:
    if log:
        with Path(log).open("a") as file:
            file.write("x")
    if n == 99:
        raise RuntimeError("stopped")
    return {"accuracy": float(n * n + seed)}


def test_rows_come_in_the_order_of_the_cells_with_any_number_of_processes() -> None:
    one = sweep(_square, CELLS, n_jobs=1)
    two = sweep(_square, [{**c, "n": c["n"] + 10} for c in CELLS], n_jobs=2)
    assert list(one["accuracy"]) == [1, 2, 4, 5]
    assert list(two["accuracy"]) == [121, 122, 144, 145]


def test_an_interrupted_sweep_continues_and_a_finished_one_runs_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    cells = [{"n": n, "seed": 0, "log": str(log)} for n in (1, 2)]
    with pytest.raises(RuntimeError, match="stopped"):
        sweep(_square, [*cells, {"n": 99, "seed": 0, "log": str(log)}], n_jobs=1)
    assert log.read_text() == "xxx"
    sweep(_square, cells, n_jobs=1)
    assert log.read_text() == "xxx"


def test_changed_code_runs_again(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def make(power: int):  # type: ignore[no-untyped-def]
        def run(n: int) -> dict[str, float]:
            log.write_text(log.read_text() + "x" if log.exists() else "x")
            return {"accuracy": float(n**power)}

        return run

    assert sweep(make(2), [{"n": 3}], n_jobs=1)["accuracy"][0] == 9
    assert sweep(make(3), [{"n": 3}], n_jobs=1)["accuracy"][0] == 27
    assert sweep(make(2), [{"n": 3}], n_jobs=1)["accuracy"][0] == 9


def test_bad_input_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"'runs' has no cells"):
        sweep(_square, [])
    with pytest.raises(UserError, match=r"returns \['n'\], which are settings"):
        sweep(lambda n: {"n": n}, [{"n": 1}], n_jobs=1)
    monkeypatch.setenv("TRANSFERLIB_WORKERS", "many")
    with pytest.raises(UserError, match="TRANSFERLIB_WORKERS='many'"):
        workers()
