import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from transferlib.errors import UserError
from transferlib.runs.sweep import sweep, workers


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


def _draws(seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    return {"drawn": float(torch.rand(()))}


def test_what_is_drawn_after_a_sweep_does_not_depend_on_what_was_kept() -> None:
    drawn = []
    for _ in range(2):  # the first time every cell runs in this process, the second time none does
        torch.manual_seed(7)
        sweep(_draws, [{"seed": 1}, {"seed": 2}], n_jobs=1)
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[1]


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


def _once_killed(n: int, place: str) -> dict[str, float]:
    """The run of n = 2 ends its own process the first time, as if its machine were switched off."""
    mark = Path(place) / "killed"
    if n == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"accuracy": float(np.random.default_rng(n).random()), "process": os.getpid()}


def test_two_machines_one_killed_worker_and_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cells = [{"n": n, "place": str(tmp_path)} for n in range(6)]
    (tmp_path / "killed").touch()
    local = sweep(_once_killed, cells, n_jobs=1)
    (tmp_path / "killed").unlink()
    monkeypatch.setenv("TRANSFERLIB_CACHE", str(tmp_path / "other"))
    # Workers import this test's module; the cluster's nodes are processes of this machine.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        assert len(cluster.list_all_nodes()) == 2
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        monkeypatch.setenv("TRANSFERLIB_EXECUTOR", "ray")
        far = sweep(_once_killed, cells)
        assert (tmp_path / "killed").exists()
        assert os.getpid() not in set(far["process"])
        assert list(far["accuracy"]) == list(local["accuracy"])
    finally:
        ray.shutdown()
        cluster.shutdown()
    kept = sweep(_once_killed, cells)  # no cluster any more: everything is read from this machine's cache
    assert list(kept["process"]) == list(far["process"])


def test_an_unknown_executor_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERLIB_EXECUTOR", "slurm")
    with pytest.raises(UserError, match="TRANSFERLIB_EXECUTOR='slurm'"):
        sweep(_square, [{"n": 41, "seed": 0, "log": ""}])
