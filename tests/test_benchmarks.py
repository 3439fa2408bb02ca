"""`make bench` is too slow for every test run; that it can begin is not."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_benchmark_can_be_collected() -> None:
    command = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q", "--benchmark-only"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # no worker of xdist
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    files = {path.name for path in (ROOT / "benchmarks").glob("test_*.py")}
    assert files <= {Path(line.split(":")[0]).name for line in done.stdout.splitlines()}
